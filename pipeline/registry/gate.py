"""The gate before the alias ``champion``: golden samples, latency, behaviour, and no worse on the gate half.

No MLflow here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import golden
from pipeline.behaviour import Case, Report, load_cases
from pipeline.behaviour.suite import judge_all, texts_of
from pipeline.document import Document, Span, read_jsonl
from pipeline.errors import NerError
from pipeline.registry import fresh
from pipeline.settings import Workspace

GOLDEN_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """Whether a challenger may become champion, why, and the figures behind it.

    ``final`` is False where a process failed, or nothing but time was short: that may be the machine's fault, so the
    next call tries again.
    """

    passed: bool
    reasons: list[str]
    details: dict[str, Any] = field(default_factory=dict)
    final: bool = True


def gate_documents(workspace: Workspace, language: str) -> dict[str, list[Document]]:
    """The gate half of the development documents, by corpus.

    Raises:
        NerError: they were not prepared, or there are none.
    """
    found: dict[str, list[Document]] = {}
    for corpus in workspace.language(language)["train_on"]:
        path = workspace.paths.documents(language) / f"{corpus}.dev.jsonl"
        if not path.is_file():
            raise NerError("prepared documents are missing", where=str(path), remedy="Run the stages first: dvc repro")
        found[corpus] = [document for document in read_jsonl(path) if document.half() == "gate"]
    if not any(found.values()):
        raise NerError("no development documents to gate on", where=str(workspace.paths.documents(language)))
    return found


def counts(documents: Mapping[str, Sequence[Document]], spans: Sequence[Sequence[Span]]) -> dict[str, np.ndarray]:
    """Counts [documents, 3] by corpus of predictions over all documents, in the order of the corpora."""
    from pipeline.evaluation.scores import span_counts

    result, at = {}, 0
    for corpus, part in documents.items():
        result[corpus] = span_counts(part, spans[at : at + len(part)])
        at += len(part)
    return result


def check_golden(model: Path, language: str, types: Sequence[str], options: Mapping[str, Any]) -> GateVerdict:
    """Whether the model loads in a fresh process, answers the golden samples and keeps to the latency budget."""
    asked = golden.samples(language)
    try:
        answered = fresh.ask(model, [sample.text for sample in asked])
    except fresh.ProcessFailed as error:
        return GateVerdict(False, [f"does not load and answer in a fresh process: {error}"], final=False)
    result = golden.judge(asked, answered.answers, types)
    share, budget = float(options.get("golden_share", GOLDEN_SHARE)), float(options["max_latency_ms"])
    slowest = max(answered.milliseconds)
    reasons = [f"golden sample {breach}" for breach in result.breaches]
    if result.share < share:
        missed = ", ".join(result.missed)
        reasons.append(f"golden samples: {result.found} of {result.expected} entities found, missed: {missed}")
    final = bool(reasons) or slowest <= budget  # slowness alone may be that of a busy machine
    if slowest > budget:
        reasons.append(f"latency: the slowest golden sample took {slowest:.0f} ms, allowed are {budget:.0f} ms")
    details = {
        "golden": asdict(result) | {"share": result.share, "required": share},
        "latency_ms": {"slowest": slowest, "allowed": budget},
        "load_seconds": answered.load_seconds,
    }
    answers = f"golden samples: {result.found} of {result.expected} entities found, slowest answer {slowest:.0f} ms"
    return GateVerdict(not reasons, reasons or [answers], details, final)


def behaviour_of(model: Path, cases: Sequence[Case], types: Sequence[str], *, others: bool = False) -> Report:
    """What a model passes of the behaviour suite, in a fresh process.

    Args:
        model: its folder.
        cases: of the suite.
        types: entity types that are looked at.
        others: it may know further types, as a champion of other parameters does.

    Raises:
        ProcessFailed: it does not load or answer, or not in due form.
    """
    texts = texts_of(cases)
    answers = fresh.ask(model, texts, repeats=1).answers
    for text, answer in zip(texts, answers, strict=True):
        own = [entity.get("label") for entity in answer.get("entities", [])] if others else []
        if breaches := golden.form_breaches(text, answer, [*types, *own]):
            raise fresh.ProcessFailed(f"answer to {text[:40]!r}: {breaches[0]}")
    found = [[entity for entity in answer["entities"] if entity["label"] in types] for answer in answers]
    return judge_all(cases, dict(zip(texts, found, strict=True)))


def check_behaviour(
    champion: Path | None, challenger: Path, language: str, types: Sequence[str], options: Mapping[str, Any]
) -> GateVerdict:
    """Whether the challenger passes about as many behaviour cases as the champion does, and those that are a must.

    Passes without asking where the rule is off (``min_behaviour: null``) or the language has no suite.
    """
    allowed, floor = options.get("min_behaviour"), float(options.get("behaviour_must") or 0)
    cases = load_cases(language, types) if allowed is not None else []
    if not cases:
        return GateVerdict(True, [])
    reports: dict[str, Report] = {}
    for role, model in (("challenger", challenger), ("champion", champion)):
        if model is None:
            continue
        try:
            reports[role] = behaviour_of(model, cases, types, others=role == "champion")
        except fresh.ProcessFailed as error:
            return GateVerdict(False, [f"behaviour: the {role} fails in a fresh process: {error}"], final=False)
    mine, reasons = reports["challenger"], []
    if mine.must < floor:
        failed = ", ".join(outcome.case.id for outcome in mine.failures if outcome.case.must)
        reasons.append(f"behaviour: {mine.must:.1f} % of the must cases pass, required are {floor:.1f} %: {failed}")
    if "champion" in reports and (difference := mine.overall - reports["champion"].overall) < allowed:
        reasons.append(f"behaviour: the pass rate changes by {difference:+.1f} points, allowed are {allowed:+.1f}")
    details = {role: report.to_json() for role, report in reports.items()} | {"allowed": allowed, "must": floor}
    passed = f"behaviour: {mine.overall:.1f} % of {len(cases)} cases pass"
    if "champion" in reports:
        passed += f", {reports['champion'].overall:.1f} % with the champion"
    return GateVerdict(not reasons, reasons or [passed], {"behaviour": details})


def compare(
    champion: Path, challenger: Path, documents: Mapping[str, Sequence[Document]], options: Mapping[str, Any], seed: int
) -> GateVerdict:
    """Whether the challenger is no worse than the champion on ``documents``, each predicting in a fresh process."""
    from pipeline.evaluation.significance import micro_f1, no_worse

    everything = [document for part in documents.values() for document in part]
    scored: dict[str, dict[str, np.ndarray]] = {}
    for role, model in (("champion", champion), ("challenger", challenger)):
        try:
            scored[role] = counts(documents, fresh.predict(model, everything))
        except fresh.ProcessFailed as error:
            return GateVerdict(False, [f"the {role} does not predict in a fresh process: {error}"], final=False)
    verdict = no_worse(
        scored["champion"],
        scored["challenger"],
        min_difference=options["min_difference"],
        min_difference_corpus=options["min_difference_corpus"],
        resamples=options["bootstrap"],
        seed=seed,
    )
    f1 = {
        role: {corpus: round(float(micro_f1(table.sum(0))), 4) for corpus, table in tables.items()}
        | {"overall": round(float(micro_f1(sum(table.sum(0) for table in tables.values()))), 4)}
        for role, tables in scored.items()
    }
    details = {
        "f1": f1,
        "overall": asdict(verdict.overall),
        "per_corpus": {corpus: asdict(interval) for corpus, interval in verdict.per_corpus.items()},
        "documents": {corpus: len(part) for corpus, part in documents.items()},
    }
    return GateVerdict(verdict.passed, verdict.reasons, details)


def judge(
    challenger: Path,
    champion: Path | None,
    documents: Mapping[str, Sequence[Document]],
    *,
    language: str,
    types: Sequence[str],
    options: Mapping[str, Any],
    seed: int,
) -> GateVerdict:
    """The whole gate; where the golden samples already fail, what takes longer is left out.

    Args:
        challenger, champion: folders of the two models; no champion: nothing is compared.
        documents: the gate half by corpus.
        language, types: of the models.
        options: the section ``promotion`` of the parameters.
        seed: of the bootstrap.
    """
    verdicts = [check_golden(challenger, language, types, options)]
    if verdicts[0].passed:
        verdicts.append(check_behaviour(champion, challenger, language, types, options))
        if champion is None:
            verdicts.append(GateVerdict(True, ["first model: there is no champion to compare with"]))
        else:
            compared = compare(champion, challenger, documents, options, seed)
            verdicts.append(replace(compared, details={"comparison": compared.details}))
    return together(verdicts)


def together(verdicts: Sequence[GateVerdict]) -> GateVerdict:
    """One verdict from those on the parts, which has to be good on all: the reasons of the last part first."""
    passed = all(verdict.passed for verdict in verdicts)
    reasons = [reason for verdict in reversed(verdicts) for reason in verdict.reasons if passed or not verdict.passed]
    details = {name: detail for verdict in verdicts for name, detail in verdict.details.items()}
    return GateVerdict(passed, reasons, details, all(verdict.final for verdict in verdicts))
