"""Fitting the meta-classifier: logistic regression over candidate spans, hyperparameters by cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from multiner.pipeline.core.decoding import span_f1
from multiner.pipeline.core.document import Document, Span
from multiner.pipeline.core.progress import bar
from multiner.pipeline.ensemble.features import candidate_features, decode_systems, feature_names
from multiner.pipeline.ensemble.meta_classifier import MetaClassifier, select
from multiner.pipeline.ensemble.name_features import Gazetteer

FOLDS = 5
STRENGTHS = (0.03, 0.1, 0.3, 1.0)
"""Inverse strengths of the L2 penalty."""
THRESHOLDS = (0.3, 0.35, 0.4, 0.45, 0.5)


@dataclass(frozen=True)
class DocumentCandidates:
    """The candidate spans of a document, their features, and whether each is right."""

    document: Document
    spans: list[Span]
    features: np.ndarray
    right: np.ndarray

    @classmethod
    def of(
        cls, document: Document, stacked: np.ndarray, types: Sequence[str], labels: Sequence[str], gazetteer: Gazetteer
    ) -> DocumentCandidates:
        """The candidates from calibrated probabilities ``[base models + pool, tokens, labels]``."""
        spans, features = candidate_features(document, decode_systems(document, stacked, labels), types, gazetteer)
        gold = {(span.start, span.end, span.label) for span in document.spans}
        right = np.array([(span.start, span.end, span.label) in gold for span in spans], dtype=bool)
        return cls(document, spans, features, right)


@dataclass(frozen=True)
class Hyperparameters:
    """Hyperparameters of the meta-classifier, and their F1 in cross-validation (mean over corpora, in percent)."""

    strength: float
    threshold: float
    f1: float


def macro_f1(documents: Sequence[Document], predicted: Sequence[Sequence[Span]]) -> float:
    """Strict span F1 in percent, as the mean over corpora: a small corpus counts as much as a large one."""
    scores = []
    for corpus in sorted({document.corpus for document in documents}):
        rows = [row for row, document in enumerate(documents) if document.corpus == corpus]
        scores.append(span_f1([documents[row] for row in rows], [predicted[row] for row in rows]))
    return sum(scores) / len(scores)


def cross_validate(candidates: Sequence[DocumentCandidates]) -> Hyperparameters:
    """The best hyperparameters by cross-validation over documents; their F1 is -1 if a fold cannot be learned from."""
    documents = [each.document for each in candidates]
    folds = np.array([int(sha256(document.id.encode()).hexdigest()[-8:], 16) % FOLDS for document in documents])
    best = Hyperparameters(STRENGTHS[0], THRESHOLDS[0], -1.0)
    with bar(len(STRENGTHS) * FOLDS, "meta-classifier", unit="fit") as progress:
        for strength in STRENGTHS:
            probabilities: list[np.ndarray] = [np.zeros(0)] * len(candidates)
            for fold in range(FOLDS):
                rest = [candidates[row] for row in np.flatnonzero(folds != fold).tolist()]
                if not is_learnable(rest):
                    return best
                weights, bias = regress(rest, strength)
                for row in np.flatnonzero(folds == fold).tolist():
                    probabilities[row] = 1.0 / (1.0 + np.exp(-(candidates[row].features @ weights + bias)))
                progress.update()
            for threshold in THRESHOLDS:
                spans = [select(each.spans, scores, threshold)
                         for each, scores in zip(candidates, probabilities, strict=True)]  # fmt: skip
                score = macro_f1(documents, spans)
                if score > best.f1:
                    best = Hyperparameters(strength, threshold, score)
    return best


def is_learnable(candidates: Sequence[DocumentCandidates]) -> bool:
    """Whether there are both right and wrong candidates."""
    right = np.concatenate([each.right for each in candidates]) if candidates else np.zeros(0, dtype=bool)
    return bool(right.any() and not right.all())


def regress(candidates: Sequence[DocumentCandidates], strength: float) -> tuple[np.ndarray, float]:
    """The weights ``[features]`` and the bias of a logistic regression over all candidates."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=strength, max_iter=5000)
    model.fit(
        np.concatenate([each.features for each in candidates]), np.concatenate([each.right for each in candidates])
    )
    return model.coef_[0], float(model.intercept_[0])


def fit_meta_classifier(
    candidates: Sequence[DocumentCandidates], models: Sequence[str], types: Sequence[str], best: Hyperparameters,
    gazetteer: Gazetteer,
) -> MetaClassifier:  # fmt: skip
    """The meta-classifier with these hyperparameters, fitted to all candidates."""
    weights, bias = regress(candidates, best.strength)
    return MetaClassifier(tuple(feature_names(models, types)), weights, bias, best.threshold, gazetteer)
