"""What kind of error is it: missed, spurious, wrong type or wrong boundary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from multiner.pipeline.core.document import Document, Span

MISSED, SPURIOUS, TYPE, BOUNDARY = "missed", "spurious", "wrong type", "wrong boundary"
KINDS = (MISSED, SPURIOUS, TYPE, BOUNDARY)


@dataclass(frozen=True, slots=True)
class Mistake:
    """An error of a system; ``gold`` is None for a spurious span, ``predicted`` for a missed one."""

    kind: str
    gold: Span | None
    predicted: Span | None

    @property
    def types(self) -> set[str]:
        """The types it concerns."""
        return {span.label for span in (self.gold, self.predicted) if span}

    @property
    def start(self) -> int:
        """The first token it concerns."""
        return min(span.start for span in (self.gold, self.predicted) if span)


@dataclass(frozen=True, slots=True)
class Case:
    """A sentence of a document with each system's mistakes in it."""

    document: int
    sentence: int
    mistakes: dict[str, list[Mistake]]


def _common(one: Span, other: Span) -> int:
    return min(one.end, other.end) - max(one.start, other.start)


def mistakes(gold: Sequence[Span], predicted: Sequence[Span]) -> list[Mistake]:
    """The errors of ``predicted``, in the order of the text.

    Each gold span that was not found exactly is one error, by the predicted span that covers most of it: another
    type (whatever its boundaries), other boundaries, or none at all. A predicted span that touches no gold span
    is spurious.
    """
    found = {(span.start, span.end, span.label) for span in gold} & {
        (span.start, span.end, span.label) for span in predicted
    }
    errors: list[Mistake] = []
    for span in gold:
        if (span.start, span.end, span.label) in found:
            continue
        touching = [other for other in predicted if _common(span, other) > 0]
        if not touching:
            errors.append(Mistake(MISSED, span, None))
            continue
        nearest = max(touching, key=lambda other: (_common(span, other), other.label == span.label))
        errors.append(Mistake(BOUNDARY if nearest.label == span.label else TYPE, span, nearest))
    errors += [
        Mistake(SPURIOUS, None, other) for other in predicted if not any(_common(span, other) > 0 for span in gold)
    ]
    return sorted(errors, key=lambda error: error.start)


def wrong_spans(gold: Sequence[Span], predicted: Sequence[Span]) -> dict[Span, str]:
    """The predicted spans that are no gold span → kind, seen from the prediction (for marking them)."""
    wrong: dict[Span, str] = {}
    for span in predicted:
        touching = [other for other in gold if _common(span, other) > 0]
        if not touching:
            wrong[span] = SPURIOUS
            continue
        nearest = max(touching, key=lambda other: (_common(span, other), other.label == span.label))
        if (nearest.start, nearest.end, nearest.label) != (span.start, span.end, span.label):
            wrong[span] = BOUNDARY if nearest.label == span.label else TYPE
    return wrong


def count_kinds(documents: Sequence[Document], predicted: Sequence[Sequence[Span]]) -> dict[str, int]:
    """How many errors of each kind a system makes."""
    counts = dict.fromkeys(KINDS, 0)
    for document, spans in zip(documents, predicted, strict=True):
        for error in mistakes(document.spans, spans):
            counts[error.kind] += 1
    return counts


def worst(
    documents: Sequence[Document], systems: Mapping[str, Sequence[Sequence[Span]]], leading: str, limit: int
) -> list[Case]:
    """At most ``limit`` sentences with errors: most errors of the system ``leading`` first, then of all systems."""
    cases: list[Case] = []
    for row, document in enumerate(documents):
        found = {name: mistakes(document.spans, spans[row]) for name, spans in systems.items()}
        for index, sentence in enumerate(document.sentences):
            here = {
                name: [error for error in errors if sentence.start <= error.start < sentence.end]
                for name, errors in found.items()
            }
            if any(here.values()):
                cases.append(Case(row, index, here))
    cases.sort(key=lambda case: (-len(case.mistakes[leading]), -sum(map(len, case.mistakes.values()))))
    return cases[:limit]
