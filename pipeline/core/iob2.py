"""Spans to IOB2 labels and back (Ramshaw and Marcus 1995; Tjong Kim Sang and Veenstra 1999)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from multiner.pipeline.core.document import Span

OUTSIDE = "O"


def bio_labels(types: Sequence[str]) -> list[str]:
    """The label set of ``types``: O, then B- and I- of each type; label ``2i + 1`` is the B- of type i."""
    return [OUTSIDE, *(f"{prefix}-{type_}" for type_ in types for prefix in "BI")]


def encode(spans: Iterable[Span], length: int) -> list[str]:
    """IOB2 labels of ``length`` tokens with the non-overlapping ``spans``."""
    labels = [OUTSIDE] * length
    for span in spans:
        labels[span.start] = f"B-{span.label}"
        for index in range(span.start + 1, span.end):
            labels[index] = f"I-{span.label}"
    return labels


def decode(labels: Sequence[str]) -> list[Span]:
    """Spans of a legal IOB2 sequence: a span begins at B- and continues with I- of the same type."""
    spans: list[Span] = []
    start, type_ = 0, ""
    for index, label in enumerate([*labels, OUTSIDE]):
        if type_ and label != f"I-{type_}":
            spans.append(Span(start, index, type_))
            type_ = ""
        if label.startswith("B-"):
            start, type_ = index, label[2:]
    return spans
