"""Calibration: do the scores of predicted spans equal the share that is right? And thresholds for a given precision.

A predicted span is right if a gold span has the same first token, last token and type.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from scipy.special import betaincinv

from multiner.pipeline.core.document import Document, Span

BINS = 15
PRECISIONS = (95, 99)  # percent
CONFIDENCE = 0.95  # that a threshold has its precision
TRIES = 10  # scores that are tried as threshold
DIGITS = 6
DRAWS = 200  # simulations for the calibration error by chance


@dataclass(frozen=True)
class ScoredSpans:
    """The scored predictions of a system on one part of a corpus.

    Attributes:
        scores: the probabilities ``[predictions]``.
        right: whether each prediction is right, ``[predictions]``.
        gold: number of gold spans.
        labels: the type of each prediction, ``[predictions]``.
    """

    scores: np.ndarray
    right: np.ndarray
    gold: int
    labels: np.ndarray

    def of_type(self, label: str) -> ScoredSpans:
        """The predictions of a type; ``gold`` stays that of all types."""
        own = self.labels == label
        return ScoredSpans(self.scores[own], self.right[own], self.gold, self.labels[own])


def scored_spans(documents: Sequence[Document], predicted: Sequence[Sequence[Span]]) -> ScoredSpans:
    """Compare predicted spans with the gold ones; a span without a score is left out."""
    scores: list[float] = []
    right: list[bool] = []
    labels: list[str] = []
    for document, spans in zip(documents, predicted, strict=True):
        gold = {(span.start, span.end, span.label) for span in document.spans}
        for span in spans:
            if span.score is not None:
                scores.append(span.score)
                right.append((span.start, span.end, span.label) in gold)
                labels.append(span.label)
    return ScoredSpans(
        np.array(scores, dtype=np.float64),
        np.array(right, dtype=bool),
        sum(len(document.spans) for document in documents),
        np.array(labels, dtype=object),
    )


def calibration(predictions: ScoredSpans, bins: int = BINS) -> dict[str, Any]:
    """Expected calibration error (Naeini et al. 2015), Brier score (1950) and the bins of a reliability diagram.

    There are at most ``bins`` bins of equal mass: their sizes differ by one at most, except that equal scores share a
    bin.

    Returns:
        ``{ece, ece_of_chance, brier, bins: [{low, high, score, accuracy, count}]}``, all but count between 0 and 1.
        ``ece_of_chance`` is the mean error of perfectly calibrated scores on so few predictions. A bin has its lowest,
        highest and mean score, and as accuracy the share of its predictions that are right. Without predictions,
        there are no bins and the figures are None.
    """
    if not len(predictions.scores):
        return {"ece": None, "ece_of_chance": None, "brier": None, "bins": []}
    order = np.argsort(predictions.scores, kind="stable")
    scores, right = predictions.scores[order], predictions.right[order]
    groups = equal_mass(scores, bins)
    simulated = np.random.default_rng(0).random((DRAWS, len(order))) < scores
    by_chance = sum(np.abs(simulated[:, group].mean(axis=1) - scores[group].mean()) * len(group) for group in groups)
    rows = [
        {
            "low": round(float(scores[group[0]]), DIGITS),
            "high": round(float(scores[group[-1]]), DIGITS),
            "score": round(float(scores[group].mean()), DIGITS),
            "accuracy": round(float(right[group].mean()), DIGITS),
            "count": len(group),
        }
        for group in groups
    ]
    gaps = sum(row["count"] * abs(row["score"] - row["accuracy"]) for row in rows)
    return {
        "ece": round(gaps / len(order), DIGITS),
        "ece_of_chance": round(float(np.mean(by_chance)) / len(order), DIGITS),
        "brier": round(float(np.mean((scores - right) ** 2)), DIGITS),
        "bins": rows,
    }


def equal_mass(scores: np.ndarray, bins: int) -> list[np.ndarray]:
    """Divide the indices of sorted scores into at most ``bins`` groups of similar size; equal scores share a group."""
    indices = np.arange(len(scores))
    firsts = [group[0] for group in np.array_split(indices, min(bins, len(scores)))]
    return np.split(indices, np.unique(np.searchsorted(scores, scores[firsts]))[1:])


def precision_bound(right: int, count: int) -> float:
    """The lower bound of a precision of which ``right`` of ``count`` predictions were seen to be right.

    It is exact (Clopper and Pearson 1934), and holds for :data:`TRIES` of them at once (Bonferroni) with
    :data:`CONFIDENCE`.
    """
    return float(betaincinv(right, count - right + 1, (1 - CONFIDENCE) / TRIES)) if right else 0.0


def threshold(predictions: ScoredSpans, precision: float) -> float | None:
    """The lowest score from which on predictions have this precision (0 to 1), as far as these can show.

    Tried are the scores that keep a tenth, two tenths … of the predictions. Since the bound holds for all of them at
    once, the lowest of those that reach the precision may be taken.

    Returns:
        the score; None if none of them reaches the precision.
    """
    ordered = -np.sort(-predictions.scores)
    lowest = None
    for share in range(1, TRIES + 1) if len(ordered) else ():
        score = float(ordered[ceil(share * len(ordered) / TRIES) - 1])
        above = predictions.scores >= score
        if precision_bound(int(predictions.right[above].sum()), int(above.sum())) >= precision:
            lowest = score
    return lowest


def at_threshold(predictions: ScoredSpans, score: float) -> dict[str, float | None]:
    """Precision (None if there are none), recall and share of the predictions at or above a threshold, in percent."""
    above = predictions.scores >= score
    right = int(predictions.right[above].sum())
    return {
        "precision": round(100.0 * right / int(above.sum()), 4) if above.any() else None,
        "recall": round(100.0 * right / predictions.gold, 4) if predictions.gold else 0.0,
        "share": round(100.0 * float(above.mean()), 4) if len(above) else 0.0,
    }


def thresholds(gate: ScoredSpans, test: ScoredSpans | None) -> dict[str, Any]:
    """For each of :data:`PRECISIONS` a threshold from the gate half of development, which nothing was fitted to.

    Returns:
        ``{"95": {score, gate: {precision, recall, share}, test: {…}, types: {PER: score, …}}, …}``: what the threshold
        keeps there and on the test part, and the threshold of each type alone. Null where the precision is not reached,
        or where there is no test part.
    """
    table: dict[str, Any] = {}
    for precision in PRECISIONS:
        score = threshold(gate, precision / 100)
        table[str(precision)] = {
            "score": score,
            "gate": None if score is None else at_threshold(gate, score),
            "test": None if score is None or test is None else at_threshold(test, score),
            "types": {
                label: threshold(gate.of_type(label), precision / 100) for label in sorted(set(gate.labels.tolist()))
            },
        }
    return table
