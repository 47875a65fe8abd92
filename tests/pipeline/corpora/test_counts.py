"""The published corpora: the readers reproduce the counts that are known of them."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from multiner.pipeline.config.type_maps import FACTRUEVAL
from multiner.pipeline.core.iob2 import decode, encode
from multiner.pipeline.corpora import SPLITS, CorpusSplit, read_split
from multiner.pipeline.corpora.factrueval import annotated_objects, document_stems
from multiner.pipeline.corpora.flat_spans import Resolution


def types(part: CorpusSplit) -> Counter[str]:
    return Counter(span.label for document in part.documents for span in document.spans)


def sentences(part: CorpusSplit) -> int:
    return sum(len(document.sentences) for document in part.documents)


@pytest.mark.parametrize(
    ("corpus", "split", "counts"),
    [
        ("conll2003", "train", (946, 14041, 23499)),
        ("conll2003", "dev", (216, 3250, 5942)),
        ("conll2003", "test", (231, 3453, 5648)),
        ("wnut17", "train", (3394, 3394, 1975)),
        ("wnut17", "dev", (1009, 1009, 836)),
        ("wnut17", "test", (1287, 1287, 1079)),
    ],
)
def test_column_corpora(corpora: Path, corpus: str, split: str, counts: tuple[int, int, int]) -> None:
    part = read_split(corpora, corpus, split)
    assert (len(part.documents), sentences(part), types(part).total()) == counts


def devset(corpora: Path, corpus: str) -> Resolution:
    train, dev = (read_split(corpora, corpus, split) for split in ("train", "dev"))
    assert len(train.documents) + len(dev.documents) == 122
    assert len(dev.documents) == 24
    return train.resolution + dev.resolution


def test_factrueval_objects(corpora: Path) -> None:
    resolution = devset(corpora, "factrueval-object")
    assert resolution.objects == 2610
    assert replace(resolution, unmapped=0) == Resolution(kept=2420, nested=187, same_range=1, duplicate=2)
    part = read_split(corpora, "factrueval-object", "test")
    assert len(part.documents) == 132
    assert part.resolution.objects == 4996
    assert replace(part.resolution, unmapped=0) == Resolution(
        kept=4582, nested=401, same_range=8, crossing=1, duplicate=4
    )
    assert types(part).total() == 4582


@pytest.mark.parametrize(
    ("folder", "counts"),
    [("devset", {"PER": 741, "LOC": 1082, "ORG": 787}), ("testset", {"PER": 1388, "LOC": 1574, "ORG": 2034})],
)
def test_factrueval_objects_by_type(corpora: Path, folder: str, counts: dict[str, int]) -> None:
    stems = document_stems(corpora / "factRuEval-2016" / folder)
    labels = (FACTRUEVAL[each.type] for stem in stems for each in annotated_objects(stem))
    assert Counter(label for label in labels if label) == counts


def test_factrueval_names(corpora: Path) -> None:
    resolution = devset(corpora, "factrueval-name")
    assert (resolution.kept, resolution.objects - resolution.nameless) == (2330, 2411)
    test = read_split(corpora, "factrueval-name", "test").resolution
    assert (test.kept, test.objects - test.nameless) == (4203, 4390)


@pytest.mark.parametrize("corpus", ["conll2003", "wnut17", "factrueval-name", "factrueval-object"])
def test_documents_are_sound(corpora: Path, corpus: str) -> None:
    """Ids are unique, sentences cover the tokens without a gap, and spans survive the way to tags and back."""
    ids: list[str] = []
    for split in SPLITS:
        for document in read_split(corpora, corpus, split).documents:
            ids.append(document.id)
            borders = [sentence.start for sentence in document.sentences] + [len(document.tokens)]
            assert borders == sorted({0, *borders})
            assert [sentence.end for sentence in document.sentences] == borders[1:]
            assert all(word and not word.isspace() for word in document.words())
            decoded: list = []
            tags = encode(document.spans, len(document.tokens))
            for sentence in document.sentences:
                for span in decode(tags[sentence.start : sentence.end]):
                    moved = replace(span, start=span.start + sentence.start, end=span.end + sentence.start)
                    decoded.append(moved)
            assert tuple(decoded) == document.spans
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(("corpus", "file"), [("conll2003", "valid.txt"), ("wnut17", "wnut17train.conll")])
def test_sentence_lines_point_into_the_file(corpora: Path, corpus: str, file: str) -> None:
    split = "dev" if corpus == "conll2003" else "train"
    part = read_split(corpora, corpus, split)
    lines = (corpora / corpus / file).read_text(encoding="utf-8").split("\n")
    for document in part.documents:
        assert document.source == f"{corpus}/{file}"
        for sentence in document.sentences:
            at, words = sentence.line - 1, document.words(sentence.start, sentence.end)
            while words:
                word = re.split(r"[\t ]", lines[at])[0]
                read = [word[:1], word[1:]] if corpus == "wnut17" and re.match(r"#[^\W_]", word) else [word]
                assert words[: len(read)] == read
                at, words = at + 1, words[len(read) :]
