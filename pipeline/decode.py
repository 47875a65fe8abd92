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
    greedy = probabilities.argmax(axis=-1)
    goes_on = (greedy > 0) & (greedy % 2 == 0)
    before = np.concatenate(([0], greedy[:-1]))
    if np.all(~goes_on | (before == greedy) | (before == greedy - 1)):
        return greedy  # legal as it stands, so no other path is more probable
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
    """Forward and backward sums over the legal label sequences of one sentence, for one distribution or several.

    Args:
        probabilities: ``[..., tokens, labels]``, rows sum to 1; leading axes (legs) are independent of each other.
    """

    def __init__(self, probabilities: np.ndarray) -> None:
        self._emit = np.maximum(probabilities, _TINY).astype(np.float64)
        length, labels = self._emit.shape[-2:]
        self._inside = slice(2, labels, 2)
        self._begin = slice(1, labels, 2)
        self._forward = np.zeros(self._emit.shape)
        reach = np.ones(self._emit[..., 0, :].shape)
        reach[..., self._inside] = 0.0
        for index in range(length):
            row = reach * self._emit[..., index, :]
            scale = row.sum(axis=-1, keepdims=True)
            self._emit[..., index, :] /= scale  # so that forward rows sum to 1 and nothing underflows
            row /= scale
            self._forward[..., index, :] = row
            reach = np.ones(reach.shape)
            reach[..., self._inside] = row[..., self._inside] + row[..., self._begin]
        self._fresh = np.ones((*self._emit.shape[:-2], length + 1))
        ahead = np.ones(reach.shape)
        for index in range(length - 1, -1, -1):
            ahead = ahead * self._emit[..., index, :]
            inside = ahead[..., self._inside]
            fresh = ahead.sum(axis=-1) - inside.sum(axis=-1)
            self._fresh[..., index] = fresh
            ahead = np.broadcast_to(fresh[..., None], reach.shape).copy()
            ahead[..., self._inside] += inside
            ahead[..., self._begin] += inside

    def span(self, start: int, end: int, begin_label: int) -> np.ndarray:
        """Probability that tokens ``start:end`` are exactly one span whose B- label is ``begin_label``, ``[...]``."""
        mass = self._forward[..., start, begin_label] * self._emit[..., start + 1 : end, begin_label + 1].prod(axis=-1)
        return np.clip(mass * self._fresh[..., end], 0.0, 1.0)


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
            score = float(marginals.span(span.start, span.end, index_of[f"B-{span.label}"])) if marginals else None
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
