"""What house-keeping removes from the registry: old versions, deleted runs and models, files that nothing refers to.

Versions are deleted through MLflow's API, and never one with an alias. A run is marked before its version is deleted,
so that the next call goes on where a killed one stopped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.registry.failures import registry_errors
from multiner.pipeline.registry.runs import if_exists, run_of
from multiner.pipeline.registry.store import database, local_path, open_store, registry_lock, tracking_uri
from multiner.serving.housekeeping.removal import DAY, Removal, remove, size_of
from multiner.serving.housekeeping.retention import RegisteredVersion, kept_versions

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

EXPIRED = "ner.expired"  # tag of a run whose version house-keeping deletes
OURS = re.compile(r"ner-[a-z]{2,3}(-\w+)?")
RUN_FOLDER = re.compile("[0-9a-f]{32}")


def model_names(client: MlflowClient) -> list[str]:
    """The registered models of this project, those of trial profiles too."""
    names = [model.name for model in client.search_registered_models(max_results=1000)]
    return sorted(name for name in names if OURS.fullmatch(name))


def versions_of(client: MlflowClient, name: str) -> dict[str, ModelVersion]:
    """All versions of a model."""
    entries: list[ModelVersion] = []
    token: str | None = None
    while token != "":
        page = client.search_model_versions(f"name = '{name}'", max_results=1000, page_token=token)
        entries += page
        token = page.token or ""
    return {str(entry.version): entry for entry in entries}


@registry_errors()
def old_versions(
    workspace: Workspace, in_use: dict[str, set[str]], newest: int, *, delete: bool
) -> tuple[Removal, list[str]]:
    """Versions that :func:`.kept_versions` does not name, with their runs and files; and a line for each that stays.

    Args:
        workspace: whose registry.
        in_use: the versions at the gateway, by language.
        newest: how many of the newest of each model stay in any case.
        delete: False: only say what would be deleted.
    """
    client, lines, stay, size = open_store(workspace), [], [], 0
    for name in model_names(client):
        with registry_lock(workspace, f".{name}.lock"):
            entries, aliases = versions_of(client, name), client.get_registered_model(name).aliases
            versions = [
                RegisteredVersion(number, [alias for alias, of in aliases.items() if str(of) == number], entry.tags)
                for number, entry in entries.items()
            ]
            kept = kept_versions(versions, newest, in_use.get(name.split("-")[1], ()))
            stay += [f"{name} version {number}: {reason}" for number, reason in kept.items()]
            for number in sorted(entries.keys() - kept.keys(), key=int):
                size += _version_size(client, entries[number])
                lines.append(f"{name} version {number}")
                if delete:
                    _delete_version(client, entries[number])
            if delete:
                _finish(client, name)
    return Removal("model versions", lines, size), stay


def _version_size(client: MlflowClient, entry: ModelVersion) -> int:
    places = [entry.source, getattr(entry, "storage_location", None)]
    if run := run_of(client, entry.run_id):
        places.append(run.info.artifact_uri)
    if model := _logged_model(client, entry):
        places.append(model.artifact_location)
    folders = {folder for place in places if place and (folder := local_path(place)) and folder.is_absolute()}
    return sum(size_of(folder) for folder in folders if not any(other in folder.parents for other in folders))


def _model_id(entry: ModelVersion) -> str | None:
    """The logged model of a version, which its source names."""
    scheme, _, model_id = str(entry.source).partition(":/")
    return model_id if scheme == "models" and model_id.startswith("m-") else None


def _logged_model(client: MlflowClient, entry: ModelVersion) -> Any:
    return if_exists(client.get_logged_model, model_id) if (model_id := _model_id(entry)) else None


def _delete_version(client: MlflowClient, entry: ModelVersion) -> None:
    """Delete a version, then its model and its run; MLflow still has their files then."""
    if client.get_model_version(entry.name, entry.version).aliases:
        return  # set on MLflow's page a moment ago
    run = run_of(client, entry.run_id)
    if run and run.info.lifecycle_stage == "active":
        client.set_tag(run.info.run_id, EXPIRED, f"{entry.name}/{entry.version}")
    client.delete_model_version(entry.name, entry.version)
    if model := _logged_model(client, entry):
        client.delete_logged_model(model.model_id)


def _finish(client: MlflowClient, name: str) -> None:
    """Delete the marked runs of a model whose version has gone, with their models, for good where that can be done."""
    from mlflow.entities import ViewType

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return
    versions = versions_of(client, name).values()
    used = {entry.run_id for entry in versions}
    for run in client.search_runs(
        [experiment.experiment_id], f"tags.`{EXPIRED}` LIKE '{name}/%'", ViewType.ALL, 10_000
    ):
        run_id = run.info.run_id
        if run_id in used:
            continue
        models = client.search_logged_models([experiment.experiment_id], f"source_run_id = '{run_id}'")
        for model in models:
            client.delete_logged_model(model.model_id)
        if run.info.lifecycle_stage == "active":
            client.delete_run(run_id)
        _hard_delete(client, [run_id], _deleted_models_of(client, experiment.experiment_id, {run_id}))


@registry_errors()
def deleted_runs(workspace: Workspace, days: float, *, delete: bool) -> Removal:
    """Runs and models that people deleted on MLflow's page more than ``days`` ago, unless a version refers to them."""
    from mlflow.entities import ViewType

    client, kind = open_store(workspace), "deleted MLflow runs"
    store = _store(client)
    if store is None:
        return Removal(kind, note=f"this needs MLflow's database: on its machine run mlflow gc --older-than {days:g}d")
    old = int(1000 * days * DAY)
    runs, models = set(store._get_deleted_runs(older_than=old)), set(store._get_deleted_logged_models(older_than=old))
    lines, size = [], 0
    for name in model_names(client):
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            continue
        with registry_lock(workspace, f".{name}.lock"):
            entries = versions_of(client, name).values()
            own = {
                run.info.run_id
                for run in client.search_runs([experiment.experiment_id], "", ViewType.DELETED_ONLY, 10_000)
            }
            run_ids = sorted((runs & own) - {entry.run_id for entry in entries})
            own_models = _deleted_models_of(client, experiment.experiment_id, None)
            model_ids = sorted((models & own_models) - {_model_id(entry) for entry in entries})
            size += sum(size_of(folder) for folder in _folders(store, run_ids, model_ids))
            lines += [f"run {id} of {name}" for id in run_ids] + [f"model {id} of {name}" for id in model_ids]
            if delete:
                _hard_delete(client, run_ids, model_ids)
    return Removal(kind, lines, size)


