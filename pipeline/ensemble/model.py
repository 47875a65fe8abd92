"""The ensemble: base models on the same tokens, calibrated, combined and decoded exactly.

The probabilities of each base model are calibrated by a temperature (Guo et al. 2017) and combined in a logarithmic
opinion pool (Genest and Zidek 1986): the product of their distributions, each to the power of a weight. Then a learned
meta-classifier decides among the candidate spans of base models and pool. If it did no better than the pool on
development data, the ensemble has none, and its spans are the most probable ones of the pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from multiner.pipeline.core.cancellation import check_cancelled
from multiner.pipeline.core.decoding import Marginals
from multiner.pipeline.core.document import Document, Sentence, Span
from multiner.pipeline.core.environment import thread_count
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json
from multiner.pipeline.core.iob2 import bio_labels
from multiner.pipeline.ensemble.chunks import ChunkedModel
from multiner.pipeline.ensemble.features import candidate_features, decode_systems, feature_names
from multiner.pipeline.ensemble.genre import names_with_genre
from multiner.pipeline.ensemble.meta_classifier import MetaClassifier
from multiner.pipeline.ensemble.russian_persons import complete_persons
from multiner.pipeline.models import load_base_model
from multiner.pipeline.models.base import TokenClassifier
from multiner.pipeline.models.windows import WindowedModel
from multiner.pipeline.text.russian_case import restore_case

_TINY = 1e-9


@dataclass(frozen=True)
class Member:
    """A base model's calibration and weight in the ensemble."""

    name: str
    temperature: float
    weight: float


@dataclass(frozen=True)
class Prediction:
    """The predictions for one document.

    Attributes:
        spans: the spans of the ensemble; a score is the probability that the span is right.
        legs: the spans of each calibrated base model alone, by name.
        types: the probabilities of O and of each type per token, ``[tokens, 1 + types]``, if requested. They are those
            of the pool, since the meta-classifier only decides on spans.
    """

    spans: tuple[Span, ...]
    legs: dict[str, tuple[Span, ...]]
    types: np.ndarray | None = None


