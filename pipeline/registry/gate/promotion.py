"""Promotion: ask the gate about the challenger, note the verdict in its run, wait for an approval, move the aliases."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core import locks
from multiner.pipeline.core.document import Document
from multiner.pipeline.core.dvc_cache import require_whole
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import sha256_of
from multiner.pipeline.evaluation.behaviour.cases import suite_hash
from multiner.pipeline.inference import golden, isolated_process
from multiner.pipeline.registry import journal
from multiner.pipeline.registry.champions import model_folder, set_champion, version_info
from multiner.pipeline.registry.failures import registry_errors
from multiner.pipeline.registry.gate import judgement as gate
from multiner.pipeline.registry.gate.comparison import (
    GateVerdict,
    JudgedModel,
    basis_hash,
    cross_fitted_documents,
    gate_documents,
)
from multiner.pipeline.registry.gate.corpus_samples import corpus_samples
from multiner.pipeline.registry.gate.entries import verdict_entry
from multiner.pipeline.registry.gate.predictions import GatePredictions, read_predictions, write_predictions
from multiner.pipeline.registry.gate.verdict_notes import KEY, PASSED, REASONS, note_verdict, report_path
from multiner.pipeline.registry.journal.entry import decided_by
from multiner.pipeline.registry.journal.former_switches import ROLLED_BACK, SINCE
from multiner.pipeline.registry.registration import alias_version
from multiner.pipeline.registry.runs import deleted_run, require_files, run_id_of, run_of
from multiner.pipeline.registry.store import CHALLENGER, CHAMPION, model_name, open_store, registry_lock

if TYPE_CHECKING:
    from mlflow import MlflowClient

ATTEMPTS = 3
APPROVAL = ("approval", "approval_hours")  # parameters that no verdict depends on
FORMER_CHAMPIONS = 5  # how many a challenger is compared with


@dataclass(frozen=True, slots=True)
class Promotion:
    """The outcome for a challenger: ``version`` was judged, ``champion`` is champion now (None: there is none).

    ``final`` is False if the gate could not judge; the next call asks it again. ``passed`` says whether the version
    passed the gate, ``report`` is the path of the verdict's report on MLflow's pages (None: there is none).
    """

    name: str
    version: str
    champion: str | None
    promoted: bool
    reasons: list[str]
    final: bool = True
    passed: bool = False
    report: str | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """A challenger to be judged against a champion (None: there is none) and against ``former`` champions.

    ``documents`` are the gate half, ``training`` the training documents with cross-fitting, both by corpus. ``key`` is
    a hash of everything that the verdict depends on; ``verdict`` is an earlier one with this key.
    """

    challenger: str
    champion: str | None
    documents: dict[str, list[Document]]
    training: dict[str, list[Document]]
    former: list[str]
    key: str
    verdict: GateVerdict | None


@registry_errors()
def promote(
    workspace: Workspace, language: str, *, judge_only: bool = False, approved: str | None = None, by: str | None = None
) -> Promotion:
    """Make the challenger champion if it passes the gate; otherwise it stays challenger, and its run says why.

    The same two versions, documents and rules are judged once. The registry is not locked while the gate works, so
    that a rollback need not wait; if the champion has changed by then, the challenger is judged again.

    Args:
        judge_only: note the verdict and move no alias. The same happens if ``promotion.approval`` is on and no version
            is ``approved``.
        approved: a version that passed and that a person approved. The gate is not asked again.
        by: the person who approved it, for the journal; None: the user of this process.

    Raises:
        NerError: the language is unknown, nothing was registered, the prepared documents or the files of a version are
            missing, the challenger's MLflow run was deleted, or the champion keeps changing; or the approved version
            is not the challenger, or has not passed against this champion.
    """
    moves = approved is not None or not (judge_only or workspace.params["promotion"]["approval"])
    workspace.language(language)  # refuses an unknown one
    name = model_name(workspace, language)
    with registry_lock(workspace, f".{name}.gate.lock", locks.GATE):  # one gate at a time, which nothing else waits for
        for _ in range(ATTEMPTS):
            with registry_lock(workspace, f".{name}.lock"):
                client = open_store(workspace)
                trial = pending_trial(client, workspace, language, name)
            if approved is not None:
                require_approved(name, approved, trial)
            if isinstance(trial, Promotion):
                return trial
            verdict = trial.verdict or judge(client, workspace, language, name, trial)
            with registry_lock(workspace, f".{name}.lock"):
                promotion = settle(client, name, trial, verdict, moves=moves, by=decided_by(by))
            if promotion:
                return promotion
    raise NerError(
        f"{name}: the champion changed {ATTEMPTS} times while a challenger was being judged",
        remedy=f"The page /models shows who switched. Run again: ner promote -l {language}",
        transient=True,
    )


def require_approved(name: str, version: str, trial: Promotion | Trial) -> None:
    """Refuse to promote an approved version that is not the challenger, or whose verdict is of another state."""
    if isinstance(trial, Promotion):
        problem = "" if trial.champion == version else trial.reasons[0]
    elif trial.challenger != version:
        problem = f"the challenger is version {trial.challenger} now"
    elif not trial.verdict:
        now_champion = f"version {trial.champion}" if trial.champion else "none"
        problem = f"it was not judged against the champion of now ({now_champion}), on the documents and rules of now"
    else:
        problem = "" if trial.verdict.passed else "it did not pass the gate"
    if problem:
        raise NerError(
            f"version {version} was approved and is not promoted: {problem}",
            where=name,
            remedy="Judge again: ner promote -l LANG --judge-only. Then approve the version that passes.",
        )


def pending_trial(client: MlflowClient, workspace: Workspace, language: str, name: str) -> Promotion | Trial:
    """The two versions to be judged, or the outcome where nothing is to be judged."""
    challenger, champion = alias_version(client, name, CHALLENGER), alias_version(client, name, CHAMPION)
    if champion is not None and challenger in (None, champion):
        set_champion(client, name, champion)  # removes the alias challenger after a killed call
        return Promotion(name, champion, champion, False, [f"version {champion} is champion already"])
    if challenger is None:
        raise NerError(
            f"{name}: nothing was registered yet", remedy=f"Register a model first: ner register -l {language}"
        )
    tags = client.get_model_version(name, challenger).tags
    if ROLLED_BACK in tags:
        reason = f"version {challenger} was rolled back at {tags[ROLLED_BACK]} and is not promoted again by itself"
        return Promotion(name, challenger, champion, False, [reason])
    require_whole(workspace.root, [workspace.paths.documents(language)])
    documents = gate_documents(workspace, language)
    training = cross_fitted_documents(workspace, language)
    types = workspace.language(language)["types"]
    basis = basis_hash(documents, types) + basis_hash(training, types)
    former = former_champions(client, name, {challenger, champion})
    key = verdict_key(workspace, language, challenger, champion, basis, former)
    verdict = GateVerdict(tags[PASSED] == "true", json.loads(tags[REASONS])) if tags.get(KEY) == key else None
    if error := deleted_run(client, name, challenger):
        if verdict is None:
            raise error
        verdict.reasons.append(f"version {challenger}: {error.message}")
    if verdict is None or verdict.passed:
        for version in filter(None, (challenger, champion)):
            require_files(name, version)
    return Trial(challenger, champion, documents, training, former, key, verdict)


def former_champions(client: MlflowClient, name: str, others: set[str | None]) -> list[str]:
    """The latest champions before, without ``others`` and those that were rolled back; the latest first."""
    versions = [
        version
        for version in client.search_model_versions(f"name = '{name}'", max_results=1000)
        if SINCE in version.tags and ROLLED_BACK not in version.tags and str(version.version) not in others
    ]
    versions.sort(key=lambda version: version.tags[SINCE], reverse=True)
    return [str(version.version) for version in versions[:FORMER_CHAMPIONS]]


def judge(client: MlflowClient, workspace: Workspace, language: str, name: str, trial: Trial) -> GateVerdict:
    """The gate's verdict on a challenger; new predictions are stored in the runs of their versions."""

    def model(version: str) -> JudgedModel:
        folder = model_folder(version_info(client, name, version))
        predictions = read_predictions(client, client.get_model_version(name, version).run_id)
        return JudgedModel(folder, predictions)

    challenger = model(trial.challenger)
    champion = model(trial.champion) if trial.champion else None
    wanted = trial.former if workspace.params["promotion"]["max_below_best"] is not None else []
    former = {version: predictions_of_former(client, name, version, trial) for version in wanted}
    verdict = gate.judge(
        challenger,
        champion,
        trial.documents,
        language=language,
        types=workspace.language(language)["types"],
        options=workspace.params["promotion"],
        seed=workspace.params["seed"],
        training=trial.training,
        samples=corpus_samples(workspace, language),
        suites=workspace.paths.behaviour,
        former={version: predictions for version, predictions in former.items() if predictions},
    )
    for version, judged in ((trial.challenger, challenger), (trial.champion, champion)):
        if version and judged:
            store_predictions(client, name, version, judged)
    return verdict


