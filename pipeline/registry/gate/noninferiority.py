"""The rule on the difference in F1 between a challenger and the champion: a paired bootstrap over documents.

The F1 of a model is the mean over corpora, weighted by the square root of their numbers of gold entities: as chance
falls with this root, each corpus adds about as much of it. Documents are drawn with replacement within each corpus, the
same for both models (Efron 1979; Koehn 2004). The lower and the upper end of a difference each have a confidence of
95 %. A challenger is refused if

1. a loss of more than ``max_possible_loss`` in the mean cannot be ruled out: the lower end is below it; or
2. a loss of more than ``max_certain_loss`` is certain, in the mean or on one corpus: the upper end is below it.

In between it passes. docs/operations/gate.md has the error rates of this rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from multiner.pipeline.evaluation.significance import micro_f1

CONFIDENCE = 0.95  # of each end alone
MEAN = "all corpora"


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference in F1, in points, with its lower and its upper end; positive: the challenger is better."""

    points: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.points:+.2f} F1 points ({self.low:+.2f} to {self.high:+.2f})"


def weights(counts: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The weight of each corpus in the mean; they sum to 1. ``counts`` as for :func:`differences`."""
    roots = {corpus: float(np.sqrt(max(1, table[:, [0, 2]].sum()))) for corpus, table in counts.items()}
    return {corpus: root / sum(roots.values()) for corpus, root in roots.items()}


def differences(
    before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], *, resamples: int, seed: int
) -> dict[str, Difference]:
    """The differences between two models by corpus and, last, in the mean over corpora (the key :data:`MEAN`).

    Args:
        before, after: corpus → true positives, false positives and false negatives ``[documents, 3]`` of the champion
            and of the challenger on the same documents, one or more.
    """
    rng = np.random.default_rng(seed)
    points, samples = {}, {}
    shares = weights(after)
    for corpus in sorted(before):
        counts = np.stack([before[corpus], after[corpus]])  # [models, documents, 3]
        documents = counts.shape[1]
        draws = rng.multinomial(documents, np.full(documents, 1 / documents), size=resamples)
        champion, challenger = micro_f1(draws @ counts)  # [models, resamples]
        samples[corpus] = challenger - champion
        points[corpus] = np.subtract(*micro_f1(counts.sum(axis=1))[::-1])
    samples[MEAN] = np.sum([shares[corpus] * samples[corpus] for corpus in shares], axis=0)
    points[MEAN] = sum(shares[corpus] * points[corpus] for corpus in shares)
    ends = (1 - CONFIDENCE, CONFIDENCE)
    return {
        name: Difference(float(points[name]), *(float(end) for end in np.quantile(samples[name], ends)))
        for name in points
    }


def refusal_reasons(difference: Mapping[str, Difference], options: Mapping[str, Any]) -> list[str]:
    """Why a challenger with these differences is refused; empty: it passes.

    Args:
        difference: from :func:`differences`.
        options: ``max_possible_loss`` and ``max_certain_loss``, in F1 points; None: no such check.
    """
    possible, certain = options["max_possible_loss"], options["max_certain_loss"]
    reasons = []
    if possible is not None and difference[MEAN].low < -possible:
        reasons.append(f"{MEAN}: {difference[MEAN]}: a loss of more than {possible:g} cannot be ruled out")
    if certain is not None:
        reasons += [
            f"{name}: {each}: a loss of more than {certain:g} is certain"
            for name, each in difference.items()
            if each.high < -certain
        ]
    return reasons
