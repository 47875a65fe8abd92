"""Do scores mean what they say? Calibration of predicted entities, and thresholds for a wanted precision.

A prediction is right when a gold span has its first token, last token and type; its score claims how likely that is.
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
DRAWS = 200  # simulated scored_spans behind the error of chance


@dataclass(frozen=True)
class ScoredSpans:
    """The scored predictions of a system on a part.

    Attributes:
        scores: probabilities, ``[predictions]``.
        right: whether each prediction is right, ``[predictions]``.
        gold: number of gold spans.
    """

    scores: np.ndarray
    right: np.ndarray
    gold: int


def scored_spans(documents: Sequence[Document], predicted: Sequence[Sequence[Span]]) -> ScoredSpans:
    """What became of each prediction; one without a score is left out.

    Raises:
        ValueError: the lengths differ.
    """
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


def calibration(found: ScoredSpans, bins: int = BINS) -> dict[str, Any]:
    """Expected calibration error (Naeini et al. 2015), Brier score (1950) and the bins of a reliability diagram.

    Args:
        found: predictions.
        bins: of equal mass: each holds as many predictions as the next, but for one and for equal scores, which
            share a bin; fewer where there are fewer predictions or different scores.

    Returns:
        ``{ece, ece_of_chance, brier, bins: [{low, high, score, accuracy, count}]}``, all between 0 and 1.
        ece_of_chance: what the error would be on average if every score were exactly right, by the chance of so few
        predictions in a bin alone. A bin's lowest, highest and mean score, and the share of its predictions that are
        right. All but bins are None where there is no prediction.
    """
    if not len(found.scores):
        return {"ece": None, "ece_of_chance": None, "brier": None, "bins": []}
    order = np.argsort(found.scores, kind="stable")
    found = ScoredSpans(found.scores[order], found.right[order], found.gold)
    parts = equal_mass(found.scores, bins)
    drawn = np.random.default_rng(0).random((DRAWS, len(order))) < found.scores
    chance = sum(np.abs(drawn[:, part].mean(axis=1) - found.scores[part].mean()) * len(part) for part in parts)
    rows = []
    for part in parts:
        scores = found.scores[part]
        rows.append(
            {
                "low": round(float(scores[0]), DIGITS),
                "high": round(float(scores[-1]), DIGITS),
                "score": round(float(scores.mean()), DIGITS),
                "accuracy": round(float(found.right[part].mean()), DIGITS),
                "count": len(part),
            }
        )
    gaps = sum(row["count"] * abs(row["score"] - row["accuracy"]) for row in rows)
    brier = float(np.mean((found.scores - found.right) ** 2))
    return {
        "ece": round(gaps / len(order), DIGITS),
        "ece_of_chance": round(float(np.mean(chance)) / len(order), DIGITS),
        "brier": round(brier, DIGITS),
        "bins": rows,
    }


def equal_mass(scores: np.ndarray, bins: int) -> list[np.ndarray]:
    """The places of sorted ``scores`` in at most so many bins of about one size, equal scores in one of them."""
    places = np.arange(len(scores))
    firsts = [part[0] for part in np.array_split(places, min(bins, len(scores)))]
    return np.split(places, np.unique(np.searchsorted(scores, scores[firsts]))[1:])


def threshold(found: ScoredSpans, precision: float) -> float | None:
    """The lowest score at which the predictions that reach it are right with ``precision`` (0 to 1); None: at none."""
    order = np.argsort(-found.scores, kind="stable")
    scores, right = found.scores[order], found.right[order]
    reached = np.cumsum(right) >= precision * np.arange(1, len(right) + 1)
    last_of_its_score = np.append(scores[1:] != scores[:-1], True)[: len(scores)]
    places = np.flatnonzero(reached & last_of_its_score)
    return float(scores[places[-1]]) if len(places) else None


def above(found: ScoredSpans, score: float) -> dict[str, float | None]:
    """What is left of the predictions at a threshold, in percent.

    Returns:
        precision (None where nothing is left), recall, and share (of the predictions that are left).
    """
    kept = found.scores >= score
    right = int(found.right[kept].sum())
    return {
        "precision": round(100.0 * right / int(kept.sum()), 4) if kept.any() else None,
        "recall": round(100.0 * right / found.gold, 4) if found.gold else 0.0,
        "share": round(100.0 * float(kept.mean()), 4) if len(kept) else 0.0,
    }


def thresholds(dev: ScoredSpans, test: ScoredSpans | None) -> dict[str, Any]:
    """For each of :data:`PRECISIONS` the threshold found on development documents, and what it keeps there and in test.

    Args:
        dev: predictions on the whole development part, both halves: one alone has too few.
        test: predictions on the test part, which only reports.

    Returns:
        ``{"95": {score, dev: {precision, recall, share}, test: {…}}, …}``; None for a precision that no threshold
        reaches.
    """
    table: dict[str, Any] = {}
    for wanted in PRECISIONS:
        score = threshold(dev, wanted / 100)
        table[str(wanted)] = None if score is None else {"score": score, "dev": above(dev, score)}
        if score is not None and test is not None:
            table[str(wanted)]["test"] = above(test, score)
    return table
