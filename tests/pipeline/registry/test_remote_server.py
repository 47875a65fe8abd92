"""A tracking server elsewhere that hands on artifacts: clients reach nothing but its address, and have no keys."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.environment import quiet_environment
from multiner.pipeline.core.processes import tied
from multiner.pipeline.registry import champion, promote, register
from multiner.pipeline.registry.store import database, open_store
from multiner.serving.backends.local_server import free_port
from multiner.serving.system import status


@pytest.fixture
def server(tmp_path: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """MLflow's server at ``MLFLOW_TRACKING_URI``, as docker/compose.cluster.yaml has it; its artifacts."""
    port, artifacts = free_port(), tmp_path / "artifacts"
    backend = tmp_path / "server.db"
    backend.write_bytes(migrated.read_bytes())
    command = [str(Path(sys.executable).with_name("mlflow")), "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--artifacts-destination", str(artifacts)]
    settings = {"MLFLOW_BACKEND_STORE_URI": f"sqlite:///{backend}", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    address = f"http://127.0.0.1:{port}"
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(tied(command), env=quiet_environment(**settings), cwd=tmp_path, stdout=log,
                                   stderr=log, start_new_session=True)  # fmt: skip
        try:
            wait_for(f"{address}/health", process)
            monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
            yield artifacts
        finally:
            os.killpg(process.pid, 9)
            process.wait()


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(address, timeout=10, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise TimeoutError(address)


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
def test_a_model_is_registered_promoted_shown_and_loaded_through_the_server_alone(
    workspace: Workspace, server: Path, fill: Callable[..., None], good_leg: Path, tmp_path: Path
) -> None:
    fill(good_leg)
    registration = register(workspace, "en")
    assert registration.created
    assert not register(workspace, "en").created, "found again through the server"
    assert promote(workspace, "en").promoted
    best = champion(workspace, "en")
    assert best is not None
    assert best.version == registration.version
    assert [entry["champion"] for entry in status.models(workspace) if entry["language"] == "en"] == [best.version]

    import mlflow

    run = open_store(workspace).get_run(registration.run_id)
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")
    model = Path(mlflow.artifacts.download_artifacts(artifact_uri=best.uri, dst_path=str(tmp_path / "fetched")))
    assert (model / "MLmodel").is_file(), "as `mlflow models serve` fetches it"
    assert any(server.rglob("MLmodel")), "the server wrote it to its destination"
    assert not database(workspace).exists()
    assert not list((workspace.paths.mlruns).rglob("MLmodel")), "and nothing of it lies in the workspace"
