"""The gate: golden samples, latency, behaviour, and scores on the gate half; without MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from multiner.pipeline.core.document import Document
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.ensemble.identity import read_description
from multiner.pipeline.evaluation.behaviour import BehaviourCase, BehaviourReport, load_cases
from multiner.pipeline.evaluation.behaviour.suite import judge_all, texts_of
from multiner.pipeline.inference import golden, isolated_process
from multiner.pipeline.registry.gate.comparison import GateVerdict, JudgedModel, check_scores, together
from multiner.pipeline.registry.gate.predictions import GatePredictions


def check_golden(
    model: Path,
    language: str,
    types: Sequence[str],
    options: Mapping[str, Any],
    samples: Sequence[golden.GoldenSample] = (),
) -> GateVerdict:
    """Whether the model loads in a fresh process, answers the golden samples and keeps to the latency budget.

    ``samples`` take the place of the language's own.
    """
    samples = samples or golden.samples(language)
    try:
        reply = isolated_process.ask(model, [sample.text for sample in samples])
    except isolated_process.ProcessFailed as error:
        return GateVerdict(False, [f"does not load and answer in a fresh process: {error}"], final=False)
    result = golden.judge(samples, reply.answers, types)
    share, budget = float(options["golden_share"]), float(options["max_latency_ms"])
    slowest = max(reply.milliseconds)
    reasons = [f"golden sample {breach}" for breach in result.breaches]
    if result.share < share:
        missed = ", ".join(result.missed)
        reasons.append(f"golden samples: {result.found} of {result.expected} entities found, missed: {missed}")
    final = bool(reasons) or slowest <= budget  # a busy machine may be slow
    if slowest > budget:
        reasons.append(f"latency: the slowest golden sample took {slowest:.0f} ms, allowed are {budget:.0f} ms")
    details = {
        "golden": asdict(result) | {"share": result.share, "required": share},
        "latency_ms": {"slowest": slowest, "allowed": budget},
        "load_seconds": reply.load_seconds,
    }
    passed = f"golden samples: {result.found} of {result.expected} entities found, slowest answer {slowest:.0f} ms"
    return GateVerdict(not reasons, reasons or [passed], details, final)


def behaviour_of(
    model: Path, cases: Sequence[BehaviourCase], types: Sequence[str], *, others: bool = False
) -> BehaviourReport:
    """The results of a model, in a process of its own, on cases of the behaviour suite.

    Args:
        types: the entity types that count.
        others: whether it may know further types, as a champion of other parameters does.

    Raises:
        ProcessFailed: it does not load, does not answer, or answers in a wrong form.
    """
    texts = texts_of(cases)
    answers = isolated_process.ask(model, texts, repeats=1).answers
    for text, answer in zip(texts, answers, strict=True):
        own = [entity.get("label") for entity in answer.get("entities", [])] if others else []
        if breaches := golden.form_breaches(text, answer, [*types, *own]):
            raise isolated_process.ProcessFailed(f"answer to {text[:40]!r}: {breaches[0]}")
    entities = [[entity for entity in answer["entities"] if entity["label"] in types] for answer in answers]
    return judge_all(cases, dict(zip(texts, entities, strict=True)))


def check_behaviour(
    champion: Path | None,
    challenger: Path,
    language: str,
    types: Sequence[str],
    options: Mapping[str, Any],
    *,
    shared: Sequence[str] | None = None,
    suites: Path | None = None,
) -> GateVerdict:
    """Whether the challenger passes about as many behaviour cases as the champion, and enough of the must cases.

    The check passes at once where it is off (``min_behaviour: null``) or the language has no suite for the types. The
    two models are compared on the cases for the types that both know (``shared``; by default all). ``suites`` is the
    folder of the workspace's own suites.
    """
    allowed, floor = options["min_behaviour"], float(options["behaviour_must"] or 0)
    cases = load_cases(language, types, suites) if allowed is not None else []
    if not cases:
        return GateVerdict(True, [])
    common = cases if shared is None else load_cases(language, shared, suites)
    reports: dict[str, BehaviourReport] = {}
    for role, model, own in (("challenger", challenger, cases), ("champion", champion, common)):
        if model is None or not own:
            continue
        try:
            reports[role] = behaviour_of(model, own, types, others=role == "champion")
        except isolated_process.ProcessFailed as error:
            return GateVerdict(False, [f"behaviour: the {role} fails in a fresh process: {error}"], final=False)
    mine, reasons = reports["challenger"], []
    if mine.must < floor:
        failed = ", ".join(outcome.case.id for outcome in mine.failures if outcome.case.must)
        reasons.append(f"behaviour: {mine.must:.1f} % of the must cases pass, required are {floor:.1f} %: {failed}")
    if "champion" in reports and (difference := mine.among(common).overall - reports["champion"].overall) < allowed:
        reasons.append(f"behaviour: the pass rate changes by {difference:+.1f} points, allowed are {allowed:+.1f}")
    details = {role: report.to_json() for role, report in reports.items()} | {"allowed": allowed, "must": floor}
    passed = f"behaviour: {mine.overall:.1f} % of {len(cases)} cases pass"
    if "champion" in reports:
        passed += f", {reports['champion'].overall:.1f} % with the champion"
    return GateVerdict(not reasons, reasons or [passed], {"behaviour": details})


def types_of(model: Path) -> list[str]:
    """The entity types that a model (an MLflow model's folder) knows."""
    return list(read_description(model / "artifacts" / "ensemble.json")["types"])


def judge(
    challenger: JudgedModel,
    champion: JudgedModel | None,
    documents: Mapping[str, Sequence[Document]],
    *,
    language: str,
    types: Sequence[str],
    options: Mapping[str, Any],
    seed: int,
    training: Mapping[str, Sequence[Document]] | None = None,
    former: Mapping[str, GatePredictions] | None = None,
    samples: Sequence[golden.GoldenSample] = (),
    suites: Path | None = None,
) -> GateVerdict:
    """The whole gate; if the golden samples fail, the checks that take longer are left out.

    The two models are compared on the types that both know. If they share none, or there is no champion, the challenger
    is judged as a first model. New spans are added to the predictions of the models.

    Args:
        challenger, champion: the models.
        documents: the gate half by corpus.
        language, types: of the challenger.
        options: the section ``promotion`` of the parameters.
        seed: of the bootstrap.
        training: the training documents of a language with cross-fitting, by corpus.
        former: predictions of former champions by version.
        samples: golden samples of a language that has none of its own.
        suites: the folder of the workspace's own behaviour suites.
    """
    first = check_golden(challenger.folder, language, types, options, samples)
    if not first.passed:
        return first
    try:
        champion_types = types_of(champion.folder) if champion else []
    except NerError as error:
        return together([first, GateVerdict(False, [f"the champion does not load: {error.message}"], final=False)])
    shared = [type_ for type_ in types if type_ in champion_types]
    rival = champion if shared else None
    against = GateVerdict(True, [basis_of_comparison(types, champion_types, shared, first=champion is None)])
    folder = rival.folder if rival else None
    behaves = check_behaviour(folder, challenger.folder, language, types, options, shared=shared, suites=suites)
    scores = check_scores(
        rival, challenger, documents, types, options, seed, shared=shared, training=training, former=former
    )
    return together([first, behaves, against, scores])


def basis_of_comparison(
    types: Sequence[str], champion_types: Sequence[str], shared: Sequence[str], *, first: bool
) -> str:
    """The sentence on which types a challenger is compared with the champion; ``first``: there is no champion."""
    if first:
        return "first model: there is no champion to compare with"
    if not shared:
        return f"not comparable: the champion knows other types ({', '.join(champion_types)}); judged as a first model"
    if len(shared) < len(types):
        return f"compared with the champion on the types that it knows, too: {', '.join(shared)}"
    return f"compared with the champion on all types: {', '.join(types)}"
