"""The meta-classifier: how probably each candidate span is right, by logistic regression, and the best set of spans.

The best set is the non-overlapping one with the highest sum of probabilities, each less a threshold. It is found by
weighted interval scheduling (Kleinberg and Tardos 2005, 6.1), which is exact. The best threshold is half of the best F1
(Lipton et al. 2014), so it is lower for posts than for edited text.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from multiner.pipeline.core.document import Document, Span
from multiner.pipeline.ensemble.genre import INFORMAL, informality, with_genre
from multiner.pipeline.ensemble.name_features import Gazetteer


@dataclass(frozen=True)
class MetaClassifier:
    """A fitted meta-classifier.

    Attributes:
        feature_names: as :func:`multiner.pipeline.ensemble.features.feature_names` gives them, or with those of the
            genre (:func:`multiner.pipeline.ensemble.genre.names_with_genre`).
        weights: the weight of each feature, in log-odds.
        bias: in log-odds.
        thresholds: only candidates with a higher probability are selected; the first is for documents of informality 0,
            the second for those of informality 1.
        gazetteer: names of the training documents.
    """

    feature_names: tuple[str, ...]
    weights: np.ndarray
    bias: float
    thresholds: tuple[float, float]
    gazetteer: Gazetteer

    def select(self, document: Document, candidates: Sequence[Span], features: np.ndarray) -> list[Span]:
        """The best set of the candidates of a document, in order; scores are the probabilities that they are right."""
        if not candidates:
            return []
        genre = INFORMAL in self.feature_names
        informal = informality(document) if genre or len(set(self.thresholds)) > 1 else 0.0
        if genre:
            features = with_genre(features, informal)
        return select(
            candidates, probabilities(features, self.weights, self.bias), threshold_at(informal, self.thresholds)
        )

    def to_json(self) -> dict:
        """A JSON-ready mapping; inverse of :meth:`from_json`."""
        return {
            "weights": {
                name: round(float(weight), 6) for name, weight in zip(self.feature_names, self.weights, strict=True)
            },
            "bias": round(self.bias, 6),
            "threshold": self.thresholds[0],
            "post_threshold": self.thresholds[1],
            "gazetteer": self.gazetteer.to_json(),
        }

    @classmethod
    def from_json(cls, value: dict) -> MetaClassifier:
        """The meta-classifier that :meth:`to_json` wrote."""
        return cls(
            tuple(value["weights"]),
            np.array(list(value["weights"].values())),
            value["bias"],
            (value["threshold"], value.get("post_threshold", value["threshold"])),  # older files have one
            Gazetteer.from_json(value["gazetteer"]),
        )


def probabilities(features: np.ndarray, weights: np.ndarray, bias: float) -> np.ndarray:
    """The probability that each candidate is right, ``[candidates]``."""
    return 1.0 / (1.0 + np.exp(-(features @ weights + bias)))


def threshold_at(informal: float, thresholds: tuple[float, float]) -> float:
    """The threshold of a document with this informality."""
    formal, post = thresholds
    return formal + informal * (post - formal)


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
