"""Fitting the meta-classifier: logistic regression over candidate spans, hyperparameters by cross-validation.

The penalty is the one with the best log loss, so that scores are good probabilities. The threshold has the best F1.
Genre is tried (:mod:`multiner.pipeline.ensemble.genre`) where there are enough names of posts and of edited text, since
the log loss of a handful of names favours it by chance. It is kept if it improves the log loss by more than the
standard error over the folds. Then posts get a threshold of their own, if that improves the F1 as surely.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import combinations_with_replacement, product
from math import sqrt

import numpy as np

from multiner.pipeline.core.decoding import corpus_mean_f1
from multiner.pipeline.core.document import Document, Span
from multiner.pipeline.core.progress import bar
from multiner.pipeline.ensemble.features import candidate_features, decode_systems, feature_names
from multiner.pipeline.ensemble.genre import informality, is_post, names_with_genre, with_genre
from multiner.pipeline.ensemble.meta_classifier import MetaClassifier, probabilities, select, threshold_at
from multiner.pipeline.ensemble.name_features import Gazetteer

FOLDS = 5
INVERSE_PENALTIES = (0.03, 0.1, 0.3, 1.0)
"""Inverse strengths of the L2 penalty."""
THRESHOLDS = (0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15)
"""In falling order; that of posts is at most that of edited text."""
GENRE_NAMES = 200
"""Gold names of posts, and of edited text, from which on genre is tried: about four for each weight that it adds."""


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

    def columns(self, genre: bool) -> np.ndarray:
        """The features, with those of the genre if wanted."""
        return with_genre(self.features, informality(self.document)) if genre else self.features


@dataclass(frozen=True)
class Hyperparameters:
    """Hyperparameters of the meta-classifier.

    Attributes:
        inverse_penalty: inverse strength of the L2 penalty.
        genre: whether each feature has a second column, multiplied by the document's informality.
        thresholds: as in :class:`multiner.pipeline.ensemble.meta_classifier.MetaClassifier`.
        f1: in cross-validation, mean over corpora, in percent.
    """

    inverse_penalty: float
    genre: bool
    thresholds: tuple[float, float]
    f1: float


@dataclass(frozen=True)
class Trial:
    """A penalty, with or without genre: the cross-validated probabilities of each document's candidates."""

    inverse_penalty: float
    genre: bool
    probabilities: list[np.ndarray]


def cross_validate(candidates: Sequence[DocumentCandidates]) -> Hyperparameters:
    """The best hyperparameters by cross-validation over documents; their F1 is -1 if a fold cannot be learned from."""
    documents = [each.document for each in candidates]
    fold_of = np.array([int(sha256(document.id.encode()).hexdigest()[-8:], 16) % FOLDS for document in documents])
    folds = [np.flatnonzero(fold_of == fold).tolist() for fold in range(FOLDS)]
    rests = [[candidates[row] for row in np.flatnonzero(fold_of != fold).tolist()] for fold in range(FOLDS)]
    if not all(map(is_learnable, rests)):
        return Hyperparameters(INVERSE_PENALTIES[0], False, (THRESHOLDS[0], THRESHOLDS[0]), -1.0)

    genres = (False, True) if has_both_genres(documents) else (False,)
    trials = []
    with bar(len(genres) * len(INVERSE_PENALTIES) * FOLDS, "meta-classifier", unit="fit") as progress:
        for genre, inverse_penalty in product(genres, INVERSE_PENALTIES):
            trial = Trial(inverse_penalty, genre, [np.zeros(0)] * len(candidates))
            for rows, rest in zip(folds, rests, strict=True):
                weights, bias = regress(rest, inverse_penalty, genre)
                for row in rows:
                    trial.probabilities[row] = probabilities(candidates[row].columns(genre), weights, bias)
                progress.update()
            trials.append(trial)

    def loss(trial: Trial, rows: Sequence[int]) -> float:
        return corpus_mean_log_loss([candidates[row] for row in rows], [trial.probabilities[row] for row in rows])

    def f1(spans: Sequence[Sequence[Span]], rows: Sequence[int]) -> float:
        return corpus_mean_f1([documents[row] for row in rows], [spans[row] for row in rows])

    every, filled = range(len(candidates)), [rows for rows in folds if rows]
    best, *others = (
        min((trial for trial in trials if trial.genre is genre), key=lambda trial: loss(trial, every))
        for genre in genres
    )
    for trial in others:
        if is_reliable([loss(best, rows) - loss(trial, rows) for rows in filled]):
            best = trial
    selections = {
        thresholds: [
            select(each.spans, scores, threshold_at(informality(each.document), thresholds))
            for each, scores in zip(candidates, best.probabilities, strict=True)
        ]
        for thresholds in combinations_with_replacement(THRESHOLDS, 2)
        if best.genre or len(set(thresholds)) == 1
    }
    scores = {thresholds: f1(spans, every) for thresholds, spans in selections.items()}
    one = max((thresholds for thresholds in scores if len(set(thresholds)) == 1), key=scores.__getitem__)
    two = max(scores, key=scores.__getitem__)
    gains = [f1(selections[two], rows) - f1(selections[one], rows) for rows in filled]
    thresholds = two if is_reliable(gains) else one
    return Hyperparameters(best.inverse_penalty, best.genre, thresholds, scores[thresholds])


