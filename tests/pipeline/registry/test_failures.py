"""A locked, full or silent registry is told in a line, with the exit code for it."""

from __future__ import annotations

import errno
import os
import sqlite3
from types import SimpleNamespace

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST, PERMISSION_DENIED, TEMPORARILY_UNAVAILABLE

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry import champion, champions, known_version, register, registration, rollback
from multiner.pipeline.registry.failures import RegistryUnavailable, registry_errors
from multiner.pipeline.registry.store import database

LOCKED = "(sqlite3.OperationalError) database is locked\n[SQL: UPDATE tags SET value=?]\n[parameters: ('secret',)]"
FULL = "(sqlite3.OperationalError) database or disk is full\n[SQL: INSERT INTO tags]"


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (MlflowException(LOCKED, TEMPORARILY_UNAVAILABLE), 75, "database is locked"),
        (sqlite3.OperationalError("database is locked"), 75, "database is locked"),
        (MlflowException(FULL, TEMPORARILY_UNAVAILABLE), 1, "no space is left"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), 1, "no space is left"),
        (MlflowException("API request to http://u:p@host failed"), 75, "http://…@host failed"),
        (MlflowException("attempt to write a readonly database", TEMPORARILY_UNAVAILABLE), 75, "readonly"),
        (MlflowException("(sqlite3.DatabaseError) file is not a database", BAD_REQUEST), 75, "not a database"),
        (MlflowException("Permission denied", PERMISSION_DENIED), 75, "Permission denied"),
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/w/mlruns/.store.lock"), 75, "mlruns/.store.lock"),
        (MlflowException("no such column", BAD_REQUEST), 1, "no such column"),
    ],
)
def test_what_the_registry_raises_is_told_in_a_line(error: Exception, code: int, says: str) -> None:
    with pytest.raises(NerError) as caught, registry_errors():
        raise error
    assert caught.value.exit_code == code
    assert says in caught.value.message
    assert "SQL" not in str(caught.value)


def test_other_errors_pass() -> None:
    for error in (ValueError("x"), FileNotFoundError(2, "gone"), PermissionError(13, "no", "/w/data/raw")):
        with pytest.raises(type(error)), registry_errors():
            raise error


@pytest.mark.usefixtures("store")
@pytest.mark.slow
@pytest.mark.parametrize("message", [LOCKED, FULL])
def test_the_commands_of_the_registry_say_so(workspace, fill, empty_leg, monkeypatch, message: str) -> None:  # noqa: ANN001
    def fails(*_: object) -> None:
        raise MlflowException(message, TEMPORARILY_UNAVAILABLE)

    fill(empty_leg)
    monkeypatch.setattr(registration, "open_experiment", fails)
    monkeypatch.setattr(champions, "alias_version", fails)
    for command in (
        lambda: register(workspace, "en"),
        lambda: champion(workspace, "en"),
        lambda: rollback(workspace, "en"),
        lambda: known_version(SimpleNamespace(get_model_version=fails), "ner-en", "1"),
    ):
        with pytest.raises(NerError, match="registry"):
            command()


@pytest.mark.faults("MLflow's database cut off, or its server away")
@pytest.mark.slow
@pytest.mark.parametrize("how", ["no database", "a folder", "cut off", "server away"])
def test_an_unreadable_registry_ends_a_command_with_75_in_seconds(
    store,  # noqa: ANN001
    workspace,  # noqa: ANN001
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    file = database(workspace)
    content = file.read_bytes()
    if how == "server away":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    else:
        for part in file.parent.glob("mlflow.db*"):
            part.unlink()
        if how == "a folder":
            file.mkdir()
        else:
            file.write_bytes(b"no database" if how == "no database" else content[:4096] + b"x" * 8192)
    with pytest.raises(RegistryUnavailable) as caught:
        champion(workspace, "en")
    assert caught.value.exit_code == 75
    assert caught.value.remedy
