"""The gate's verdict, and its rules on scores: a floor, no worse than the champion, not far below former champions."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.document import Document, Span, documents_hash
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.evaluation.scores import span_counts
from multiner.pipeline.evaluation.significance import micro_f1
from multiner.pipeline.inference import isolated_process
from multiner.pipeline.models.training_documents import read_part
from multiner.pipeline.registry.gate.noninferiority import MEAN, Difference, differences, refusal_reasons, weights
from multiner.pipeline.registry.gate.predictions import GatePredictions

Counts = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """Whether a challenger may become champion, why, and the figures behind it.

    ``final`` is False if a process failed, or the model was merely too slow: the machine may be the cause, so the next
    call judges again.
    """

    passed: bool
    reasons: list[str]
    details: dict[str, Any] = field(default_factory=dict)
    final: bool = True


def together(verdicts: Sequence[GateVerdict]) -> GateVerdict:
    """One verdict from those of the checks, all of which must pass; the reasons of the last check come first.

    It is final if all checks passed, or one that failed is final.
    """
    passed = all(verdict.passed for verdict in verdicts)
    reasons = [reason for verdict in reversed(verdicts) for reason in verdict.reasons if passed or not verdict.passed]
    details = {name: detail for verdict in verdicts for name, detail in verdict.details.items()}
    final = passed or any(verdict.final for verdict in verdicts if not verdict.passed)
    return GateVerdict(passed, reasons, details, final)


@dataclass(frozen=True, slots=True)
class JudgedModel:
    """A version at the gate: the folder of its model, and the spans that it predicts for the gate's documents."""

    folder: Path
    predictions: GatePredictions = field(default_factory=GatePredictions)


def gate_documents(workspace: Workspace, language: str) -> dict[str, list[Document]]:
    """The gate half of the development documents, by corpus. Raises NerError if there are none."""
    halves = {
        corpus: [document for document in part if document.half() == "gate"]
        for corpus, part in _prepared(workspace, language, "dev").items()
    }  # a growing corpus may only train
    documents = {corpus: half for corpus, half in halves.items() if half or corpus not in workspace.growing}
    if not any(documents.values()):
        raise NerError("no development documents to gate on", where=str(workspace.paths.documents(language)))
    return documents


def cross_fitted_documents(workspace: Workspace, language: str) -> dict[str, list[Document]]:
    """The training documents by corpus, of a language whose ensemble is fitted with cross-fitting; else none."""
    folds = workspace.section("ensemble", language)["folds"]
    return _prepared(workspace, language, "train") if folds else {}


def _prepared(workspace: Workspace, language: str, split: str) -> dict[str, list[Document]]:
    corpora = workspace.language(language)["train_on"]
    return {corpus: read_part(workspace, language, corpus, split) for corpus in corpora}


def basis_hash(documents: Mapping[str, Sequence[Document]], types: Sequence[str]) -> str:
    """SHA-256 over the basis of an F1: the documents with their gold spans, and the types that count."""
    parts = {corpus: documents_hash(part) for corpus, part in documents.items()}
    return sha256(json.dumps([parts, sorted(types)], sort_keys=True).encode()).hexdigest()


def of_types(spans: Iterable[Span], types: Collection[str]) -> list[Span]:
    """The spans of these types."""
    return [span for span in spans if span.label in types]


def paired_counts(
    documents: Mapping[str, Sequence[Document]], models: Sequence[GatePredictions], types: Collection[str]
) -> list[Counts]:
    """The counts ``[documents, 3]`` by corpus of each model, on the documents that all of them have predicted.

    Gold and predicted spans of other types than ``types`` are left out, and so are corpora without such documents.
    """
    result: list[Counts] = [{} for _ in models]
    for corpus, part in documents.items():
        rows = [(document, [model.get(corpus, document) for model in models]) for document in part]
        rows = [(document, spans) for document, spans in rows if None not in spans]
        if not rows:
            continue
        gold = [document.with_spans(of_types(document.spans, types)) for document, _ in rows]
        for at, counts in enumerate(result):
            counts[corpus] = span_counts(gold, [of_types(spans[at] or (), types) for _, spans in rows])
    return result


def f1_of(counts: Counts) -> dict[str, float]:
    """Micro F1 in percent by corpus, and their weighted mean."""
    f1 = {corpus: float(micro_f1(table.sum(0))) for corpus, table in counts.items()}
    f1[MEAN] = sum(share * f1[corpus] for corpus, share in weights(counts).items())
    return {name: round(each, 4) for name, each in f1.items()}


def overall_f1(
    predictions: GatePredictions, documents: Mapping[str, Sequence[Document]], types: Collection[str]
) -> float:
    """Micro F1 in percent over all documents together."""
    (counts,) = paired_counts(documents, [predictions], types)
    return round(float(micro_f1(np.sum([table.sum(0) for table in counts.values()], axis=0))), 4)


