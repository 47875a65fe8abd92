"""Tuning the ensemble on the tune half of the development documents: temperatures by likelihood, weights by F1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from math import log

import numpy as np
from scipy.optimize import minimize_scalar

from pipeline.bio import bio_labels, encode
from pipeline.decode import decode_spans, span_f1
from pipeline.document import Document, read_jsonl
from pipeline.ensemble import Member, pool, temper
from pipeline.errors import NerError
from pipeline.files import write_json
from pipeline.legs import load_leg
from pipeline.settings import Workspace


def run(workspace: Workspace, language: str) -> None:
    """Stage ``ensemble``: tune on the development documents and write the ensemble's JSON file.

    Raises:
        NerError: a leg or the documents are missing.
    """
    paths, setup, options = workspace.paths, workspace.language(language), workspace.params["ensemble"]
    files = [paths.documents(language) / f"{corpus}.dev.jsonl" for corpus in setup["train_on"]]
    documents = [document for path in files for document in read_jsonl(path) if document.half() == "tune"]
    if not documents:
        raise NerError("no development documents to tune on", where=str(paths.documents(language)))
    legs = {name: load_leg(name, paths.leg(language, name)) for name in options["legs"]}
    by_leg = {name: leg.predict(documents) for name, leg in legs.items()}
    members, score = tune(documents, by_leg, setup["types"], step=options["weight_step"])
    write_json(
        paths.ensemble(language),
        {
            "language": language,
            "types": setup["types"],
            "members": [asdict(member) for member in members],
            "tuned_on": {"corpora": setup["train_on"], "documents": len(documents), "f1": round(score, 4)},
        },
    )
    for member in members:
        print(f"{language} {member.name}: weight {member.weight:.2f}, temperature {member.temperature:.3f}")
    print(f"{language} ensemble: F1 {score:.2f} on the tune half")


def tune(
    documents: Sequence[Document], by_leg: dict[str, list[np.ndarray]], types: Sequence[str], *, step: float
) -> tuple[list[Member], float]:
    """Temperatures and weights that suit ``documents`` best, and the F1 they reach there, in percent.

    Args:
        documents: with gold spans.
        by_leg: each leg's probabilities, ``[tokens, labels]`` per document.
        types: entity types.
        step: of the grid of weights, which sum to 1.
    """
    labels = bio_labels(types)
    index_of = {label: index for index, label in enumerate(labels)}
    gold = np.array(
        [index_of[label] for document in documents for label in encode(document.spans, len(document.tokens))]
    )
    temperatures = {name: fit_temperature(np.concatenate(rows), gold) for name, rows in by_leg.items()}
    calibrated = [[temper(each, temperatures[name]) for each in rows] for name, rows in by_leg.items()]
    best: tuple[float, float, list[float]] | None = None
    for weights in simplex(len(by_leg), round(1 / step)):
        pooled = [pool(rows, weights) for rows in zip(*calibrated, strict=True)]
        score = span_f1(documents, [decode_spans(rows, document.sentences, labels, scores=False)
                                    for document, rows in zip(documents, pooled, strict=True)])  # fmt: skip
        candidate = (score, -log_loss(np.concatenate(pooled), gold), weights)
        if best is None or candidate > best:
            best = candidate
    assert best is not None
    return [Member(name, temperatures[name], weight) for name, weight in zip(by_leg, best[2], strict=True)], best[0]


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
