"""Hand-made documents and a predictor with known answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from multiner.pipeline.core.document import Document, Span, from_words
from multiner.pipeline.evaluation.predictions import EvaluatedPart

TYPES = ["PER", "LOC", "ORG"]


@dataclass(frozen=True)
class Answer:
    spans: tuple[Span, ...]
    legs: dict[str, tuple[Span, ...]]


class FakeEnsemble:
    """Answers from a table by text; counts what it is asked."""

    def __init__(self, answers: dict[str, Answer]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def predict(self, documents: Sequence[Document]) -> list[Answer]:
        assert not any(document.spans for document in documents), "gold must not reach the predictor"
        self.asked += [document.id for document in documents]
        # what it does not know is raw text: another text than that of the tokens
        nothing = Answer((), {"transformer": (), "spacy": ()})
        return [self.answers.get(document.text, nothing) for document in documents]


def make_documents(corpus: str, split: str) -> list[Document]:
    """Five gold spans over two documents."""
    first = from_words(
        f"{split}-1",
        [["Ada", "Quill", "left", "Norwick", "."], ["Brill", "&", "Sons", "<b>", "wept", "."]],
        [Span(0, 2, "PER"), Span(3, 4, "LOC"), Span(5, 8, "ORG")],
        lines=[1, 7],
        corpus=corpus,
        split=split,
        source=f"{corpus}.txt",
    )
    second = from_words(
        f"{split}-2",
        [["Tam", "met", "Ida", "in", "it"]],
        [Span(0, 1, "PER"), Span(2, 3, "PER")],
        corpus=corpus,
        split=split,
    )
    return [first, second]


# against the gold above: one wrong boundary, one wrong type, one missed, one spurious, two right
WEAK = [
    (Span(0, 1, "PER", 0.9), Span(3, 4, "ORG", 0.6), Span(5, 8, "ORG", 0.8)),
    (Span(0, 1, "PER", 0.7), Span(4, 5, "LOC", 0.5)),
]
PERFECT = [
    (Span(0, 2, "PER", 0.9), Span(3, 4, "LOC", 0.9), Span(5, 8, "ORG", 0.9)),
    (Span(0, 1, "PER", 0.9), Span(2, 3, "PER", 0.9)),
]


@pytest.fixture(scope="module")
def documents() -> list[Document]:
    return make_documents("invented", "test")


@pytest.fixture(scope="module")
def part(documents: list[Document]) -> EvaluatedPart:
    return EvaluatedPart("invented", "test", documents, {"transformer": WEAK, "spacy": WEAK, "ensemble": PERFECT})


@pytest.fixture(scope="module")
def ensemble(documents: list[Document]) -> FakeEnsemble:
    rows = zip(documents, WEAK, PERFECT, strict=True)
    return FakeEnsemble(
        {document.text: Answer(perfect, {"transformer": weak, "spacy": perfect}) for document, weak, perfect in rows}
    )
