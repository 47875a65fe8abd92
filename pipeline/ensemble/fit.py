"""Fitting the ensemble: temperatures by likelihood, weights by F1, then the meta-classifier.

It is fitted to the tune halves of the development parts and, where a language has few development documents, also to
training documents with their out-of-fold predictions (see :mod:`multiner.pipeline.ensemble.cross_fitting`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import log
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.decoding import corpus_mean_f1, decode_spans
from multiner.pipeline.core.document import Document
from multiner.pipeline.core.files import write_json
from multiner.pipeline.core.iob2 import bio_labels, encode
from multiner.pipeline.core.progress import bar
from multiner.pipeline.ensemble.cross_fitting import read_cross_fitting, trained_models
from multiner.pipeline.ensemble.features import feature_names
from multiner.pipeline.ensemble.meta_training import DocumentCandidates, cross_validate, fit_meta_classifier
from multiner.pipeline.ensemble.model import Member, pool, stack, temper
from multiner.pipeline.ensemble.name_features import Gazetteer
from multiner.pipeline.models import load_base_model
from multiner.pipeline.models.training_documents import read_training

NAMES_PER_WEIGHT = 10
"""Gold names for each weight of the meta-classifier without genre; with fewer, the pool answers.

Ten events for each variable are the usual least number for a logistic regression (Peduzzi et al., 1996). With fewer,
the meta-classifier can win on the documents that it is fitted to and lose on other texts.
"""


@dataclass(frozen=True)
class FittingDocument:
    """A document that the ensemble is fitted to, with the predictions of the base models.

    Attributes:
        document: the document with its gold spans.
        probabilities: ``[tokens, labels]`` of each base model.
        gazetteer: the names of the documents that these base models were trained on.
    """

    document: Document
    probabilities: list[np.ndarray]
    gazetteer: Gazetteer


def run(workspace: Workspace, language: str) -> None:
    """Stage ``ensemble``: fit the ensemble and write its JSON file."""
    paths, settings, options = workspace.paths, workspace.language(language), workspace.section("ensemble", language)

    train, dev = read_training(workspace, language)
    models = {name: load_base_model(name, paths.leg(language, name)) for name in options["legs"]}
    gazetteer = Gazetteer.of(train)
    by_model = [model.predict(dev) for model in models.values()]
    documents = [FittingDocument(document, [rows[at] for rows in by_model], gazetteer)
                 for at, document in enumerate(dev)]  # fmt: skip
    folds = read_cross_fitting(
        paths.out_of_fold(language), train, models, trained_models(workspace, language), options["folds"]
    )
    documents += [FittingDocument(*each) for each in folds]
    counts = {"documents": len(dev), "out_of_fold": len(folds)}
    value = fit_ensemble(documents, list(models), settings["types"], gazetteer, options["weight_step"])
    write_json(
        paths.ensemble(language),
        {"language": language, "types": settings["types"]}
        | value
        | {"tuned_on": counts | {"corpora": settings["train_on"]} | value["tuned_on"]},
    )
    for member in value["members"]:
        print(f"{language} {member['name']}: weight {member['weight']:.2f}, temperature {member['temperature']:.3f}")
    figures = value["tuned_on"]
    meta = "too few names" if figures["chooser"] is None else f"{figures['chooser']:.2f}, cross-validated"
    print(f"{language} F1 (mean over corpora): pool {figures['pool']:.2f}; meta-classifier {meta};"
          f" used: {'the meta-classifier' if value['chooser'] else 'the pool'}")  # fmt: skip


def fit_ensemble(
    fitting: Sequence[FittingDocument], models: Sequence[str], types: Sequence[str], gazetteer: Gazetteer, step: float
) -> dict[str, Any]:
    """Fit temperatures, weights and the meta-classifier; returns the parts of ``ensemble.json``.

    The ensemble uses the meta-classifier if there are names enough to fit it and its cross-validated F1 is above the F1
    of the pool. The weights of the pool are fitted to these same documents, so the comparison favours the pool, if
    anything.

    Args:
        fitting: documents with the probabilities of the base models.
        models: names of the base models, in the order of these probabilities.
        types: entity types.
        gazetteer: the names of all training documents, which become part of the meta-classifier.
        step: step of the grid of weights, which sum to 1.

    Returns:
        ``members``, ``chooser`` (the meta-classifier; None: the ensemble uses the pool) and ``tuned_on`` (F1 of
        ``pool`` and ``chooser``, mean over corpora, the latter None if it was not fitted; whether it weighs ``genre``).
    """
    labels = bio_labels(types)
    gold = gold_labels([each.document for each in fitting], labels)
    temperatures = [
        fit_temperature(np.concatenate([each.probabilities[index] for each in fitting]), gold)
        for index in range(len(models))
    ]
    weights, score = fit_weights(fitting, temperatures, labels, step)
    members = [Member(*each) for each in zip(models, temperatures, weights, strict=True)]
    chooser: dict[str, Any] | None = None
    tried: dict[str, Any] = {"chooser": None, "genre": False}
    names = sum(len(each.document.spans) for each in fitting)
    if names >= NAMES_PER_WEIGHT * len(feature_names(models, types)):
        candidates = [
            DocumentCandidates.of(each.document, stack(each.probabilities, members), types, labels, each.gazetteer)
            for each in fitting
        ]
        best = cross_validate(candidates)
        tried = {"chooser": round(best.f1, 4), "genre": best.genre}
        if best.f1 > score:
            chooser = fit_meta_classifier(candidates, models, types, best, gazetteer).to_json()
    return {
        "members": [asdict(member) for member in members],
        "chooser": chooser,
        "tuned_on": {"pool": round(score, 4)} | tried,
    }


def gold_labels(documents: Sequence[Document], labels: Sequence[str]) -> np.ndarray:
    """The indices of the gold labels of all tokens."""
    index_of = {label: index for index, label in enumerate(labels)}
    return np.array(
        [index_of[label] for document in documents for label in encode(document.spans, len(document.tokens))]
    )


def fit_weights(
    fitting: Sequence[FittingDocument], temperatures: Sequence[float], labels: Sequence[str], step: float
) -> tuple[list[float], float]:
    """The weights on the grid with which the pool has the best F1 (mean over corpora), and this F1 in percent.

    Of weights with equal F1, those with the higher likelihood of the gold labels.
    """
    documents = [each.document for each in fitting]
    gold = gold_labels(documents, labels)
    calibrated = [
        [temper(rows, temperature) for rows, temperature in zip(each.probabilities, temperatures, strict=True)]
        for each in fitting
    ]
    grid = list(simplex(len(temperatures), round(1 / step)))
    best: tuple[float, float, list[float]] | None = None
    with bar(len(grid), "weights", unit="mixture") as progress:
        for weights in grid:
            pooled = [pool(rows, weights) for rows in calibrated]
            score = corpus_mean_f1(documents, [decode_spans(rows, document.sentences, labels, scores=False)
                                         for document, rows in zip(documents, pooled, strict=True)])  # fmt: skip
            candidate = (score, -log_loss(np.concatenate(pooled), gold), weights)
            if best is None or candidate > best:
                best = candidate
            progress.update()
    assert best is not None
    return best[2], best[0]


def log_loss(probabilities: np.ndarray, gold: np.ndarray) -> float:
    """Mean negative log probability of the gold labels."""
    return float(-np.log(np.maximum(probabilities[np.arange(len(gold)), gold], 1e-9)).mean())


def fit_temperature(probabilities: np.ndarray, gold: np.ndarray) -> float:
    """The temperature, between a fifth and five, with the highest likelihood of the gold labels."""
    result = minimize_scalar(
        lambda power: log_loss(temper(probabilities, float(np.exp(power))), gold),
        bounds=(-log(5), log(5)), method="bounded", options={"xatol": 1e-3},
    )  # fmt: skip
    return round(float(np.exp(result.x)), 6)


def simplex(parts: int, steps: int) -> Iterator[list[float]]:
    """All lists of ``parts`` weights that are multiples of ``1 / steps`` and sum to 1."""
    if parts == 1:
        yield [1.0]
        return
    for first in range(steps + 1):
        rest = steps - first
        if not rest:
            yield [1.0] + [0.0] * (parts - 1)
            continue
        for others in simplex(parts - 1, rest):
            yield [round(first / steps, 6), *(round(other * rest / steps, 6) for other in others)]