def has_both_genres(documents: Sequence[Document]) -> bool:
    """Whether there are :data:`GENRE_NAMES` gold names of posts, and as many of edited text, to learn genre from."""
    names = {True: 0, False: 0}
    for document in documents:
        names[is_post(document)] += len(document.spans)
    return min(names.values()) >= GENRE_NAMES


def is_reliable(gains: Sequence[float]) -> bool:
    """Whether the mean gain over the folds is above its standard error."""
    return float(np.mean(gains)) > float(np.std(gains, ddof=1)) / sqrt(len(gains)) if len(gains) > 1 else False


def corpus_mean_log_loss(candidates: Sequence[DocumentCandidates], predicted: Sequence[np.ndarray]) -> float:
    """Mean negative log probability of whether a candidate is right, as the mean over corpora; 0 without candidates."""
    losses: dict[str, list[np.ndarray]] = {}
    for each, scores in zip(candidates, predicted, strict=True):
        loss = -np.log(np.maximum(np.where(each.right, scores, 1 - scores), 1e-9))
        losses.setdefault(each.document.corpus, []).append(loss)
    means = [float(joined.mean()) for joined in map(np.concatenate, losses.values()) if len(joined)]
    return sum(means) / len(means) if means else 0.0


def is_learnable(candidates: Sequence[DocumentCandidates]) -> bool:
    """Whether there are both right and wrong candidates."""
    right = np.concatenate([each.right for each in candidates]) if candidates else np.zeros(0, dtype=bool)
    return bool(right.any() and not right.all())


def regress(candidates: Sequence[DocumentCandidates], inverse_penalty: float, genre: bool) -> tuple[np.ndarray, float]:
    """The weights ``[features]`` and the bias of a logistic regression over all candidates."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=inverse_penalty, max_iter=5000)
    model.fit(
        np.concatenate([each.columns(genre) for each in candidates]),
        np.concatenate([each.right for each in candidates]),
    )
    return model.coef_[0], float(model.intercept_[0])


def fit_meta_classifier(
    candidates: Sequence[DocumentCandidates], models: Sequence[str], types: Sequence[str], best: Hyperparameters,
    gazetteer: Gazetteer,
) -> MetaClassifier:  # fmt: skip
    """The meta-classifier with these hyperparameters, fitted to all candidates."""
    weights, bias = regress(candidates, best.inverse_penalty, best.genre)
    names = feature_names(models, types)
    columns = names_with_genre(names) if best.genre else names
    return MetaClassifier(tuple(columns), weights, bias, best.thresholds, gazetteer)