def predictions_of_former(client: MlflowClient, name: str, version: str, trial: Trial) -> GatePredictions | None:
    """The predictions of a former champion, anew if none are stored; None where its model cannot predict any more."""
    predictions = read_predictions(client, client.get_model_version(name, version).run_id)
    if predictions.spans:
        return predictions
    try:
        model = JudgedModel(model_folder(version_info(client, name, version)), predictions)
        predictions.complete(model.folder, trial.documents)
        store_predictions(client, name, version, model)
    except (NerError, isolated_process.ProcessFailed):  # its files were deleted, or are of an old release
        return None
    return predictions


def store_predictions(client: MlflowClient, name: str, version: str, model: JudgedModel) -> None:
    """Store the predictions of a version in its run, if they are new; not if the run was deleted."""
    if model.predictions.changed and not deleted_run(client, name, version):
        model.predictions.types = gate.types_of(model.folder)
        write_predictions(client, run_id_of(client.get_model_version(name, version)), model.predictions)


def settle(
    client: MlflowClient, name: str, trial: Trial, verdict: GateVerdict, *, moves: bool, by: str | None
) -> Promotion | None:
    """Note the verdict and, if ``moves``, promote a challenger that passed.

    None if the champion has changed, or the challenger was rolled back, meanwhile.
    """
    entry = client.get_model_version(name, trial.challenger)
    if alias_version(client, name, CHAMPION) != trial.champion or ROLLED_BACK in entry.tags:
        return None
    if trial.verdict is None:
        note_verdict(client, name, trial.challenger, trial.champion, trial.key, verdict)
    promoted = verdict.passed and moves
    path = report_path(trial.challenger, trial.champion)
    noted = verdict_entry(trial.challenger, trial.champion, trial.key, verdict, path, promoted=promoted, by=by)
    if promoted:
        set_champion(client, name, trial.challenger, noted)
    else:
        journal.note(client, name, noted)
    report = None
    if run := run_of(client, entry.run_id):
        report = f"experiments/{run.info.experiment_id}/runs/{run.info.run_id}/artifacts/{path}"
    champion = trial.challenger if promoted else trial.champion
    return Promotion(name, trial.challenger, champion, promoted, verdict.reasons, verdict.final, verdict.passed, report)


def verdict_key(
    workspace: Workspace, language: str, challenger: str, champion: str | None, basis: str, former: Sequence[str] = ()
) -> str:
    """A hash over everything that a verdict depends on: equal keys need no second judgement."""
    parts = {
        "versions": [challenger, champion],
        "rules": {key: value for key, value in workspace.params["promotion"].items() if key not in APPROVAL},
        "seed": workspace.params["seed"],
        "golden": sha256_of(golden.FILE),
        "behaviour": suite_hash(language, workspace.paths.behaviour),
        "basis": basis,
        "former": list(former),
    }
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
