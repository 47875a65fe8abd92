"""The reference of a version for drift (:mod:`multiner.pipeline.drift.reference`), as a file of its MLflow run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json
from multiner.pipeline.drift.reference import Reference, reference_of
from multiner.pipeline.registry.failures import registry_errors
from multiner.pipeline.registry.runs import run_id_of, run_of
from multiner.pipeline.registry.store import open_store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

FOLDER, FILE = "drift", "drift/reference.json"


def log_reference(client: MlflowClient, run_id: str, workspace: Workspace, language: str) -> None:
    """Log the reference of the model in the workspace's outputs, if the evaluation left its predictions."""
    if reference := reference_of(workspace, language):
        client.log_dict(run_id, reference.to_json(), FILE)


@registry_errors()
def registered_reference(workspace: Workspace, language: str, name: str, version: str) -> Reference:
    """The reference of a registered version; of an older one, that has none, if the workspace's outputs are its model.

    Raises:
        NerError: it has none, or its run was deleted.
    """
    client = open_store(workspace)
    run = run_of(client, run_id_of(client.get_model_version(name, version)))
    if run is not None:
        if FILE in {item.path for item in client.list_artifacts(run.info.run_id, FOLDER)}:
            return Reference.from_json(_load(run, FILE))
        metrics = workspace.paths.metrics(language)
        same = metrics.is_file() and read_json(metrics).get("model_hash") == _load(run, metrics.name).get("model_hash")
        if same and (reference := reference_of(workspace, language)):
            return reference
    raise NerError(
        "no reference of its training texts, so drift cannot be told",
        where=f"{name} version {version}",
        remedy="Versions that are registered from now on have one.",
    )


def _load(run: Run, path: str) -> dict[str, Any]:
    from mlflow.artifacts import load_dict

    return load_dict(f"{run.info.artifact_uri}/{path}")
