"""The bundled samples: readable by the same readers as the published corpora, and what their generator writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from multiner.pipeline.config.corpora import published
from multiner.pipeline.corpora import read_corpus
from multiner.pipeline.corpora.manifest import list_files

SPLITS = ("train", "dev", "test")
AT_LEAST = {
    "conll2003": {"train": 250, "dev": 80, "test": 80},
    "wnut17": {"train": 120, "dev": 50, "test": 50},
    "factrueval-name": {"train": 200, "dev": 40, "test": 100},
    "factrueval-object": {"train": 200, "dev": 40, "test": 100},
}


def test_the_generator_writes_what_is_committed(root: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(root / "tools" / "make_samples.py"), str(tmp_path)], check=True)
    committed = root / "data" / "samples"
    assert list_files(tmp_path) == list_files(committed)
    for name in list_files(tmp_path):
        assert (tmp_path / name).read_bytes() == (committed / name).read_bytes(), name


@pytest.mark.parametrize("corpus", sorted(published()))
def test_every_split_has_every_type_and_enough_sentences(root: Path, corpus: str) -> None:
    types = {"PER", "LOC", "ORG"} | ({"MISC"} if published()[corpus].language == "en" else set())
    for split in SPLITS:
        documents = read_corpus(root / "data" / "samples", corpus, split)
        assert {span.label for document in documents for span in document.spans} == types
        assert sum(len(document.sentences) for document in documents) >= AT_LEAST[corpus][split]
        assert {document.half() for document in documents} == {"tune", "gate"}


@pytest.mark.parametrize("corpus", sorted(published()))
def test_no_long_sentence_stands_in_two_splits(root: Path, corpus: str) -> None:
    places: dict[tuple[str, ...], str] = {}
    for split in SPLITS:
        for document in read_corpus(root / "data" / "samples", corpus, split):
            for sentence in document.sentences:
                words = tuple(document.words(sentence.start, sentence.end))
                assert len(words) < 5 or places.get(words, split) == split, words
                places[words] = split


def test_objects_nest_in_the_russian_sample(root: Path) -> None:
    folder = root / "data" / "samples"
    name = read_corpus(folder, "factrueval-name", "test")
    whole = read_corpus(folder, "factrueval-object", "test")
    texts = {document.span_text(span) for document in whole for span in document.spans if span.label == "ORG"}
    assert any(text.lower().startswith(("мэрия ", "администрация ", "суд ", "университет ")) for text in texts)
    assert sum(len(document.spans) for document in name) > 0
    assert any("«" in text for text in texts)


def test_the_samples_stay_small(root: Path) -> None:
    folder = root / "data" / "samples"
    assert sum((folder / name).stat().st_size for name in list_files(folder)) < 500_000