def temper(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Flatten (temperature above 1) or sharpen (below 1) the distribution in each row."""
    return pool([probabilities], [1.0 / temperature])


def pool(distributions: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """The logarithmic opinion pool of distributions ``[tokens, labels]``, float64; rows sum to 1."""
    logs = np.zeros(distributions[0].shape, dtype=np.float64)
    for distribution, weight in zip(distributions, weights, strict=True):
        if weight:
            logs += weight * np.log(np.maximum(distribution, _TINY).astype(np.float64))
    logs -= logs.max(axis=-1, keepdims=True) if logs.size else 0.0
    powers = np.exp(logs)
    return powers / powers.sum(axis=-1, keepdims=True)


def stack(by_model: Sequence[np.ndarray], members: Sequence[Member]) -> np.ndarray:
    """The calibrated probabilities of the base models and, last, their pool: ``[base models + 1, tokens, labels]``."""
    calibrated = [temper(rows, member.temperature) for rows, member in zip(by_model, members, strict=True)]
    return np.stack([*calibrated, pool(calibrated, [member.weight for member in members])])


def token_types(probabilities: np.ndarray, sentences: Sequence[Sentence]) -> np.ndarray:
    """The probabilities of O and of each type at each token of a document, ``[tokens, 1 + types]``; rows sum to 1.

    They are marginals over the legal label sequences of each sentence, like the scores of spans.
    """
    result = np.zeros((len(probabilities), (probabilities.shape[1] + 1) // 2))
    for sentence in sentences:
        check_cancelled()
        rows = slice(sentence.start, sentence.end)
        result[rows] = np.reshape(Marginals(probabilities[rows]).types(), (-1, result.shape[1]))
    return result


class Ensemble:
    """Trained base models with their calibration, weights and meta-classifier.

    Args:
        members: calibration and weight of each base model.
        models: the base models, in the same order.
        meta_classifier: decides among the candidate spans; None: the spans of the pool are the answer.

    Raises:
        NerError: a base model has other labels than those of ``types``.
    """

    def __init__(
        self,
        language: str,
        types: Sequence[str],
        members: Sequence[Member],
        models: Sequence[TokenClassifier],
        meta_classifier: MetaClassifier | None = None,
    ) -> None:
        self.language = language
        self.types = list(types)
        self.labels = bio_labels(types)
        self.members = list(members)
        self.meta_classifier = meta_classifier
        self.models = list(models)
        self._executor = ThreadPoolExecutor(thread_name_prefix="base-models") if thread_count() > 1 else None
        for member, model in zip(self.members, self.models, strict=True):
            if model.labels != self.labels:
                raise NerError(f"the leg {member.name} has the labels {model.labels}, the ensemble {self.labels}",
                               remedy="Train the leg and the ensemble on the same types.")  # fmt: skip

    @classmethod
    def load(cls, path: Path, folders: dict[str, Path]) -> Ensemble:
        """Load the ensemble that the JSON file ``path`` describes, with each base model from its folder.

        Raises:
            NerError: the ensemble was fitted with other base models, or by code with other features.
        """
        value = read_json(path)
        members = [Member(**member) for member in value["members"]]
        names = [member.name for member in members]
        if missing := [name for name in names if name not in folders]:
            raise NerError(f"the ensemble was fitted with other legs; here is no {', '.join(missing)}",
                           where=str(path), remedy="Tune it again: dvc repro")  # fmt: skip
        models = [_cancellable(load_base_model(name, folders[name])) for name in names]
        chooser = value["chooser"]
        features = feature_names(names, value["types"])
        if chooser and list(chooser["weights"]) not in (features, names_with_genre(features)):
            raise NerError("the meta-classifier was fitted to other features than this code's", where=str(path),
                           remedy="Tune it again: dvc repro")  # fmt: skip
        classifier = MetaClassifier.from_json(chooser) if chooser else None
        return cls(value["language"], value["types"], members, models, classifier)

    def predict(self, documents: Sequence[Document], *, types: bool = False) -> list[Prediction]:
        """The spans of each document, by the ensemble and by each calibrated base model alone.

        With ``types`` also the type probabilities of each token. Raises Cancelled if nobody waits for the answer.
        """
        if self.language == "ru":
            documents = [restore_case(document) for document in documents]
        by_model = self._predict_models(documents)
        for model in self.models:
            inner = model.model if isinstance(model, ChunkedModel) else model
            if forget_words := getattr(inner, "forget_words", None):  # the spaCy models
                forget_words()
        return [
            self.combine(document, [rows[index] for rows in by_model], types=types)
            for index, document in enumerate(documents)
        ]

    def _predict_models(self, documents: Sequence[Document]) -> list[list[np.ndarray]]:
        """The probabilities of each base model for each document.

        The first base model, the transformer, runs in parallel with the others: it mostly works without Python's global
        lock. The spaCy models mostly hold this lock, so they run one after the other.
        """
        first, *others = self.models
        if not self._executor or not others:
            return [model.predict(documents) for model in self.models]
        # In a copy of this context, so that a cancelled call ends in the other thread too.
        future = self._executor.submit(copy_context().run, first.predict, documents)
        try:
            by_model = [model.predict(documents) for model in others]
        finally:
            wait([future])
        return [future.result(), *by_model]

    def combine(self, document: Document, by_model: Sequence[np.ndarray], *, types: bool = False) -> Prediction:
        """The prediction for a document from the probabilities ``[tokens, labels]`` of each base model."""
        check_cancelled()
        stacked = stack(by_model, self.members)
        systems = decode_systems(document, stacked, self.labels)
        *by_leg, pooled = systems.spans
        spans: Sequence[Span] = pooled
        if self.meta_classifier:
            candidates, features = candidate_features(document, systems, self.types, self.meta_classifier.gazetteer)
            spans = self.meta_classifier.select(document, candidates, features)
        if self.language == "ru":
            spans = complete_persons(document, spans)
        return Prediction(
            tuple(spans),
            {member.name: tuple(leg_spans) for member, leg_spans in zip(self.members, by_leg, strict=True)},
            token_types(stacked[-1], document.sentences) if types else None,
        )


def _cancellable(model: TokenClassifier) -> TokenClassifier:
    """A base model whose calls can be cancelled midway: between windows or, for the others, between chunks."""
    return model if isinstance(model, WindowedModel) else ChunkedModel(model)
