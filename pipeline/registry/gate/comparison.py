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
from multiner.pipeline.core.document import Document, Span, documents_hash, read_jsonl
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.inference import isolated_process

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
class FormerBest:
    """The former champion (``version``) with the highest F1, in percent, on the same documents."""

    version: str
    f1: float


def gate_documents(workspace: Workspace, language: str) -> dict[str, list[Document]]:
    """The gate half of the development documents, by corpus. Raises NerError if there are none."""
    documents: dict[str, list[Document]] = {}
    for corpus in workspace.language(language)["train_on"]:
        path = workspace.paths.documents(language) / f"{corpus}.dev.jsonl"
        if not path.is_file():
            raise NerError("prepared documents are missing", where=str(path), remedy="Run the stages first: dvc repro")
        gate_half = [document for document in read_jsonl(path) if document.half() == "gate"]
        if gate_half or corpus not in workspace.growing:  # a growing corpus may only train
            documents[corpus] = gate_half
    if not any(documents.values()):
        raise NerError("no development documents to gate on", where=str(workspace.paths.documents(language)))
    return documents


def basis_hash(documents: Mapping[str, Sequence[Document]], types: Sequence[str]) -> str:
    """SHA-256 over the basis of an F1: the documents with their gold spans, and the types that count."""
    parts = {corpus: documents_hash(part) for corpus, part in documents.items()}
    return sha256(json.dumps([parts, sorted(types)], sort_keys=True).encode()).hexdigest()


def of_types(spans: Iterable[Span], types: Collection[str]) -> list[Span]:
    """The spans of these types."""
    return [span for span in spans if span.label in types]


def counts(
    documents: Mapping[str, Sequence[Document]], spans: Sequence[Sequence[Span]], types: Collection[str]
) -> Counts:
    """Counts [documents, 3] by corpus; ``spans`` are the predictions for the documents of all corpora in turn.

    Gold and predicted spans of other types than ``types`` are left out.
    """
    from multiner.pipeline.evaluation.scores import span_counts

    result, at = {}, 0
    for corpus, part in documents.items():
        gold = [document.with_spans(of_types(document.spans, types)) for document in part]
        result[corpus] = span_counts(gold, [of_types(predicted, types) for predicted in spans[at : at + len(part)]])
        at += len(part)
    return result


def f1_of(tables: Counts) -> dict[str, float]:
    """Micro F1 in percent by corpus, and ``overall``."""
    from multiner.pipeline.evaluation.significance import micro_f1

    overall = sum(table.sum(0) for table in tables.values())
    totals = {corpus: table.sum(0) for corpus, table in tables.items()} | {"overall": overall}
    return {corpus: round(float(micro_f1(total)), 4) for corpus, total in totals.items()}


def above_floor(f1: float, best: FormerBest | None, options: Mapping[str, Any]) -> GateVerdict:
    """Whether an F1 reaches ``min_f1``, and is at most ``max_below_best`` below the best former champion's.

    The latter is not checked where ``max_below_best`` is None, or no former champion was measured on the documents.
    """
    floor, allowed = float(options["min_f1"]), options["max_below_best"]
    reasons = []
    if f1 < floor:
        reasons.append(f"F1 on the gate half is {f1:.2f}, required is {floor:g}")
    if best and allowed is not None and best.f1 - f1 > allowed:
        reasons.append(
            f"F1 on the gate half is {f1:.2f}, {best.f1 - f1:.2f} points below that of version {best.version}, "
            f"the best champion before; allowed are {allowed:g}"
        )
    passed = f"F1 on the gate half is {f1:.2f}, required is {floor:g}"
    details = {"min_f1": floor, "best_before": asdict(best) if best else None, "max_below_best": allowed}
    return GateVerdict(not reasons, reasons or [passed], {"floor": details})


def check_scores(
    champion: Path | None,
    challenger: Path,
    documents: Mapping[str, Sequence[Document]],
    types: Sequence[str],
    options: Mapping[str, Any],
    seed: int,
    *,
    shared: Sequence[str],
    best: FormerBest | None = None,
) -> GateVerdict:
    """Whether the challenger's F1 is above the floors, and on shared types no worse than the champion's.

    Args:
        champion: the folder of the model to compare with; None: the floors alone decide.
        challenger: the folder of the model; both models predict in processes of their own.
        documents: the gate half by corpus.
        types: the challenger's.
        options: the section ``promotion`` of the parameters.
        seed: of the bootstrap.
        shared: the ``types`` that the champion knows, too.
        best: of the former champions.

    Returns:
        the verdict; its details are ``f1`` (by role, over all ``types``, if the role knows them all), ``floor`` and
        ``comparison``.
    """
    everything = [document for part in documents.values() for document in part]
    spans: dict[str, list[list[Span]]] = {}
    for role, model in (("challenger", challenger), ("champion", champion)):
        if model is None:
            continue
        try:
            spans[role] = isolated_process.predict(model, everything)
        except isolated_process.ProcessFailed as error:
            return GateVerdict(False, [f"the {role} does not predict in a fresh process: {error}"], final=False)
    roles = [role for role in spans if role == "challenger" or set(types) <= set(shared)]
    f1 = {role: f1_of(counts(documents, spans[role], types))["overall"] for role in roles}
    verdicts = [GateVerdict(True, [], {"f1": f1}), above_floor(f1["challenger"], best, options)]
    if champion is not None:
        verdicts.append(compare(spans["champion"], spans["challenger"], documents, shared, options, seed))
    return together(verdicts)


def compare(
    champion: Sequence[Sequence[Span]],
    challenger: Sequence[Sequence[Span]],
    documents: Mapping[str, Sequence[Document]],
    types: Sequence[str],
    options: Mapping[str, Any],
    seed: int,
) -> GateVerdict:
    """Whether the challenger's spans are no worse than the champion's, as far as they are of ``types``."""
    from multiner.pipeline.evaluation.significance import no_worse

    before, after = counts(documents, champion, types), counts(documents, challenger, types)
    limits = {name: options[name] for name in ("min_difference", "min_difference_corpus")}
    verdict = no_worse(before, after, **limits, resamples=options["bootstrap"], seed=seed)
    details = {
        "types": list(types),
        "f1": {"champion": f1_of(before), "challenger": f1_of(after)},
        "overall": asdict(verdict.overall),
        "per_corpus": {corpus: asdict(interval) for corpus, interval in verdict.per_corpus.items()},
        "documents": {corpus: len(part) for corpus, part in documents.items()},
    }
    return GateVerdict(verdict.passed, list(verdict.reasons), {"comparison": details})
