"""The store: its address, names by profile, the write-ahead log, and a workspace that was moved."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from multiner.pipeline.registry import store
from multiner.pipeline.registry.store import model_name, open_experiment, open_store, tracking_uri


@pytest.mark.parametrize(
    ("profile", "name"),
    [
        ("cpu", "ner-ru"),
        ("bert", "ner-ru"),
        ("cpu-search", "ner-ru"),
        ("smoke", "ner-ru-smoke"),
        ("demo", "ner-ru-demo"),
        ("demo-search", "ner-ru-demo-search"),
    ],
)
def test_trial_profiles_have_models_of_their_own(workspace, profile: str, name: str) -> None:  # noqa: ANN001
    assert model_name(replace(workspace, params=workspace.params | {"profile": profile}), "ru") == name


def test_the_environment_names_another_store(workspace, monkeypatch) -> None:  # noqa: ANN001
    assert tracking_uri(workspace) == f"sqlite:///{workspace.root}/mlruns/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example:5000")
    assert tracking_uri(workspace) == "http://mlflow.example:5000"


def test_local_path() -> None:
    assert store.local_path("file:///a%20b/c") == Path("/a b/c")
    assert store.local_path("s3://bucket/c") is None


@pytest.mark.slow
@pytest.mark.parametrize(("setting", "timeout"), [(None, "15"), ("3", "3")])
def test_a_server_that_hangs_is_not_waited_for_as_long_as_an_upload(
    workspace,  # noqa: ANN001
    monkeypatch: pytest.MonkeyPatch,
    setting: str | None,
    timeout: str,
) -> None:
    timeouts: list[str | None] = []
    monkeypatch.delenv(store.HTTP_TIMEOUT, raising=False)
    if setting:
        monkeypatch.setenv(store.HTTP_TIMEOUT, setting)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setattr(
        "mlflow.MlflowClient.search_experiments", lambda *_, **__: timeouts.append(os.environ.get(store.HTTP_TIMEOUT))
    )
    open_store(workspace)
    assert timeouts == [timeout]
    assert os.environ.get(store.HTTP_TIMEOUT) == setting


@pytest.mark.slow
def test_database_is_in_wal_mode_and_artifacts_follow_a_move(workspace) -> None:  # noqa: ANN001
    client = open_store(workspace)
    with sqlite3.connect(store.database(workspace)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    experiment = open_experiment(client, workspace, "en")
    assert open_experiment(client, workspace, "en") == experiment
    run = client.create_run(experiment)
    client.log_text(run.info.run_id, "kept", "note.txt")
    assert (workspace.paths.mlruns / "artifacts" / "ner-en" / run.info.run_id).is_dir()

    moved = replace(workspace, root=workspace.root.with_name("moved & away #2"))
    workspace.root.rename(moved.root)
    client = open_store(moved)
    address = client.get_run(run.info.run_id).info.artifact_uri
    assert store.local_path(address) == moved.paths.mlruns / "artifacts" / "ner-en" / run.info.run_id / "artifacts"
    assert (store.local_path(address) / "note.txt").read_text() == "kept"
    assert not workspace.root.exists()
