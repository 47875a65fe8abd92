"""The chooser: which of the legs' candidate spans are right, by logistic regression, and the best set of them.

Of a sentence's candidates those non-overlapping ones are taken whose probabilities above a threshold sum highest:
weighted interval scheduling (Kleinberg and Tardos 2005, 6.1), exact.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from multiner.pipeline.core.document import Span
from multiner.pipeline.ensemble.name_features import Gazetteer


@dataclass(frozen=True)
class Chooser:
    """A fitted chooser.

    Attributes:
        features: names of the columns, as :func:`multiner.pipeline.ensemble.features.feature_names` gives them.
        weights: of each feature, in log-odds.
        bias: in log-odds.
        threshold: probability below which a candidate is not taken.
        gazetteer: names of the training documents.
    """

    features: tuple[str, ...]
    weights: np.ndarray
    bias: float
    threshold: float
    gazetteer: Gazetteer

    def probabilities(self, described: np.ndarray) -> np.ndarray:
        """Probability of each candidate to be right, ``[candidates]``, from its features."""
        return 1.0 / (1.0 + np.exp(-(described @ self.weights + self.bias)))

    def choose(self, candidates: Sequence[Span], described: np.ndarray) -> list[Span]:
        """The best non-overlapping candidates, in order, each with its probability as score."""
        return select(candidates, self.probabilities(described), self.threshold)

    def to_json(self) -> dict:
        """A JSON-ready mapping; inverse of :meth:`from_json`."""
        return {
            "weights": {
                name: round(float(weight), 6) for name, weight in zip(self.features, self.weights, strict=True)
            },
            "bias": round(self.bias, 6),
            "threshold": self.threshold,
            "gazetteer": self.gazetteer.to_json(),
        }

    @classmethod
    def from_json(cls, value: dict) -> Chooser:
        """The chooser that :meth:`to_json` wrote."""
        return cls(
            tuple(value["weights"]),
            np.array(list(value["weights"].values())),
            value["bias"],
            value["threshold"],
            Gazetteer.from_json(value["gazetteer"]),
        )


def select(candidates: Sequence[Span], chances: np.ndarray, threshold: float) -> list[Span]:
    """The non-overlapping candidates whose ``chances - threshold`` sum highest, in order, with their chances."""
    kept = sorted(
        (
            replace(span, score=float(chance))
            for span, chance in zip(candidates, chances, strict=True)
            if chance > threshold
        ),
        key=lambda span: (span.end, span.start, span.label),
    )
    ends = [span.end for span in kept]
    totals = [0.0]  # the best sum of the first spans
    before: list[int | None] = []  # how many of them are left where the span is taken; None: it is not
    for index, span in enumerate(kept):
        free = bisect_right(ends, span.start, hi=index)
        with_it = totals[free] + (span.score or 0.0) - threshold
        before.append(free if with_it > totals[index] else None)
        totals.append(max(totals[index], with_it))
    taken: list[Span] = []
    at = len(kept)
    while at:
        left = before[at - 1]
        if left is None:
            at -= 1
        else:
            taken.append(kept[at - 1])
            at = left
    return taken[::-1]
