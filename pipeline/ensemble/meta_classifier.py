"""The meta-classifier: how probably each candidate span is right, by logistic regression, and the best set of spans.

The best set is the non-overlapping one with the highest sum of probabilities, each less a threshold. It is found by
weighted interval scheduling (Kleinberg and Tardos 2005, 6.1), which is exact.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from multiner.pipeline.core.document import Span
from multiner.pipeline.ensemble.name_features import Gazetteer


@dataclass(frozen=True)
class MetaClassifier:
    """A fitted meta-classifier.

    Attributes:
        feature_names: as :func:`multiner.pipeline.ensemble.features.feature_names` gives them.
        weights: the weight of each feature, in log-odds.
        bias: in log-odds.
        threshold: only candidates with a higher probability are selected.
        gazetteer: names of the training documents.
    """

    feature_names: tuple[str, ...]
    weights: np.ndarray
    bias: float
    threshold: float
    gazetteer: Gazetteer

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """The probability that each candidate is right, ``[candidates]``, from the features of the candidates."""
        return 1.0 / (1.0 + np.exp(-(features @ self.weights + self.bias)))

    def select(self, candidates: Sequence[Span], features: np.ndarray) -> list[Span]:
        """The best set of candidates, in order, each with its probability as score."""
        return select(candidates, self.probabilities(features), self.threshold)

    def to_json(self) -> dict:
        """A JSON-ready mapping; inverse of :meth:`from_json`."""
        return {
            "weights": {
                name: round(float(weight), 6) for name, weight in zip(self.feature_names, self.weights, strict=True)
            },
            "bias": round(self.bias, 6),
            "threshold": self.threshold,
            "gazetteer": self.gazetteer.to_json(),
        }

    @classmethod
    def from_json(cls, value: dict) -> MetaClassifier:
        """The meta-classifier that :meth:`to_json` wrote."""
        return cls(
            tuple(value["weights"]),
            np.array(list(value["weights"].values())),
            value["bias"],
            value["threshold"],
            Gazetteer.from_json(value["gazetteer"]),
        )


def select(candidates: Sequence[Span], probabilities: np.ndarray, threshold: float) -> list[Span]:
    """The non-overlapping candidates with the highest sum of ``probabilities - threshold``, in order, with scores."""
    ordered = sorted(
        (
            replace(span, score=float(probability))
            for span, probability in zip(candidates, probabilities, strict=True)
            if probability > threshold
        ),
        key=lambda span: (span.end, span.start, span.label),
    )
    ends = [span.end for span in ordered]
    totals: list[float] = [0.0]  # the best sum that the first n spans allow
    previous: list[int | None] = []  # for each span: how many spans end before it; None: it is not in the best set
    for index, span in enumerate(ordered):
        compatible = bisect_right(ends, span.start, hi=index)
        total = totals[compatible] + (span.score or 0.0) - threshold
        previous.append(compatible if total > totals[index] else None)
        totals.append(max(totals[index], total))
    selection: list[Span] = []
    at = len(ordered)
    while at:
        count = previous[at - 1]
        if count is None:
            at -= 1
        else:
            selection.append(ordered[at - 1])
            at = count
    return selection[::-1]
