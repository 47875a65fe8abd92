"""Whether a system is better than another, or no worse: paired bootstrap over documents (Efron 1979; Koehn 2004)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A difference in micro F1, in percentage points, with its 95 % interval and two-sided p-value."""

    difference: float
    low: float
    high: float
    p: float

    def __str__(self) -> str:
        return f"{self.difference:+.2f} [{self.low:+.2f}, {self.high:+.2f}], p = {self.p:.3f}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a challenger is no worse than the champion; ``reasons`` explain both outcomes."""

    passed: bool
    reasons: list[str]
    overall: Interval
    per_corpus: dict[str, Interval] = field(default_factory=dict)


def micro_f1(counts: np.ndarray) -> np.ndarray:
    """F1 in percent from true positives, false positives and false negatives, in the last axis.

    As in seqeval, F1 is 0 without gold and predicted spans.
    """
    counts = np.asarray(counts, dtype=np.float64)
    right, spurious, missed = counts[..., 0], counts[..., 1], counts[..., 2]
    total = 2 * right + spurious + missed
    return 100.0 * np.divide(2 * right, total, out=np.zeros_like(total), where=total > 0)


def _check(counts_a: np.ndarray, counts_b: np.ndarray) -> None:
    if counts_a.shape != counts_b.shape or counts_a.ndim != 2 or counts_a.shape[1] != 3:
        raise ValueError(f"expected two arrays of shape [documents, 3], got {counts_a.shape} and {counts_b.shape}")
    if (counts_a[:, [0, 2]].sum(1) != counts_b[:, [0, 2]].sum(1)).any():
        raise ValueError("the two systems were scored on different gold spans")


def _resampled(counts_a: np.ndarray, counts_b: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Summed counts ``[resamples, 2 systems, 3]`` of documents drawn with replacement, the same for both systems."""
    documents = len(counts_a)
    draws = rng.multinomial(documents, np.full(documents, 1.0 / documents), size=resamples)
    return (draws @ np.hstack([counts_a, counts_b])).reshape(resamples, 2, 3)


def _interval(totals: np.ndarray, resampled: np.ndarray) -> Interval:
    before, after = micro_f1(totals)
    differences = micro_f1(resampled[:, 1]) - micro_f1(resampled[:, 0])
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(differences, [tail, 1 - tail])
    smaller = 1 + min((differences <= 0).sum(), (differences >= 0).sum())
    p = min(1.0, 2 * smaller / (len(differences) + 1))
    return Interval(float(after - before), float(low), float(high), float(p))


def paired_bootstrap(counts_a: np.ndarray, counts_b: np.ndarray, *, resamples: int, seed: int) -> Interval:
    """The micro F1 of system b minus that of system a, with a percentile interval.

    Args:
        counts_a, counts_b: true positives, false positives and false negatives of the same documents in the same
            order, ``[documents, 3]`` (see :func:`multiner.pipeline.evaluation.scores.span_counts`).

    Raises:
        ValueError: there are no documents, or the arrays do not belong together.
    """
    counts_a, counts_b = np.asarray(counts_a), np.asarray(counts_b)
    _check(counts_a, counts_b)
    if not len(counts_a):
        raise ValueError("no documents to compare on")
    resampled = _resampled(counts_a, counts_b, resamples, np.random.default_rng(seed))
    return _interval(np.stack([counts_a.sum(0), counts_b.sum(0)]), resampled)


def no_worse(
    champion: Mapping[str, np.ndarray],
    challenger: Mapping[str, np.ndarray],
    *,
    min_difference: float,
    min_difference_corpus: float,
    resamples: int,
    seed: int,
) -> Verdict:
    """The promotion rule: whether ``challenger`` is good enough to replace ``champion``.

    It is if the upper end of the 95 % interval of the overall difference in micro F1 is at least 0, the difference is
    at least ``min_difference`` overall, and at least ``min_difference_corpus`` on each corpus. The overall difference
    is that on all documents together; resamples are drawn within each corpus.

    Args:
        champion, challenger: corpus → counts ``[documents, 3]`` on the same documents; corpora without documents are
            ignored.
        min_difference, min_difference_corpus: F1 points, zero or negative.

    Raises:
        ValueError: the corpora or documents of the two differ, or there are none.
    """
    if set(champion) != set(challenger):
        raise ValueError(f"corpora differ: {sorted(champion)} and {sorted(challenger)}")
    corpora = [corpus for corpus in sorted(champion) if len(champion[corpus]) or len(challenger[corpus])]
    if not corpora:
        raise ValueError("no documents to compare on")

    rng = np.random.default_rng(seed)
    all_totals = np.zeros((2, 3), dtype=np.int64)
    all_resampled = np.zeros((resamples, 2, 3), dtype=np.int64)
    per_corpus: dict[str, Interval] = {}
    for corpus in corpora:
        before, after = np.asarray(champion[corpus]), np.asarray(challenger[corpus])
        _check(before, after)
        totals = np.stack([before.sum(0), after.sum(0)])
        resampled = _resampled(before, after, resamples, rng)
        per_corpus[corpus] = _interval(totals, resampled)
        all_totals += totals
        all_resampled += resampled
    overall = _interval(all_totals, all_resampled)

    failures: list[str] = []
    if overall.high < 0:
        failures.append(f"overall: the 95 % interval of the difference lies below 0: {overall}")
    if overall.difference < min_difference:
        failures.append(f"overall: {overall.difference:+.2f} F1 points, allowed are {min_difference:+.2f}")
    failures += [
        f"{corpus}: {interval.difference:+.2f} F1 points, allowed are {min_difference_corpus:+.2f}"
        for corpus, interval in per_corpus.items()
        if interval.difference < min_difference_corpus
    ]
    passed = [f"overall: no worse: {overall}"] + [f"{corpus}: {interval}" for corpus, interval in per_corpus.items()]
    return Verdict(not failures, failures or passed, overall, per_corpus)