def above_floor(f1: float, options: Mapping[str, Any]) -> GateVerdict:
    """Whether an F1 in percent reaches ``min_f1``."""
    floor = float(options["min_f1"])
    return GateVerdict(
        f1 >= floor, [f"F1 on the gate half is {f1:.2f}, required is {floor:g}"], {"floor": {"min_f1": floor}}
    )


def check_scores(
    champion: JudgedModel | None,
    challenger: JudgedModel,
    documents: Mapping[str, Sequence[Document]],
    types: Sequence[str],
    options: Mapping[str, Any],
    seed: int,
    *,
    shared: Sequence[str],
    training: Mapping[str, Sequence[Document]] | None = None,
    former: Mapping[str, GatePredictions] | None = None,
) -> GateVerdict:
    """Whether the challenger's F1 is above the floor, and no worse than those of the champion and of former champions.

    Spans that a model has not predicted yet are predicted in a process of its own, and added to its predictions.

    Args:
        champion: the model to compare with; None: floor and former champions decide.
        challenger: the model that is judged.
        documents: the gate half by corpus.
        types: the challenger's.
        options: the section ``promotion`` of the parameters.
        seed: of the bootstrap.
        shared: the ``types`` that the champion knows, too.
        training: training documents by corpus; those count for which both models have spans by cross-fitting.
        former: predictions of former champions by version.

    Returns:
        the verdict; its details are ``f1`` (on the gate half over all ``types``, by role, if the role knows them all),
        ``floor``, ``comparison`` and ``best_before``.
    """
    for role, model in (("challenger", challenger), ("champion", champion)):
        try:
            if model is not None:
                model.predictions.complete(model.folder, documents)
        except isolated_process.ProcessFailed as error:
            return GateVerdict(False, [f"the {role} does not predict in a fresh process: {error}"], final=False)
    models = {"challenger": challenger} | ({"champion": champion} if champion and set(types) <= set(shared) else {})
    f1 = {role: overall_f1(model.predictions, documents, types) for role, model in models.items()}
    verdicts = [GateVerdict(True, [], {"f1": f1}), above_floor(f1["challenger"], options)]
    pooled = {corpus: [*part, *(training or {}).get(corpus, ())] for corpus, part in documents.items()}
    if champion is not None:
        verdicts.append(compare(champion.predictions, challenger.predictions, pooled, shared, options, seed))
    if options["max_below_best"] is not None:
        verdicts.append(check_against_best(former or {}, challenger.predictions, pooled, types, options, seed))
    return together(verdicts)


def compare(
    champion: GatePredictions,
    challenger: GatePredictions,
    documents: Mapping[str, Sequence[Document]],
    types: Sequence[str],
    options: Mapping[str, Any],
    seed: int,
) -> GateVerdict:
    """Whether the challenger's spans are no worse than the champion's, as far as they are of ``types``."""
    before, after = paired_counts(documents, [champion, challenger], types)
    difference = differences(before, after, resamples=options["bootstrap"], seed=seed)
    reasons = refusal_reasons(difference, options)
    details = {
        "types": list(types),
        "f1": {"champion": f1_of(before), "challenger": f1_of(after)},
        "difference": {name: asdict(each) for name, each in difference.items()},
        "documents": {corpus: len(table) for corpus, table in after.items()},
        "entities": {corpus: int(table[:, [0, 2]].sum()) for corpus, table in after.items()},
        "weights": {corpus: round(share, 4) for corpus, share in weights(after).items()},
        **{name: options[name] for name in ("max_possible_loss", "max_certain_loss")},
    }
    passed = [f"{name}: {each}" for name, each in difference.items()]
    return GateVerdict(not reasons, reasons or passed[::-1], {"comparison": details})


def check_against_best(
    former: Mapping[str, GatePredictions],
    challenger: GatePredictions,
    documents: Mapping[str, Sequence[Document]],
    types: Sequence[str],
    options: Mapping[str, Any],
    seed: int,
) -> GateVerdict:
    """Whether the challenger is not certainly more than ``max_below_best`` points below the best former champion.

    The best is the one that is furthest above the challenger on the documents that both have predicted.
    """
    allowed = options["max_below_best"]
    best: tuple[str, Difference] | None = None
    for version, predictions in former.items():
        shared = [type_ for type_ in types if type_ in predictions.types]
        before, after = paired_counts(documents, [predictions, challenger], shared)
        if not shared or not after:
            continue
        difference = differences(before, after, resamples=options["bootstrap"], seed=seed)[MEAN]
        if best is None or difference.points < best[1].points:
            best = version, difference
    if best is None:
        return GateVerdict(True, [])
    version, difference = best
    details = {"best_before": {"version": version, **asdict(difference), "max_below_best": allowed}}
    if difference.high >= -allowed:
        return GateVerdict(True, [], details)
    reason = f"{difference} against version {version}, the best champion before: certainly more than {allowed:g} below"
    return GateVerdict(False, [reason], details)
