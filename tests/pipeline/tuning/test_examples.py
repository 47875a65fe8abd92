"""Reading examples, holding a part out, and mixing the rest with training documents."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiner.pipeline.core.decoding import corpus_mean_f1
from multiner.pipeline.core.document import Document, Span, from_words
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.tuning.examples import balanced, read_examples, replayed, split_examples

TYPES = ["PER", "LOC"]


def document(number: int, corpus: str = "examples", words: int = 4) -> Document:
    """A document whose first word is a person."""
    return from_words(f"{corpus}/{number:03}", [["Ada", *["slept"] * (words - 1)]], [Span(0, 1, "PER")], corpus=corpus)


def write(path: Path, records: list[object]) -> Path:
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records), encoding="utf-8")
    return path


def records(count: int) -> list[object]:
    return [
        {"text": f"Ada saw ticket {n}.", "entities": [{"start": 0, "end": 3, "label": "PER"}]} for n in range(count)
    ]


def test_examples_are_read_each_text_once(tmp_path: Path) -> None:
    documents = read_examples(write(tmp_path / "notes.jsonl", [*records(12), *records(1)]), "en", TYPES)
    assert len(documents) == 12
    assert {each.corpus for each in documents} == {"examples"}
    assert documents[0].span_text(documents[0].spans[0]) == "Ada"


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"text": "Ada", "entities": [{"start": 0, "end": 9, "label": "PER"}]}, r"no entity of the text"),
        ({"text": "Ada", "entities": [{"start": 0, "end": 2, "label": "PER"}]}, r"cuts a word"),
        ({"text": "Ada"}, "a record has text and entities"),
    ],
)
def test_a_record_that_cannot_be_read_is_named_by_its_line(tmp_path: Path, record: object, message: str) -> None:
    path = write(tmp_path / "notes.jsonl", [*records(11), record])
    with pytest.raises(NerError, match=message) as caught:
        read_examples(path, "en", TYPES)
    assert caught.value.where == "notes.jsonl:12"


def test_an_unknown_type_is_refused_with_the_types_of_the_model(tmp_path: Path) -> None:
    record = {"text": "Pump broken", "entities": [{"start": 0, "end": 4, "label": "DEVICE"}]}
    path = write(tmp_path / "notes.jsonl", [*records(11), record])
    with pytest.raises(
        NerError, match=r"notes.jsonl:12: (.|\n)*DEVICE(.|\n)*The model's types are: PER, LOC"
    ) as caught:
        read_examples(path, "en", TYPES)
    assert "params.yaml" not in str(caught.value)


def test_too_few_examples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NerError, match="9 different texts are too few"):
        read_examples(write(tmp_path / "notes.jsonl", [*records(9), *records(9)]), "en", TYPES)


@given(count=st.integers(10, 300), held_out=st.floats(0.05, 0.95))
def test_the_parts_are_disjoint_and_whole_and_do_not_depend_on_the_order(count: int, held_out: float) -> None:
    documents = [document(number) for number in range(count)]
    parts = split_examples(documents, held_out)
    assert sorted(each.id for each in parts.all) == [each.id for each in documents]
    assert min(len(parts.train), len(parts.dev), len(parts.check)) >= 1
    assert 0 <= len(parts.check) - len(parts.dev) <= 1
    assert abs(len(parts.train) - (1 - held_out) * count) <= 2
    assert split_examples(documents[::-1], held_out) == parts


def test_a_part_without_entities_is_refused() -> None:
    documents = [document(0), *(replace(document(number), spans=()) for number in range(1, 10))]
    with pytest.raises(NerError, match="have no entity"):
        split_examples(documents, 0.4)


def test_replayed_documents_are_of_all_corpora_alike_and_the_same_each_time() -> None:
    train = [document(number, "news", words=10) for number in range(50)]
    train += [document(number, "posts", words=5) for number in range(50)]
    chosen = replayed(train, 200, seed=1)
    tokens = {name: sum(len(each.tokens) for each in chosen if each.corpus == name) for name in ("news", "posts")}
    assert tokens == {"news": 100, "posts": 100}
    assert replayed(train, 200, seed=1) == chosen
    assert replayed(train, 200, seed=2) != chosen
    assert replayed(train, 0, seed=1) == []


def test_examples_and_original_documents_weigh_the_same_where_training_stops() -> None:
    original = [document(number, corpus) for corpus in ("news", "posts") for number in range(60)]
    examples = [document(number) for number in range(4)]
    dev = balanced(examples, original, 100)
    names = [each.id.partition("/")[0] for each in dev]
    assert [names.count(name) for name in ("news", "posts", "examples")] == [50, 50, 4]
    wrong = [[] if each.corpus == "examples" else list(each.spans) for each in dev]
    assert corpus_mean_f1(dev, wrong) == 50, "one side right, the other wrong"
