"""Running the suite on the ensemble of a workspace, and the results as text."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.evaluation.behaviour.cases import load_cases
from multiner.pipeline.evaluation.behaviour.suite import AnsweredEntity, BehaviourReport, EntityFinder, rate, run_suite

if TYPE_CHECKING:
    from multiner.pipeline.ensemble.model import Ensemble


def ensemble_model(ensemble: Ensemble) -> EntityFinder:
    """The ensemble as it is served: each text alone, with the tokenizer of serving."""
    from multiner.pipeline.text.tokenizer import document_from_text

    def entities(text: str) -> list[AnsweredEntity]:
        document = document_from_text(text, ensemble.language)
        if not document.tokens:
            return []
        return [
            {
                "start": document.tokens[span.start].start,
                "end": document.tokens[span.end - 1].end,
                "text": document.span_text(span),
                "label": span.label,
                "score": span.score,
            }
            for span in ensemble.predict([document])[0].spans
        ]

    return lambda texts: [entities(text) for text in texts]


def workspace_report(workspace: Workspace, language: str, capabilities: Collection[str] = ()) -> BehaviourReport:
    """Run the suite, or some of its capabilities, on the ensemble trained in a workspace.

    Raises NerError if there is no trained ensemble, the language has no suite, or a capability is unknown.
    """
    from multiner.pipeline.ensemble.identity import base_model_folders, load_ensemble

    types = workspace.language(language)["types"]
    cases = load_cases(language, types, workspace.paths.behaviour)
    available = list(dict.fromkeys(case.capability for case in cases))
    if not cases:
        raise NerError(
            f"no behaviour suite for {language!r} with the types {', '.join(types)}",
            remedy=f"Write params/behaviour/{language}.yaml, in the form of pipeline/evaluation/behaviour/en.yaml.",
        )
    if unknown := set(capabilities) - set(available):
        raise NerError(
            f"unknown capability: {', '.join(sorted(unknown))}", remedy=f"Choose from: {', '.join(available)}."
        )
    paths = workspace.paths
    if not paths.ensemble(language).is_file():
        raise NerError(
            "no trained ensemble", where=str(paths.ensemble(language)), remedy="Run the stages first: dvc repro"
        )
    ensemble = load_ensemble(paths.ensemble(language), base_model_folders(workspace, language))
    selection = [case for case in cases if not capabilities or case.capability in capabilities]
    return run_suite(selection, ensemble_model(ensemble))


def table(report: BehaviourReport) -> str:
    """The cases passed, all cases and the pass rate of each capability, then of all, as a text table."""
    lines = [f"{'capability':<20}{'passed':>8}{'cases':>8}{'rate':>8}"]
    for name, outcomes in [*report.by_capability().items(), ("all", report.outcomes)]:
        passed = sum(outcome.passed for outcome in outcomes)
        lines.append(f"{name:<20}{passed:>8}{len(outcomes):>8}{rate(outcomes):>7.1f}%")
    return "\n".join(lines)


def failures(report: BehaviourReport) -> str:
    """Each failed case: its id, its text, and why it failed."""
    return "\n".join(
        f"{outcome.case.id}\n  {outcome.case.text.text!r}\n  {outcome.reason}" for outcome in report.failures
    )
