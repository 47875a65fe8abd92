"""Exact decoding of label probabilities into legal, non-overlapping spans.

Every token has a distribution over the labels of :func:`multiner.pipeline.core.iob2.bio_labels` (O, B-x, I-x, B-y,
I-y, …). A label sequence is legal if each I- continues a span of its type. Viterbi decoding (Viterbi 1967) finds the
most probable legal sequence. A span's score is its marginal probability among the legal sequences, computed by the
forward-backward algorithm (Rabiner 1989).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from multiner.pipeline.core.document import Document, Sentence, Span
from multiner.pipeline.core.iob2 import decode

_TINY = 1e-12


def viterbi(probabilities: np.ndarray) -> np.ndarray:
    """The most probable legal label sequence, as indices ``[tokens]``, from probabilities ``[tokens, labels]``."""
    length, labels = probabilities.shape
    if not length:
        return np.zeros(0, dtype=np.int64)
    path: np.ndarray = probabilities.argmax(axis=1)
    if legal(path):  # the best label of each token: no sequence is more probable, and this covers most sentences
        return path
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


def legal(path: np.ndarray) -> bool:
    """Whether in a sequence of label indices each I- continues a span of its type."""
    before = np.concatenate([[0], path[:-1]])
    inside = (path > 0) & (path % 2 == 0)
    return bool((~inside | (before == path) | (before == path - 1)).all())


class Marginals:
    """Forward and backward sums over the legal label sequences of one sentence.

    In plain floats: for short sentences and few types, numpy's calls would take longer than the arithmetic.

    Args:
        probabilities: ``[tokens, labels]``, rows sum to 1.
    """

    def __init__(self, probabilities: np.ndarray) -> None:
        emit = np.maximum(probabilities, _TINY).astype(np.float64)
        self._outside = emit[:, 0].tolist()
        self._begin, self._in = emit[:, 1::2].tolist(), emit[:, 2::2].tolist()
        # All labels but I- may follow any label, so their sums are joined; only I- depends on the label before.
        self._fresh = (emit[:, 0] + emit[:, 1::2].sum(axis=1)).tolist()
        length, types = len(emit), range(len(self._in[0]) if len(emit) else 0)
        self._scale: list[float] = []
        self._start: list[list[float]] = []  # forward sums of B-, scaled
        self._within: list[list[float]] = []  # forward sums of B- and I-, scaled
        running = [0.0 for _ in types]  # forward sums of B- and I- of the token before
        for index in range(length):
            inside = [self._in[index][type_] * running[type_] for type_ in types]
            scale = self._fresh[index] + sum(inside)
            self._scale.append(scale)
            self._start.append([mass / scale for mass in self._begin[index]])
            running = [(begin + mass) / scale for begin, mass in zip(self._begin[index], inside, strict=True)]
            self._within.append(running)
        # Backward sums: of the rest that begins with any label but I-, and, after B-x or I-x, with I-x.
        self._after = [1.0] * length
        onward = [0.0 for _ in types]
        self._onward = [onward] * length
        for index in range(length - 1, 0, -1):
            after, scale = self._after[index], self._scale[index]
            begun = sum(begin * more for begin, more in zip(self._begin[index], onward, strict=True))
            self._after[index - 1] = (self._fresh[index] * after + begun) / scale
            onward = [self._in[index][type_] * (after + onward[type_]) / scale for type_ in types]
            self._onward[index - 1] = onward

    def types(self) -> list[list[float]]:
        """The probabilities of O and of each type, B- and I- together, at each token; rows sum to 1."""
        steps = zip(self._outside, self._scale, self._within, self._after, self._onward, strict=True)
        return [
            [outside / scale * after, *(mass * (after + more) for mass, more in zip(within, onward, strict=True))]
            for outside, scale, within, after, onward in steps
        ]

    def span(self, start: int, end: int, begin_label: int) -> float:
        """Probability that tokens ``start:end`` are exactly one span whose B- label is ``begin_label``."""
        type_ = begin_label // 2
        mass = self._start[start][type_]
        for index in range(start + 1, end):
            mass *= self._in[index][type_] / self._scale[index]
        return min(max(mass * self._after[end - 1], 0.0), 1.0)


def decode_spans(
    probabilities: np.ndarray, sentences: Sequence[Sentence], labels: Sequence[str], *, scores: bool = True
) -> tuple[Span, ...]:
    """The spans of the most probable legal labels, sentence by sentence.

    Args:
        probabilities: ``[tokens, labels]`` of a document.
        sentences: its sentences; no span crosses their borders.
        labels: the label set, as :func:`multiner.pipeline.core.iob2.bio_labels` orders it.
        scores: whether each span gets its marginal probability as score (else None).
    """
    decoded: list[Span] = []
    index_of = {label: index for index, label in enumerate(labels)}
    for sentence in sentences:
        rows = probabilities[sentence.start : sentence.end]
        spans = decode([labels[index] for index in viterbi(rows)])
        if not spans:
            continue
        marginals = Marginals(rows) if scores else None
        for span in spans:
            score = marginals.span(span.start, span.end, index_of[f"B-{span.label}"]) if marginals else None
            decoded.append(Span(span.start + sentence.start, span.end + sentence.start, span.label, score))
    return tuple(decoded)


def span_f1(gold: Sequence[Document], predicted: Sequence[Sequence[Span]]) -> float:
    """Strict micro F1 of spans, in percent: the fast one (reports use seqeval)."""
    hits = gold_count = predicted_count = 0
    for document, spans in zip(gold, predicted, strict=True):
        gold_spans = {(span.start, span.end, span.label) for span in document.spans}
        hits += sum((span.start, span.end, span.label) in gold_spans for span in spans)
        gold_count += len(gold_spans)
        predicted_count += len(spans)
    return 200.0 * hits / (gold_count + predicted_count) if gold_count + predicted_count else 0.0


def corpus_mean_f1(documents: Sequence[Document], predicted: Sequence[Sequence[Span]]) -> float:
    """Strict span F1 in percent, as the mean over corpora: a small corpus counts as much as a large one.

    Training stops early by it, and the ensemble is tuned by it. Without documents it is 0.
    """
    scores = []
    for corpus in sorted({document.corpus for document in documents}):
        rows = [row for row, document in enumerate(documents) if document.corpus == corpus]
        scores.append(span_f1([documents[row] for row in rows], [predicted[row] for row in rows]))
    return sum(scores) / len(scores) if scores else 0.0
