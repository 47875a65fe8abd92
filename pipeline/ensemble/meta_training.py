"""Fitting the chooser: logistic regression over candidate spans, its settings by cross-validation over documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from multiner.pipeline.core.decoding import span_f1
from multiner.pipeline.core.document import Document, Span
from multiner.pipeline.core.progress import bar
from multiner.pipeline.ensemble.features import describe, feature_names, read_views
from multiner.pipeline.ensemble.meta_classifier import Chooser, select
from multiner.pipeline.ensemble.name_features import Gazetteer

FOLDS = 5
STRENGTHS = (0.03, 0.1, 0.3, 1.0)
"""Inverse strengths of the L2 penalty."""
THRESHOLDS = (0.3, 0.35, 0.4, 0.45, 0.5)


@dataclass(frozen=True)
class Sample:
    """The candidates of a document: their features, and which of them are right."""

    document: Document
    candidates: list[Span]
    described: np.ndarray
    right: np.ndarray

    @classmethod
    def of(
        cls, document: Document, stacked: np.ndarray, types: Sequence[str], labels: Sequence[str], gazetteer: Gazetteer
    ) -> Sample:
        """The candidates in calibrated probabilities ``[legs + pool, tokens, labels]``."""
        candidates, described = describe(document, read_views(document, stacked, labels), types, gazetteer)
        gold = {(span.start, span.end, span.label) for span in document.spans}
        right = np.array([(span.start, span.end, span.label) in gold for span in candidates], dtype=bool)
        return cls(document, candidates, described, right)


@dataclass(frozen=True)
class Settings:
    """Settings of the chooser with the F1 that they reach in cross-validation (mean over corpora, in percent)."""

    strength: float
    threshold: float
    f1: float


def macro_f1(documents: Sequence[Document], predicted: Sequence[Sequence[Span]]) -> float:
    """Strict span F1, the mean over corpora, in percent: a small corpus counts as much as a large one."""
    scores = []
    for corpus in sorted({document.corpus for document in documents}):
        rows = [row for row, document in enumerate(documents) if document.corpus == corpus]
        scores.append(span_f1([documents[row] for row in rows], [predicted[row] for row in rows]))
    return sum(scores) / len(scores)


def compare(samples: Sequence[Sample]) -> Settings:
    """The best settings by cross-validation over documents; F1 -1 where there is too little to learn from."""
    documents = [sample.document for sample in samples]
    folds = np.array([int(sha256(document.id.encode()).hexdigest()[-8:], 16) % FOLDS for document in documents])
    best = Settings(STRENGTHS[0], THRESHOLDS[0], -1.0)
    with bar(len(STRENGTHS) * FOLDS, "chooser", unit="fit") as progress:
        for strength in STRENGTHS:
            chances: list[np.ndarray] = [np.zeros(0)] * len(samples)
            for fold in range(FOLDS):
                kept = [samples[row] for row in np.flatnonzero(folds != fold).tolist()]
                if not learnable(kept):
                    return best
                weights, bias = regress(kept, strength)
                for row in np.flatnonzero(folds == fold).tolist():
                    chances[row] = 1.0 / (1.0 + np.exp(-(samples[row].described @ weights + bias)))
                progress.update()
            for threshold in THRESHOLDS:
                spans = [select(sample.candidates, chance, threshold)
                         for sample, chance in zip(samples, chances, strict=True)]  # fmt: skip
                score = macro_f1(documents, spans)
                if score > best.f1:
                    best = Settings(strength, threshold, score)
    return best


def learnable(samples: Sequence[Sample]) -> bool:
    """Whether there are both right and wrong candidates."""
    right = np.concatenate([sample.right for sample in samples]) if samples else np.zeros(0, dtype=bool)
    return bool(right.any() and not right.all())


def regress(samples: Sequence[Sample], strength: float) -> tuple[np.ndarray, float]:
    """Weights ``[features]`` and bias of a logistic regression over all candidates."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=strength, max_iter=5000)
    model.fit(
        np.concatenate([sample.described for sample in samples]), np.concatenate([sample.right for sample in samples])
    )
    return model.coef_[0], float(model.intercept_[0])


def fit_chooser(
    samples: Sequence[Sample], legs: Sequence[str], types: Sequence[str], settings: Settings, gazetteer: Gazetteer
) -> Chooser:
    """The chooser of these settings, fitted to all samples."""
    weights, bias = regress(samples, settings.strength)
    return Chooser(tuple(feature_names(legs, types)), weights, bias, settings.threshold, gazetteer)
