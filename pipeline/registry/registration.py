"""Registration: the outputs of the stages become one MLflow run and a version of the model, once per fingerprint."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.dvc_cache import recorded_input, require_whole
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json, sha256_of
from multiner.pipeline.ensemble.identity import model_hash, read_description
from multiner.pipeline.registry import journal, lineage, replay
from multiner.pipeline.registry.failures import registry_errors
from multiner.pipeline.registry.gate.predictions import GatePredictions, write_predictions
from multiner.pipeline.registry.journal.entry import JournalEntry, actor, utc
from multiner.pipeline.registry.packaging import log_model
from multiner.pipeline.registry.runs import MISSING, if_exists, run_id_of, run_of
from multiner.pipeline.registry.signing.versions import sign_version
from multiner.pipeline.registry.store import (
    CHALLENGER,
    CHAMPION,
    local_path,
    model_name,
    open_experiment,
    open_store,
    registry_lock,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

FINGERPRINT, COMPLETE = "ner.fingerprint", "ner.complete"
REGISTERED_BY = "ner.registered_by"  # of runs


@dataclass(frozen=True, slots=True)
class Registration:
    """A registered version and its run; ``created`` is False if it existed already."""

    name: str
    version: str
    run_id: str
    experiment_id: str
    created: bool


@registry_errors()
def register(workspace: Workspace, language: str) -> Registration:
    """Log the outputs of the stages as one MLflow run and register the model, alias ``challenger``.

    The same ensemble with the same code is registered once. A killed call leaves a run with the tag ``ner.complete`` at
    ``false``; the next call removes the run and all that belongs to it.

    Raises:
        NerError: a stage's output is missing or damaged, the figures are of another model, or the language is not
            configured.
    """
    metrics = _outputs(workspace, language)
    name = model_name(workspace, language)
    with registry_lock(workspace, f".{name}.lock"):
        client = open_store(workspace)
        experiment = open_experiment(client, workspace, language)
        fingerprint = lineage.fingerprint(workspace, language, metrics)
        remove_incomplete(client, experiment)
        registered = _registered(client, name, experiment, fingerprint)
        if registered:
            version, run_id = registered
            sign_version(client, workspace, name, version)  # one of an older release has no signature
        else:
            run = client.create_run(
                experiment,
                run_name=f"{language} {workspace.profile} {fingerprint[:8]}",
                tags=_tags(workspace, language, metrics) | {FINGERPRINT: fingerprint, COMPLETE: "false"},
            )
            run_id = run.info.run_id
            replay.log_run(client, run_id, workspace, language, metrics)
            store_cross_fitted(client, run_id, workspace, language)
            with scratch(workspace.paths.mlruns / f".{name}.tmp"):
                version = log_model(run_id, name, workspace, language)
                sign_version(client, workspace, name, version)
        client.set_model_version_tag(name, version, FINGERPRINT, fingerprint)  # outlives the run
        if not registered:  # before the alias: a version in use is never taken for a leftover
            client.set_tag(run_id, COMPLETE, "true")
        _note(client, name, version, run_id)
        if version != alias_version(client, name, CHAMPION):
            client.set_registered_model_alias(name, CHALLENGER, version)
    return Registration(name, version, run_id, experiment, created=not registered)


def store_cross_fitted(client: MlflowClient, run_id: str, workspace: Workspace, language: str) -> None:
    """Store in a run what the gate compares beside the gate half: the training documents' spans by cross-fitting."""
    from multiner.pipeline.ensemble.held_out import held_out_spans

    predictions = GatePredictions(workspace.language(language)["types"])
    for document, spans in held_out_spans(workspace, language):
        predictions.add(document.corpus, [document], [spans])
    if predictions.changed:
        write_predictions(client, run_id, predictions)


