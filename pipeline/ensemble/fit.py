"""Tuning the ensemble on development documents alone: temperatures by likelihood, weights by F1, then the chooser.

The documents are the tune half of the development parts and, where a language has few of those, training documents as
legs saw them that were trained without them (out of fold).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import log
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.decoding import decode_spans
from multiner.pipeline.core.document import Document
from multiner.pipeline.core.files import write_json
from multiner.pipeline.core.iob2 import bio_labels, encode
from multiner.pipeline.core.progress import bar
from multiner.pipeline.ensemble.cross_fitting import read_out_of_fold, trained_legs
from multiner.pipeline.ensemble.meta_training import (
    Sample,
    compare,
    fit_chooser,
    macro_f1,
)
from multiner.pipeline.ensemble.model import (
    Member,
    pool,
    stack,
    temper,
)
from multiner.pipeline.ensemble.name_features import Gazetteer
from multiner.pipeline.models import load_leg
from multiner.pipeline.models.training_documents import read_training


@dataclass(frozen=True)
class Seen:
    """A document to tune on, with what each leg says of it.

    Attributes:
        document: with its gold spans.
        by_leg: probabilities ``[tokens, labels]`` of each leg.
        gazetteer: of the documents that these legs were trained on.
    """

    document: Document
    by_leg: list[np.ndarray]
    gazetteer: Gazetteer


def run(workspace: Workspace, language: str) -> None:
    """Stage ``ensemble``: tune on the development documents and write the ensemble's JSON file.

    Raises:
        NerError: a leg or the documents are missing.
    """
    paths, setup, options = workspace.paths, workspace.language(language), workspace.section("ensemble", language)

    train, dev = read_training(workspace, language)
    legs = {name: load_leg(name, paths.leg(language, name)) for name in options["legs"]}
    gazetteer = Gazetteer.of(train)
    by_leg = [leg.predict(dev) for leg in legs.values()]
    seen = [Seen(document, [rows[at] for rows in by_leg], gazetteer) for at, document in enumerate(dev)]
    folds = read_out_of_fold(
        paths.out_of_fold(language), train, legs, trained_legs(workspace, language), options["folds"]
    )
    seen += [Seen(document, rows, fold) for document, rows, fold in folds]
    counts = {"documents": len(dev), "out_of_fold": len(folds)}
    value = tune(seen, list(legs), setup["types"], gazetteer, step=options["weight_step"])
    write_json(
        paths.ensemble(language),
        {"language": language, "types": setup["types"]}
        | value
        | {"tuned_on": counts | {"corpora": setup["train_on"]} | value["tuned_on"]},
    )
    for member in value["members"]:
        print(f"{language} {member['name']}: weight {member['weight']:.2f}, temperature {member['temperature']:.3f}")
    figures = value["tuned_on"]
    print(f"{language} pool: F1 {figures['pool']:.2f}; chooser, cross-validated: {figures['chooser']:.2f}"
          f" (mean over corpora); taken: {'the chooser' if value['chooser'] else 'the pool'}")  # fmt: skip


def tune(
    seen: Sequence[Seen], legs: Sequence[str], types: Sequence[str], gazetteer: Gazetteer, *, step: float
) -> dict[str, Any]:
    """Temperatures, weights and chooser that suit the documents best; the JSON-ready parts of an ensemble.

    The chooser is taken where its cross-validated F1 is above that of the pool, whose few weights are fitted to the
    very documents: if anything, the comparison favours the pool.

    Args:
        seen: documents with the legs' probabilities.
        legs: names, in the order of ``by_leg``.
        types: entity types.
        gazetteer: of all training documents, which the chooser will carry.
        step: of the grid of weights, which sum to 1.

    Returns:
        ``members``, ``chooser`` (None: the pool) and ``tuned_on`` (F1 of ``pool`` and ``chooser``, mean over corpora).
    """
    labels = bio_labels(types)
    documents = [each.document for each in seen]
    temperatures = [
        fit_temperature(np.concatenate([each.by_leg[leg] for each in seen]), gold_labels(documents, labels))
        for leg in range(len(legs))
    ]
    weights, score = fit_weights(seen, temperatures, labels, step)
    members = [Member(*each) for each in zip(legs, temperatures, weights, strict=True)]
    samples = [Sample.of(each.document, stack(each.by_leg, members), types, labels, each.gazetteer) for each in seen]
    found = compare(samples)
    chooser = fit_chooser(samples, legs, types, found, gazetteer) if found.f1 > score else None
    return {
        "members": [asdict(member) for member in members],
        "chooser": chooser.to_json() if chooser else None,
        "tuned_on": {"pool": round(score, 4), "chooser": round(found.f1, 4)},
    }


def gold_labels(documents: Sequence[Document], labels: Sequence[str]) -> np.ndarray:
    """Indices of the gold labels of all tokens."""
    index_of = {label: index for index, label in enumerate(labels)}
    return np.array(
        [index_of[label] for document in documents for label in encode(document.spans, len(document.tokens))]
    )


def fit_weights(
    seen: Sequence[Seen], temperatures: Sequence[float], labels: Sequence[str], step: float
) -> tuple[list[float], float]:
    """The weights of the pool with the best F1 (mean over corpora) on the grid, and that F1 in percent.

    Of equal ones, those that make the gold labels likeliest.
    """
    documents = [each.document for each in seen]
    gold = gold_labels(documents, labels)
    calibrated = [
        [temper(rows, temperature) for rows, temperature in zip(each.by_leg, temperatures, strict=True)]
        for each in seen
    ]
    grid = list(simplex(len(temperatures), round(1 / step)))
    best: tuple[float, float, list[float]] | None = None
    with bar(len(grid), "weights", unit="mixture") as progress:
        for weights in grid:
            pooled = [pool(rows, weights) for rows in calibrated]
            score = macro_f1(documents, [decode_spans(rows, document.sentences, labels, scores=False)
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
    """The temperature that makes ``gold`` likeliest, between a fifth and five."""
    found = minimize_scalar(
        lambda power: log_loss(temper(probabilities, float(np.exp(power))), gold),
        bounds=(-log(5), log(5)), method="bounded", options={"xatol": 1e-3},
    )  # fmt: skip
    return round(float(np.exp(found.x)), 6)


def simplex(parts: int, steps: int) -> Iterator[list[float]]:
    """All weights of ``parts`` members that are multiples of ``1 / steps`` and sum to 1."""
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
