"""Calibration: do the scores of predicted spans equal the share that is right? And thresholds for a given precision.

A predicted span is right if a gold span has the same first token, last token and type.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from multiner.pipeline.core.document import Document, Span

BINS = 15
PRECISIONS = (95, 99)  # percent
DIGITS = 6
DRAWS = 200  # simulations for the calibration error by chance


@dataclass(frozen=True)
class ScoredSpans:
    """The scored predictions of a system on one part of a corpus.

    Attributes:
        scores: the probabilities ``[predictions]``.
        right: whether each prediction is right, ``[predictions]``.
        gold: number of gold spans.
    """

    scores: np.ndarray
    right: np.ndarray
    gold: int


def scored_spans(documents: Sequence[Document], predicted: Sequence[Sequence[Span]]) -> ScoredSpans:
    """Compare predicted spans with the gold ones; a span without a score is left out."""
    scores: list[float] = []
    right: list[bool] = []
    for document, spans in zip(documents, predicted, strict=True):
        gold = {(span.start, span.end, span.label) for span in document.spans}
        for span in spans:
            if span.score is not None:
                scores.append(span.score)
                right.append((span.start, span.end, span.label) in gold)
    return ScoredSpans(
        np.array(scores, dtype=np.float64),
        np.array(right, dtype=bool),
        sum(len(document.spans) for document in documents),
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


def threshold(predictions: ScoredSpans, precision: float) -> float | None:
    """The lowest score at or above which predictions have this precision (0 to 1); None if there is no such score."""
    order = np.argsort(-predictions.scores, kind="stable")
    scores, right = predictions.scores[order], predictions.right[order]
    precise = np.cumsum(right) >= precision * np.arange(1, len(right) + 1)
    last_of_equals = np.append(scores[1:] != scores[:-1], True)[: len(scores)]
    indices = np.flatnonzero(precise & last_of_equals)
    return float(scores[indices[-1]]) if len(indices) else None


def at_threshold(predictions: ScoredSpans, score: float) -> dict[str, float | None]:
    """Precision (None if there are none), recall and share of the predictions at or above a threshold, in percent."""
    above = predictions.scores >= score
    right = int(predictions.right[above].sum())
    return {
        "precision": round(100.0 * right / int(above.sum()), 4) if above.any() else None,
        "recall": round(100.0 * right / predictions.gold, 4) if predictions.gold else 0.0,
        "share": round(100.0 * float(above.mean()), 4) if len(above) else 0.0,
    }


def thresholds(dev: ScoredSpans, test: ScoredSpans | None) -> dict[str, Any]:
    """For each of :data:`PRECISIONS` a threshold from the development part, and its effect there and on the test part.

    The whole development part is used, since one of its halves has too few predictions.

    Returns:
        ``{"95": {score, dev: {precision, recall, share}, test: {…}}, …}``; None for a precision without a threshold.
    """
    table: dict[str, Any] = {}
    for precision in PRECISIONS:
        score = threshold(dev, precision / 100)
        table[str(precision)] = None if score is None else {"score": score, "dev": at_threshold(dev, score)}
        if score is not None and test is not None:
            table[str(precision)]["test"] = at_threshold(test, score)
    return table