@contextmanager
def scratch(folder: Path) -> Iterator[None]:
    """Put temporary files into ``folder``, without those of a killed call, among them a copy of a whole model."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)


def alias_version(client: MlflowClient, name: str, alias: str) -> str | None:
    """The version of an alias; None if there is no such model or alias."""
    missing = (*MISSING, "INVALID_PARAMETER_VALUE")  # the latter where only the alias is missing
    entry = if_exists(client.get_model_version_by_alias, name, alias, missing=missing)
    return str(entry.version) if entry else None


@registry_errors()
def known_version(client: MlflowClient, name: str, version: str) -> str | None:
    """A version as the registry writes it (MLflow takes "02" for "2"); None if there is no such version."""
    if not version.isdecimal() or len(version) > 9:
        return None
    entry = if_exists(client.get_model_version, name, str(int(version)))
    return str(entry.version) if entry else None


def remove_incomplete(client: MlflowClient, experiment: str) -> list[str]:
    """Remove the runs of killed registrations, with their versions, models and files; returns their ids.

    A run whose version has an alias stays and is marked as complete: its model is in use, or about to be. The caller
    holds the lock of registrations, so no other process writes any of the runs.
    """
    removed = []
    for run in client.search_runs([experiment], f"tags.`{COMPLETE}` = 'false'"):
        versions = client.search_model_versions(f"run_id = '{run.info.run_id}'")
        # a search may return versions without their aliases
        if any(client.get_model_version(version.name, version.version).aliases for version in versions):
            client.set_tag(run.info.run_id, COMPLETE, "true")
            continue
        places = {run.info.run_id: run.info.artifact_uri}
        for version in versions:
            client.delete_model_version(version.name, version.version)
        for model in client.search_logged_models([experiment], f"source_run_id = '{run.info.run_id}'"):
            places[model.model_id] = model.artifact_location
            client.delete_logged_model(model.model_id)
        for id, address in places.items():
            folder = local_path(address)
            if folder and folder.parent.name == id:  # MLflow puts the files into <id>/artifacts
                shutil.rmtree(folder.parent, ignore_errors=True)
        client.delete_run(run.info.run_id)
        removed.append(run.info.run_id)
    return removed


def _note(client: MlflowClient, name: str, version: str, run_id: str) -> None:
    """Enter a registration in the journal, once; one of an older release, whose run does not say by whom, never."""
    run = run_of(client, run_id)
    if run and (by := run.data.tags.get(REGISTERED_BY)):
        created = utc(client.get_model_version(name, version).creation_timestamp)
        champion = alias_version(client, name, CHAMPION)
        journal.note(client, name, JournalEntry(created, "registration", champion, version, by))


def _registered(client: MlflowClient, name: str, experiment: str, fingerprint: str) -> tuple[str, str] | None:
    """Version and run id of the registration with this fingerprint, even if its run was deleted."""
    from mlflow.entities import ViewType

    tagged = client.search_model_versions(f"name = '{name}' and tags.`{FINGERPRINT}` = '{fingerprint}'")
    whole = f"tags.`{FINGERPRINT}` = '{fingerprint}' and tags.`{COMPLETE}` != 'false'"
    runs = client.search_runs([experiment], whole, ViewType.ALL)
    of_runs = [version for run in runs for version in client.search_model_versions(f"run_id = '{run.info.run_id}'")]
    # older versions have no such tag, but their runs have
    return next(((str(each.version), run_id_of(each)) for each in [*tagged, *of_runs] if each.name == name), None)


def _outputs(workspace: Workspace, language: str) -> dict[str, Any]:
    """Check that everything that registration reads exists and belongs together; returns the figures."""
    paths = workspace.paths
    workspace.language(language)
    legs = {leg: paths.leg(language, leg) for leg in workspace.legs(language)}
    places = [paths.ensemble(language), *legs.values(), paths.documents(language), paths.metrics(language)]
    require_whole(workspace.root, places)
    for place in places:
        if not place.exists():
            raise NerError(
                f"nothing to register for {language!r} under the profile {workspace.profile!r}: an output is missing",
                where=str(place),
                remedy="Run the stages first: dvc repro",
            )
    read_description(paths.ensemble(language))
    metrics = read_json(paths.metrics(language))
    if breach := _of_another_model(metrics.get("model_hash"), model_hash(paths.ensemble(language), legs)):
        raise NerError(breach, where=str(paths.metrics(language)), remedy=f"Run: dvc repro evaluate@{language}")
    _require_one_state(workspace, language)
    return metrics


def _require_one_state(workspace: Workspace, language: str) -> None:
    """Refuse a model whose stages have read different documents: another run prepared new ones between two of them.

    Raises NerError; what DVC has no record of is not compared.
    """
    documents = workspace.paths.documents(language).relative_to(workspace.root).as_posix()
    read = {
        stage: digest
        for stage, digest in recorded_input(workspace.root, documents).items()
        if stage.endswith(f"@{language}")
    }
    measured = read.get(f"evaluate@{language}")
    if measured and (others := [stage for stage, digest in read.items() if digest != measured]):
        raise NerError(
            f"the model is of two states of the documents: {', '.join(others)} read other ones than the evaluation",
            where=str(workspace.root / "dvc.lock"), remedy=f"Run: dvc repro evaluate@{language}",
        )  # fmt: skip


def _of_another_model(measured: dict[str, Any] | None, present: dict[str, Any]) -> str | None:
    """Why figures of the model with the hashes ``measured`` are not of the model with ``present``; else None."""
    if measured == present:
        return None
    if not measured:
        return "the figures do not say which model they are of"
    legs = [leg for leg, digest in present["legs"].items() if measured.get("legs", {}).get(leg) != digest]
    changed = ["ensemble.json"] * (measured.get("ensemble") != present["ensemble"])
    changed += [f"the leg {leg}" for leg in legs]
    return f"the figures are of another model: since they were taken, {', '.join(changed) or 'a leg'} changed"


def _tags(workspace: Workspace, language: str, metrics: dict[str, Any]) -> dict[str, str]:
    root = workspace.root
    lock = root / "requirements.lock"
    tags = {
        "language": language,
        "profile": workspace.profile,
        "git_commit": lineage.commit(root),
        "mlflow.source.git.commit": lineage.commit(root),
        "mlflow.source.name": "ner register",
        "data_hash": metrics["data_hash"],
        "lock_hash": sha256_of(lock) if lock.is_file() else "",
        REGISTERED_BY: actor(),
        "airflow_dag_id": os.environ.get("AIRFLOW_CTX_DAG_ID", ""),
        "airflow_run_id": os.environ.get("AIRFLOW_CTX_DAG_RUN_ID", ""),
    }
    return {key: str(value) for key, value in tags.items() if value}
