"""Exact decoding of label probabilities into legal, non-overlapping spans.

Every token has a distribution over the labels of :func:`pipeline.bio.bio_labels` (O, B-x, I-x, B-y, I-y, …). Of all
label sequences in which an I- goes on a span of its type, Viterbi decoding (Viterbi 1967) takes the most probable one.
A span's score is its marginal probability among those sequences, by the forward-backward algorithm (Rabiner 1989).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.bio import decode as spans_of
from pipeline.document import Document, Sentence, Span

_TINY = 1e-12


def viterbi(probabilities: np.ndarray) -> np.ndarray:
    """The most probable legal label sequence.

    Args:
        probabilities: ``[tokens, labels]``, rows sum to 1.

    Returns:
        label indices, ``[tokens]``.
    """
    length, labels = probabilities.shape
    if not length:
        return np.zeros(0, dtype=np.int64)
    scores = np.log(np.maximum(probabilities, _TINY).astype(np.float64))
    inside = np.arange(2, labels, 2)
    back = np.empty((length, labels), dtype=np.int64)
    best = scores[0].copy()
    best[inside] = -np.inf
    for index in range(1, length):
        leader = int(best.argmax())
        from_begin = best[inside - 1] >= best[inside]
        previous = np.where(from_begin, inside - 1, inside)
        row = np.full(labels, leader, dtype=np.int64)
        row[inside] = previous
        back[index] = row
        best = best[row] + scores[index]
    path = np.empty(length, dtype=np.int64)
    path[-1] = int(best.argmax())
    for index in range(length - 1, 0, -1):
        path[index - 1] = back[index, path[index]]
    return path


class Marginals:
    """Forward and backward sums over the legal label sequences of one sentence.

    Args:
        probabilities: ``[tokens, labels]``, rows sum to 1.
    """

    def __init__(self, probabilities: np.ndarray) -> None:
        self._emit = np.maximum(probabilities, _TINY).astype(np.float64)
        length, labels = self._emit.shape
        inside = np.arange(2, labels, 2)
        self._inside = inside
        self._forward = np.zeros((length, labels))
        self._scale = np.ones(length)
        reach = np.ones(labels)
        reach[inside] = 0.0
        for index in range(length):
            row = reach * self._emit[index]
            self._scale[index] = row.sum()
            row /= self._scale[index]
            self._forward[index] = row
            reach = np.full(labels, 1.0)
            reach[inside] = row[inside] + row[inside - 1]
        self._backward = np.ones((length, labels))
        for index in range(length - 2, -1, -1):
            ahead = self._emit[index + 1] * self._backward[index + 1] / self._scale[index + 1]
            fresh = ahead.sum() - ahead[inside].sum()
            row = np.full(labels, fresh)
            row[inside] += ahead[inside]
            row[inside - 1] += ahead[inside]
            self._backward[index] = row

    def span(self, start: int, end: int, begin_label: int) -> float:
        """Probability that tokens ``start:end`` are exactly one span whose B- label is ``begin_label``."""
        inside = begin_label + 1
        mass = self._forward[start, begin_label]
        for index in range(start + 1, end):
            mass *= self._emit[index, inside] / self._scale[index]
        if end < len(self._emit):
            ahead = self._emit[end] * self._backward[end] / self._scale[end]
            mass *= ahead.sum() - ahead[self._inside].sum()
        return float(min(max(mass, 0.0), 1.0))


def decode_spans(
    probabilities: np.ndarray, sentences: Sequence[Sentence], labels: Sequence[str], *, scores: bool = True
) -> tuple[Span, ...]:
    """The spans of the most probable legal labels, sentence by sentence.

    Args:
        probabilities: ``[tokens, labels]`` of a document.
        sentences: its sentences; no span crosses their borders.
        labels: the label set, as :func:`pipeline.bio.bio_labels` orders it.
        scores: give each span its marginal probability (else None).
    """
    found: list[Span] = []
    index_of = {label: index for index, label in enumerate(labels)}
    for sentence in sentences:
        rows = probabilities[sentence.start : sentence.end]
        spans = spans_of([labels[index] for index in viterbi(rows)])
        if not spans:
            continue
        marginals = Marginals(rows) if scores else None
        for span in spans:
            score = marginals.span(span.start, span.end, index_of[f"B-{span.label}"]) if marginals else None
            found.append(Span(span.start + sentence.start, span.end + sentence.start, span.label, score))
    return tuple(found)


def span_f1(gold: Sequence[Document], predicted: Sequence[Sequence[Span]]) -> float:
    """Strict micro F1 of spans, in percent; quick, for tuning and early stopping (reports use seqeval)."""
    hits = found = wanted = 0
    for document, spans in zip(gold, predicted, strict=True):
        right = {(span.start, span.end, span.label) for span in document.spans}
        hits += sum((span.start, span.end, span.label) in right for span in spans)
        found += len(spans)
        wanted += len(right)
    return 200.0 * hits / (found + wanted) if found + wanted else 0.0