def _store(client: MlflowClient) -> Any:
    """MLflow's tracking store if it can delete for good, as `mlflow gc` does; None where it is behind a server."""
    store: Any = client._tracking_client.store
    return store if hasattr(store, "_hard_delete_run") else None


def _deleted_models_of(client: MlflowClient, experiment: str, runs: set[str] | None) -> set[str]:
    """The deleted logged models of an experiment, of these runs or of any."""
    store = _store(client)
    ids = store._get_deleted_logged_models() if store else []
    entries = [store.get_logged_model(id, allow_deleted=True) for id in ids]
    return {
        entry.model_id
        for entry in entries
        if entry.experiment_id == experiment and (runs is None or entry.source_run_id in runs)
    }


def _folders(store: Any, runs: Iterable[str], models: Iterable[str]) -> list[Path]:
    addresses = [store.get_run(id).info.artifact_uri for id in runs]
    addresses += [store.get_logged_model(id, allow_deleted=True).artifact_location for id in models]
    return [folder for address in addresses if (folder := local_path(address))]


def _hard_delete(client: MlflowClient, runs: Iterable[str], models: Iterable[str]) -> None:
    """Delete files, then records, as `mlflow gc` does; that command would take all deleted experiments along."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    if (store := _store(client)) is None:
        return
    for id in models:
        get_artifact_repository(store.get_logged_model(id, allow_deleted=True).artifact_location).delete_artifacts()
        store._hard_delete_logged_model(id)
    for id in runs:
        get_artifact_repository(store.get_run(id).info.artifact_uri).delete_artifacts()
        store._hard_delete_run(id)


@registry_errors()
def stray_artifacts(workspace: Workspace, *, delete: bool) -> Removal:
    """Folders below ``mlruns/artifacts`` of runs and models that the workspace's own database does not have."""
    kind, lines, size = "artifacts without a run", [], 0
    if tracking_uri(workspace) != f"sqlite:///{database(workspace)}":
        return Removal(kind)
    client = open_store(workspace)
    store = _store(client)
    for folder in sorted((workspace.paths.mlruns / "artifacts").glob("ner-*")):
        with registry_lock(workspace, f".{folder.name}.lock"):
            strays = [
                path for path in folder.glob("*") if RUN_FOLDER.fullmatch(path.name) and not run_of(client, path.name)
            ]
            strays += [
                path
                for path in folder.glob("models/m-*")
                if not if_exists(partial(store.get_logged_model, allow_deleted=True), path.name)
            ]
            lines += [path.relative_to(workspace.root).as_posix() for path in strays]
            size += sum(map(size_of, strays))
            if delete:
                remove(strays)
    return Removal(kind, lines, size)


@registry_errors()
def lineage_commits(workspace: Workspace) -> set[str]:
    """The commits that the registered versions were made at."""
    client = open_store(workspace)
    versions = [entry for name in model_names(client) for entry in versions_of(client, name).values()]
    runs = [run for entry in versions if (run := run_of(client, entry.run_id))]
    return {commit for run in runs if (commit := run.data.tags.get("git_commit"))}


@registry_errors()
def lineage_files(workspace: Workspace) -> list[str]:
    """The texts of dvc.lock and the ``.dvc`` files that the registered versions were made with."""
    from mlflow.artifacts import load_text

    client, texts = open_store(workspace), []
    for name in model_names(client):
        for entry in versions_of(client, name).values():
            if run := run_of(client, entry.run_id):
                paths = _files_below(client, run.info.run_id, "lineage")
                pointers = [path for path in paths if path.endswith((".dvc", "/dvc.lock"))]
                texts += [load_text(f"{run.info.artifact_uri}/{path}") for path in pointers]
    return texts


def _files_below(client: MlflowClient, run_id: str, folder: str) -> Iterator[str]:
    for item in client.list_artifacts(run_id, folder):
        yield from _files_below(client, run_id, item.path) if item.is_dir else [item.path]
