"""A workspace with a small registry: versions as MLflow registers them, with files, and the lineage in their runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from multiner.pipeline.config.settings import Workspace, load_params, overlay
from multiner.pipeline.registry.store import database, open_experiment, open_store

AddVersion = Callable[..., str]


def ports_unused(workspace: Workspace) -> Workspace:
    """The workspace with ports at which nothing listens."""
    return replace(
        workspace, params=overlay(workspace.params, {"serving": {"airflow_port": 1, "mlflow_port": 2, "port": 3}})
    )


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """An empty MLflow database, made once: its migrations take seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        trial = Workspace(tmp_path_factory.mktemp("store"), load_params(root, "cpu"))
        open_store(trial)
    return database(trial)


@pytest.fixture
def workspace(tmp_path: Path, root: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace in a temporary folder, with an empty registry."""
    for name in ("MLFLOW_TRACKING_URI", "NER_STORE", "NER_GATEWAY_URL", "NER_STATE_URL", "NER_ROOT"):
        monkeypatch.delenv(name, raising=False)
    workspace = ports_unused(Workspace(tmp_path / "home", load_params(root, "cpu")))
    database(workspace).parent.mkdir(parents=True)
    shutil.copy(empty_database, database(workspace))
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(root / name, workspace.root / name)
    shutil.copytree(root / "params", workspace.root / "params")
    return workspace


@pytest.fixture
def client(workspace: Workspace) -> MlflowClient:
    return open_store(workspace)


@pytest.fixture
def add_version(workspace: Workspace, client: MlflowClient, tmp_path: Path) -> AddVersion:
    """Registers a version of a model of 1,000 bytes, with ``files`` of a lineage in its run."""
    from mlflow.models import Model

    def add(*aliases: str, files: Sequence[tuple[str, str]] = (), **tags: str) -> str:
        experiment = open_experiment(client, workspace, "en")
        run = client.create_run(experiment).info
        for name, text in files:
            client.log_text(run.run_id, text, f"lineage/{name}")
        model = client.create_logged_model(experiment, name="model", source_run_id=run.run_id)
        folder = tmp_path / "model"
        folder.mkdir(exist_ok=True)
        (folder / "weights.bin").write_bytes(bytes(1000))
        Model(model_id=model.model_id, run_id=run.run_id).save(str(folder / "MLmodel"))
        client.log_model_artifacts(model.model_id, str(folder))
        client.finalize_logged_model(model.model_id, "READY")
        if not client.search_registered_models("name = 'ner-en'"):
            client.create_registered_model("ner-en")
        entry = client.create_model_version(
            "ner-en", f"models:/{model.model_id}", run.run_id, tags=tags, model_id=model.model_id
        )
        for alias in aliases:
            client.set_registered_model_alias("ner-en", alias, entry.version)
        return str(entry.version)

    return add
