"""The MLflow run and the files of a registered version; people may have deleted either in MLflow."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, TypeVar

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry.failures import registry_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

T = TypeVar("T")
MISSING = ("RESOURCE_DOES_NOT_EXIST",)  # MLflow's code for a run, a model or a version that is not there


def if_exists(
    get: Callable[..., T], *arguments: str, missing: Collection[str] = ("RESOURCE_DOES_NOT_EXIST",)
) -> T | None:
    """What a method of MLflow's client returns; None if it raises an error with one of the codes ``missing``."""
    from mlflow.exceptions import MlflowException

    try:
        return get(*arguments)
    except MlflowException as error:
        if error.error_code in missing:
            return None
        raise


def run_id_of(version: ModelVersion) -> str:
    """The MLflow run that a version was registered from. Raises NerError if it was registered without one."""
    if not version.run_id:
        raise NerError(
            "registered without an MLflow run",
            where=f"{version.name} version {version.version}",
            remedy="Delete this version on MLflow's page: models are registered by ner register.",
        )
    return version.run_id


def run_of(client: MlflowClient, run_id: str | None) -> Run | None:
    """A run, even a deleted one; None where there is none, as after ``mlflow gc``."""
    return if_exists(client.get_run, run_id) if run_id else None


def deleted_run(client: MlflowClient, name: str, version: str) -> NerError | None:
    """The error that the run of a version was deleted, so that nothing can be logged in it; None if it was not."""
    run_id = run_id_of(client.get_model_version(name, version))
    run = run_of(client, run_id)
    if run is not None and run.info.lifecycle_stage == "active":
        return None
    if run is None:
        message = f"its MLflow run {run_id} was deleted for good"
        remedy = f"Delete version {version} on MLflow's page, then register the same model anew: ner register"
    else:
        message = f"its MLflow run {run_id} was deleted"
        remedy = f"Restore the run on MLflow's page: experiment {name}, runs of the state Deleted."
    return NerError(message, where=f"{name} version {version}", remedy=remedy)


@registry_errors()
def require_files(name: str, version: str) -> None:
    """Refuse a version whose files were deleted from MLflow's artifacts: it can neither serve nor be compared."""
    from mlflow.artifacts import list_artifacts

    if not list_artifacts(artifact_uri=f"models:/{name}/{version}"):
        raise NerError(
            "the files of its model were deleted from MLflow's artifacts",
            where=f"{name} version {version}",
            remedy="Put them back from a copy of mlruns/artifacts, or name another version. Nothing was changed.",
        )
