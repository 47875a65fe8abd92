"""Kinds of errors and the sentences that show them."""

from __future__ import annotations

import pytest

from multiner.pipeline.core.document import Span
from multiner.pipeline.core.span_differences import (
    BOUNDARY,
    MISSED,
    SPURIOUS,
    TYPE,
    count_kinds,
    span_errors,
    worst_sentences,
    wrong_spans,
)
from multiner.pipeline.evaluation.predictions import EvaluatedPart


@pytest.mark.parametrize(
    ("gold", "predicted", "kinds"),
    [
        ([Span(0, 2, "PER")], [Span(0, 2, "PER", 0.5)], []),
        ([Span(0, 2, "PER")], [], [MISSED]),
        ([], [Span(0, 2, "PER")], [SPURIOUS]),
        ([Span(0, 2, "PER")], [Span(0, 2, "LOC")], [TYPE]),
        ([Span(0, 2, "PER")], [Span(0, 1, "PER")], [BOUNDARY]),
        ([Span(0, 2, "PER")], [Span(1, 3, "LOC")], [TYPE]),
        ([Span(0, 2, "PER")], [Span(2, 3, "PER")], [MISSED, SPURIOUS]),
        ([Span(0, 1, "PER"), Span(2, 3, "PER")], [Span(0, 3, "PER")], [BOUNDARY, BOUNDARY]),
        ([Span(0, 5, "ORG")], [Span(0, 3, "ORG"), Span(4, 5, "LOC")], [BOUNDARY]),
    ],
)
def test_kinds(gold: list[Span], predicted: list[Span], kinds: list[str]) -> None:
    assert [error.kind for error in span_errors(gold, predicted)] == kinds


def test_every_wrong_prediction_is_marked() -> None:
    gold = [Span(0, 5, "ORG"), Span(7, 8, "PER")]
    predicted = [Span(0, 3, "ORG"), Span(4, 5, "LOC"), Span(6, 7, "LOC"), Span(7, 8, "PER", 0.4)]
    assert wrong_spans(gold, predicted) == {predicted[0]: BOUNDARY, predicted[1]: TYPE, predicted[2]: SPURIOUS}


def test_counts_of_kinds(part: EvaluatedPart) -> None:
    assert count_kinds(part.documents, part.systems["transformer"]) == {MISSED: 1, SPURIOUS: 1, TYPE: 1, BOUNDARY: 1}
    assert not any(count_kinds(part.documents, part.systems["ensemble"]).values())


def test_worst_sentences(part: EvaluatedPart) -> None:
    cases = worst_sentences(part.documents, part.systems, "transformer", 10)
    # the second sentence of the first document has no error at all
    assert [(case.document, case.sentence) for case in cases] == [(0, 0), (1, 0)]
    assert len(worst_sentences(part.documents, part.systems, "transformer", 1)) == 1
    assert worst_sentences(part.documents, {"ensemble": part.systems["ensemble"]}, "ensemble", 10) == []
