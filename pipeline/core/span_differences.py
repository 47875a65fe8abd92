"""Errors of predicted spans by kind: missed, spurious, wrong type, wrong boundary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from multiner.pipeline.core.document import Document, Span

MISSED, SPURIOUS, TYPE, BOUNDARY = "missed", "spurious", "wrong type", "wrong boundary"
KINDS = (MISSED, SPURIOUS, TYPE, BOUNDARY)


@dataclass(frozen=True, slots=True)
class SpanError:
    """An error of a system; ``gold`` is None for a spurious span, ``predicted`` is None for a missed one."""

    kind: str
    gold: Span | None
    predicted: Span | None

    @property
    def types(self) -> set[str]:
        """The entity types of its spans."""
        return {span.label for span in (self.gold, self.predicted) if span}

    @property
    def start(self) -> int:
        """The first token of its spans."""
        return min(span.start for span in (self.gold, self.predicted) if span)


@dataclass(frozen=True, slots=True)
class SentenceErrors:
    """A sentence, by its index and its document's, with the errors of each system in it."""

    document: int
    sentence: int
    errors: dict[str, list[SpanError]]


def _common(one: Span, other: Span) -> int:
    """Number of tokens in both spans; zero or less where they do not overlap."""
    return min(one.end, other.end) - max(one.start, other.start)


def _nearest(span: Span, others: Sequence[Span]) -> Span | None:
    """The one of ``others`` that covers most of ``span``, rather one of its type; None where none overlaps it."""
    overlapping = [other for other in others if _common(span, other) > 0]
    return max(overlapping, key=lambda other: (_common(span, other), other.label == span.label), default=None)


def span_errors(gold: Sequence[Span], predicted: Sequence[Span]) -> list[SpanError]:
    """The errors of ``predicted``, in the order of the text.

    Each gold span that was not predicted exactly is one error. The predicted span that covers most of it gives the
    kind: wrong type (whatever the boundaries), or wrong boundary; the gold span is missed where none overlaps it. A
    predicted span that overlaps no gold span is spurious.
    """
    hits = {(span.start, span.end, span.label) for span in gold} & {
        (span.start, span.end, span.label) for span in predicted
    }
    errors: list[SpanError] = []
    for span in gold:
        if (span.start, span.end, span.label) in hits:
            continue
        nearest = _nearest(span, predicted)
        if nearest is None:
            errors.append(SpanError(MISSED, span, None))
        else:
            errors.append(SpanError(BOUNDARY if nearest.label == span.label else TYPE, span, nearest))
    errors += [
        SpanError(SPURIOUS, None, other) for other in predicted if not any(_common(span, other) > 0 for span in gold)
    ]
    return sorted(errors, key=lambda error: error.start)


def wrong_spans(gold: Sequence[Span], predicted: Sequence[Span]) -> dict[Span, str]:
    """Kind of error of each predicted span that is no gold span (to mark them in a text)."""
    wrong: dict[Span, str] = {}
    for span in predicted:
        nearest = _nearest(span, gold)
        if nearest is None:
            wrong[span] = SPURIOUS
        elif (nearest.start, nearest.end, nearest.label) != (span.start, span.end, span.label):
            wrong[span] = BOUNDARY if nearest.label == span.label else TYPE
    return wrong


def count_kinds(documents: Sequence[Document], predicted: Sequence[Sequence[Span]]) -> dict[str, int]:
    """Number of errors of each kind that a system makes."""
    counts = dict.fromkeys(KINDS, 0)
    for document, spans in zip(documents, predicted, strict=True):
        for error in span_errors(document.spans, spans):
            counts[error.kind] += 1
    return counts


def worst_sentences(
    documents: Sequence[Document], systems: Mapping[str, Sequence[Sequence[Span]]], leading: str, limit: int
) -> list[SentenceErrors]:
    """At most ``limit`` sentences with errors, sorted by the errors of the system ``leading``, then of all systems."""
    sentences: list[SentenceErrors] = []
    for row, document in enumerate(documents):
        by_system = {name: span_errors(document.spans, spans[row]) for name, spans in systems.items()}
        for index, sentence in enumerate(document.sentences):
            here = {
                name: [error for error in errors if sentence.start <= error.start < sentence.end]
                for name, errors in by_system.items()
            }
            if any(here.values()):
                sentences.append(SentenceErrors(row, index, here))
    sentences.sort(key=lambda one: (-len(one.errors[leading]), -sum(map(len, one.errors.values()))))
    return sentences[:limit]
