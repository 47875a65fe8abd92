"""Training examples: what an epoch shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiner.pipeline.core.document import Document, Span, from_words
from multiner.pipeline.core.iob2 import bio_labels
from multiner.pipeline.models.transformer.examples import batches, change_case, grouped, oversample
from multiner.pipeline.models.transformer.network import special_pieces_of
from multiner.pipeline.models.windows import Windower
from tests.pipeline.models.conftest import invented

LABELS = bio_labels(["PER", "LOC"])


def of_corpus(name: str, count: int) -> list[Document]:
    return [Document.from_json(each.to_json() | {"corpus": name}) for each in invented(0, count)]


def test_a_repeated_corpus_is_shown_so_many_times() -> None:
    documents_of_epoch = oversample(of_corpus("small", 2) + of_corpus("large", 3), {"small": 3})
    assert [document.corpus for document in documents_of_epoch] == ["small"] * 6 + ["large"] * 3


@given(st.text(min_size=1), st.booleans())
def test_another_case_moves_no_offset(text: str, upper: bool) -> None:
    document = from_words("d", [["Straße", text.replace(" ", "_") or "x", "Istanbul"]], [Span(0, 1, "LOC")])
    other = change_case(document, upper=upper)
    assert len(other.text) == len(document.text)
    assert other.tokens == document.tokens
    assert other.spans == document.spans
    assert "ISTANBUL" in other.text if upper else "istanbul" in other.text


def test_the_last_step_is_filled_up_from_the_beginning() -> None:
    epoch: list[list[Any]] = [[1], [2], [3]]
    assert grouped(epoch, 1) == [[[1]], [[2]], [[3]]]
    assert grouped(epoch, 2) == [[[1], [2]], [[3], [1]]]
    assert grouped(epoch, 7) == [[[1], [2], [3], [1], [2], [3], [1]]]
    assert grouped([], 2) == []


@pytest.fixture
def windower(tiny_encoder: Path) -> Windower:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    return Windower(tokenizer.backend_tokenizer, special_pieces_of(tokenizer), 64)


def test_an_epoch_shows_every_token_once_whatever_its_seed(windower: Windower) -> None:
    documents = invented(0, 12)
    tokens = sum(len(document.tokens) for document in documents)
    first, again, other = (
        batches(documents, windower, LABELS, size=128, case_augmentation={"": 0.2}, seed=seed)
        for seed in ("1/0", "1/0", "1/1")
    )
    assert first == again != other
    for epoch in (first, other):
        assert sum(len(labels) for batch in epoch for _, labels in batch) == tokens
        assert all(len(batch) * max(len(window.pieces) for window, _ in batch) <= 128 for batch in epoch)


def test_only_the_named_corpora_are_shown_in_other_cases(windower: Windower) -> None:
    documents = of_corpus("tweets", 40) + of_corpus("news", 40)

    def pieces(shares: dict[str, float]) -> list:
        epoch = batches(documents, windower, LABELS, size=128, case_augmentation=shares, seed="1")
        return sorted(window.pieces for batch in epoch for window, _ in batch)

    plain, some = pieces({}), pieces({"tweets": 0.5})
    assert plain != some
    assert pieces({"elsewhere": 0.5}) == plain
