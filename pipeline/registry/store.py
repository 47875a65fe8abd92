"""The MLflow store of a workspace: its address, its clients, and the names of registered models."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core import database_lock, locks
from multiner.pipeline.core.database_lock import lock_database
from multiner.pipeline.core.environment import silence_telemetry
from multiner.pipeline.core.locks import LOCK_FOLDER, LockKind
from multiner.pipeline.registry.failures import RegistryUnavailable, is_refusal, reason_of, registry_errors
from multiner.pipeline.registry.schema import require_schema

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION, CHALLENGER = "champion", "challenger"
TRIAL_PROFILES = ("smoke", "demo")  # their models must never be compared with real ones
HTTP_TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"


def tracking_uri(workspace: Workspace) -> str:
    """``MLFLOW_TRACKING_URI`` if it is set, else the SQLite database under the workspace's ``mlruns``."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{database(workspace)}"


def database(workspace: Workspace) -> Path:
    """The workspace's own MLflow database."""
    return workspace.paths.mlruns / "mlflow.db"


def registry_exists(workspace: Workspace) -> bool:
    """Whether there is a registry: the workspace's own, or that of ``MLFLOW_TRACKING_URI``."""
    return bool(os.environ.get("MLFLOW_TRACKING_URI")) or database(workspace).is_file()


def registry_lock(workspace: Workspace, file: str, kind: LockKind | None = None) -> AbstractContextManager[None]:
    """A lock of the registry: in the database of the locks where there is one, else a file under ``mlruns``.

    A file excludes the processes of one machine, or of machines that share the folder.
    """
    kind = kind or locks.REGISTRY
    if url := lock_database():
        return database_lock.hold(url, file, kind)
    return locks.hold(Path(os.environ.get(LOCK_FOLDER) or workspace.paths.mlruns) / file, kind)


def model_name(workspace: Workspace, language: str) -> str:
    """The registered model, and the experiment, of a language: ``ner-en``, or ``ner-en-smoke`` for a trial profile."""
    return f"ner-{language}-{workspace.profile}" if is_trial(workspace.profile) else f"ner-{language}"


def is_trial(profile: str) -> bool:
    """Whether a profile is a trial profile, or one that ``ner search`` has made of it."""
    return profile.partition("-")[0] in TRIAL_PROFILES


def local_path(uri: str) -> Path | None:
    """The path of an artifact address on this machine; None if it is elsewhere."""
    parts = urlparse(uri)
    return Path(unquote(parts.path)) if parts.scheme in ("", "file") else None


@registry_errors()
def open_store(workspace: Workspace) -> MlflowClient:
    """MLflow's client for the workspace; the store becomes MLflow's default in this process.

    Makes the database if there is none; MLflow's migrations are not safe beside each other, so they run under a lock.

    Raises:
        RegistryUnavailable: there is no MLflow at ``MLFLOW_TRACKING_URI``, or the database cannot be read, or is of an
            older release.
    """
    silence_telemetry()
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # seconds; MLflow's 7 take minutes
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it logs what it raises, with a stack trace

    uri = tracking_uri(workspace)
    own = uri == f"sqlite:///{database(workspace)}"
    if not own:
        _require_folder(uri)
    with _environment_kept("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
    with registry_lock(workspace, ".store.lock"):
        if own and database(workspace).exists():
            _use_write_ahead_log(database(workspace))  # fails at once, where MLflow would try for minutes
            require_schema(database(workspace))
        client = _client(uri)
        if own:
            _use_write_ahead_log(database(workspace))
            follow_move(workspace)
    return client


def _client(uri: str) -> MlflowClient:
    """A client whose store has answered; the error is not transient where the address itself is wrong."""
    import mlflow
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    try:
        with _environment_kept(HTTP_TIMEOUT):
            # seconds, three times: a server that hangs is named within a minute; MLflow's 120 are for uploads
            os.environ.setdefault(HTTP_TIMEOUT, "15")
            client = mlflow.MlflowClient(uri, uri)
            client.search_experiments(max_results=1)
    except (mlflow.MlflowException, SQLAlchemyError, ValueError, ImportError) as error:
        wrong = isinstance(error, (ArgumentError, ValueError, ImportError)) or is_refusal(error)
        raise _unreadable(f"MLflow's registry cannot be read: {reason_of(error)}", transient=not wrong) from error
    return client


def _require_folder(uri: str) -> None:
    """Refuse a database that MLflow cannot write to, or in a folder that is missing, which MLflow would make."""
    scheme, _, path = uri.partition(":///")
    if scheme.partition("+")[0] != "sqlite" or not path or path.startswith(":memory:"):
        return
    file = Path(unquote(path.partition("?")[0]))
    if not file.parent.is_dir():
        raise _unreadable(f"there is no folder {file.parent} for MLflow's database")
    if file.is_dir():
        raise _unreadable(f"{file} cannot be MLflow's database: it is a folder")
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise _unreadable(f"{file} cannot be MLflow's database: it must not be written", transient=True)


def _unreadable(message: str, *, transient: bool = False) -> RegistryUnavailable:
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return RegistryUnavailable(message, where="mlruns/mlflow.db", transient=transient)
    return RegistryUnavailable(
        message,
        where="MLFLOW_TRACKING_URI",
        transient=transient,
        remedy="Give an address such as http://127.0.0.1:5000, or sqlite:////srv/mlflow.db in a folder that is there; "
        "without it, the workspace's own registry is used.",
    )


@contextmanager
def _environment_kept(*names: str) -> Iterator[None]:
    """Restore these variables: MLflow's setters write them, and they would look like the user's choice."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _use_write_ahead_log(path: Path) -> None:
    """Readers (the UI, the gateway) then never block the writer; the setting stays in the file."""
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


LOCATIONS = {
    "experiments": ["artifact_location"],
    "runs": ["artifact_uri"],
    "logged_models": ["artifact_location"],
    "model_versions": ["source", "storage_location"],
}


def follow_move(workspace: Workspace) -> None:
    """Rewrite the artifact addresses, which MLflow stores as absolute ones, if the workspace was moved or copied."""
    here = (workspace.paths.mlruns / "artifacts").as_uri()
    with closing(sqlite3.connect(database(workspace), timeout=30)) as connection, connection:
        rows = connection.execute("SELECT name, artifact_location FROM experiments WHERE name LIKE 'ner-%'").fetchall()
        before = {location.removesuffix(f"/{name}") for name, location in rows if location.endswith(f"/{name}")}
        for old in before - {here}:
            for table, columns in LOCATIONS.items():
                for column in columns:
                    connection.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                        (here, len(old) + 1, len(old) + 1, f"{old}/"),
                    )


def open_experiment(client: MlflowClient, workspace: Workspace, language: str) -> str:
    """The id of the language's experiment; a new one gets an explicit folder for its artifacts."""
    name = model_name(workspace, language)
    with registry_lock(workspace, ".store.lock"):
        if experiment := client.get_experiment_by_name(name):
            if experiment.lifecycle_stage == "deleted":
                client.restore_experiment(experiment.experiment_id)
            return experiment.experiment_id
        own = tracking_uri(workspace) == f"sqlite:///{database(workspace)}"
        location = (workspace.paths.mlruns / "artifacts" / name).as_uri() if own else None
        return client.create_experiment(name, artifact_location=location)
