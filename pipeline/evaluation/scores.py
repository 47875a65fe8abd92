"""Strict span scores and token confusion, as pure functions of gold documents and predicted spans.

A predicted span is right if a gold span has the same first token, last token and type. Each document is one IOB2
sequence. Since every span begins with B-, sentence borders have no effect, even on a span that crosses one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from multiner.pipeline.core.document import Document, Span
from multiner.pipeline.core.iob2 import OUTSIDE, encode

DIGITS = 4  # decimals of every figure in percent


def _labels(document: Document, spans: Iterable[Span]) -> list[str]:
    ordered = sorted(spans, key=lambda span: span.start)
    for before, after in pairwise(ordered):
        if after.start < before.end:
            raise ValueError(f"spans overlap in document {document.id!r}: {before} and {after}")
    return encode(ordered, len(document.tokens))


def _figures(row: dict[str, Any] | None) -> dict[str, Any]:
    row = row or {"f1-score": 0.0, "precision": 0.0, "recall": 0.0, "support": 0}
    figures: dict[str, Any] = {
        name: round(100.0 * float(row[key]), DIGITS)
        for name, key in (("f1", "f1-score"), ("precision", "precision"), ("recall", "recall"))
    }
    return figures | {"support": int(row["support"])}


def score(gold: Sequence[Document], predicted: Sequence[Sequence[Span]], types: Sequence[str]) -> dict[str, Any]:
    """Strict span precision, recall and F1 by seqeval (mode strict, scheme IOB2), micro-averaged and per type.

    A type without gold and predicted spans gets zeros.

    Returns:
        ``{f1, precision, recall, support, per_type: {type: {f1, precision, recall, support}}}``, in percent;
        support is the number of gold spans.

    Raises:
        ValueError: the lengths differ, or spans of a document overlap.
    """
    from seqeval.metrics import classification_report
    from seqeval.scheme import IOB2

    truth = [_labels(document, document.spans) for document in gold]
    guess = [_labels(document, spans) for document, spans in zip(gold, predicted, strict=True)]
    report: dict[str, Any] = {}
    if any(label != OUTSIDE for sequences in (truth, guess) for labels in sequences for label in labels):
        report = classification_report(truth, guess, mode="strict", scheme=IOB2, output_dict=True, zero_division=0)
    return _figures(report.get("micro avg")) | {"per_type": {type_: _figures(report.get(type_)) for type_ in types}}


def score_items(
    right: Collection[tuple], predicted: Collection[tuple], gold: Collection[tuple], types: Sequence[str]
) -> dict[str, Any]:
    """The figures of :func:`score` for items that need not be token spans; the last element of an item is its type."""

    def figures(type_: str | None = None) -> dict[str, Any]:
        hits, guesses, support = (
            sum(type_ is None or item[-1] == type_ for item in items) for items in (right, predicted, gold)
        )
        percent = {
            "f1": 200.0 * hits / (guesses + support) if guesses + support else 0.0,
            "precision": 100.0 * hits / guesses if guesses else 0.0,
            "recall": 100.0 * hits / support if support else 0.0,
        }
        return {name: round(value, DIGITS) for name, value in percent.items()} | {"support": support}

    return figures() | {"per_type": {type_: figures(type_) for type_ in types}}


def token_f1(confusion: np.ndarray, types: Sequence[str]) -> dict[str, float]:
    """F1 of the tokens of each type, in percent, whatever the borders of entities; naeval reports it for Russian.

    ``confusion`` is from :func:`token_confusion`. A type without gold and predicted tokens has zero.
    """
    right = np.diag(confusion)
    sides = confusion.sum(0) + confusion.sum(1)
    return {
        type_: round(200.0 * int(right[row]) / int(sides[row]), DIGITS) if sides[row] else 0.0
        for row, type_ in enumerate(types, 1)
    }


def span_counts(gold: Sequence[Document], predicted: Sequence[Sequence[Span]]) -> np.ndarray:
    """True positives, false positives and false negatives of each document, ``[documents, 3]``, for the bootstrap."""
    counts = np.zeros((len(gold), 3), dtype=np.int64)
    for row, (document, spans) in enumerate(zip(gold, predicted, strict=True)):
        truth = {(span.start, span.end, span.label) for span in document.spans}
        guess = {(span.start, span.end, span.label) for span in spans}
        right = len(truth & guess)
        counts[row] = right, len(guess) - right, len(truth) - right
    return counts


def token_confusion(gold: Sequence[Document], predicted: Sequence[Sequence[Span]], types: Sequence[str]) -> np.ndarray:
    """The number of tokens by gold type (rows) and predicted type (columns), ``[types + 1, types + 1]``; O is first."""
    index = {OUTSIDE: 0} | {type_: place + 1 for place, type_ in enumerate(types)}
    confusion = np.zeros((len(index), len(index)), dtype=np.int64)
    for document, spans in zip(gold, predicted, strict=True):
        kinds = np.zeros((2, len(document.tokens)), dtype=np.int64)
        for row, side in enumerate((document.spans, spans)):
            for span in side:
                kinds[row, span.start : span.end] = index[span.label]
        np.add.at(confusion, (kinds[0], kinds[1]), 1)
    return confusion


def without_sentences(document: Document, spans: Iterable[Span], excluded: Collection[int]) -> list[Span]:
    """The spans that begin outside the sentences ``excluded`` (indices into ``document.sentences``)."""
    gaps = [document.sentences[index] for index in excluded]
    return [span for span in spans if not any(gap.start <= span.start < gap.end for gap in gaps)]
