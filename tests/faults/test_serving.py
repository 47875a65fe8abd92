"""Serving while processes are killed, databases are locked and the machine is busy: callers are answered."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import psutil
import pytest

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core import processes
from multiner.pipeline.registry import champion
from multiner.pipeline.registry.champions import set_champion
from multiner.pipeline.registry.runs import run_of
from multiner.pipeline.registry.store import model_name, open_store, tracking_uri
from multiner.serving.backends.local_server import free_port
from multiner.serving.gateway.state import read_state
from multiner.serving.routing import state_store
from multiner.serving.routing.state_store import StateStore
from multiner.serving.system.deployment import deploy, stop
from tests.faults.conftest import Fault, make_workspace
from tests.faults.injection import PYTHON, locked, run, until
from tests.serving.conftest import harness
from tests.serving.operator.test_replicas import order

__all__ = ["harness"]


@pytest.mark.slow
@pytest.mark.faults("SQLite locked: the gateway's own database")
def test_a_locked_state_refuses_orders_and_answers_texts(
    fault: Fault, harness: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "state.db"
    with monkeypatch.context() as patch:
        patch.setattr(state_store, "PATIENCE", 0.5)  # seconds that SQLite waits for a lock
        store = StateStore(f"sqlite:///{database}")
    monkeypatch.setattr(state_store, "PATIENCE", 60)  # no limit for a busy machine

    async def main() -> None:
        async with harness(state=store).client() as client:
            with fault.control():
                assert (await order(client, "deploy", version="2"))["version"] == "2"
            with locked(database):
                refused = await order(client, "deploy", version="3")
                fault.happened((refused["status"], refused["type"]) == (503, "urn:ner:problem:no-state"))
                answer = await client.post("/v1/entities", json={"text": "Anna", "language": "en"})
                assert answer.status_code == 200
                assert answer.json()["results"][0]["model"]["version"] == "2"
            assert (await order(client, "deploy", version="3"))["version"] == "3"

    asyncio.run(main())


@pytest.fixture
def served(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, benchmarks: dict[str, ModuleType]
) -> Iterator[Workspace]:
    """A workspace with two versions of a small model, the first of which is champion; nothing runs yet."""
    for name in ("NER_GATEWAY_PORT", "NER_BIND", "MLFLOW_TRACKING_URI", "NER_GATEWAY_URL"):
        monkeypatch.delenv(name, raising=False)
    workspace = make_workspace(tmp_path / "home", root, {"serving": {"port": free_port()}})
    benchmarks["switching"].register_versions(workspace, "12")
    set_champion(open_store(workspace), model_name(workspace, "en"), "1")
    yield workspace
    stop(workspace)


def ask(workspace: Workspace) -> httpx.Response:
    """Ask the gateway a text."""
    body = {"text": "Anna", "language": "en"}
    return httpx.post(f"{read_state(workspace).url}/v1/entities", json=body, timeout=60, trust_env=False)


def version_of_answer(workspace: Workspace) -> str:
    """Ask the gateway a text: the version that answers."""
    answer = ask(workspace)
    assert answer.status_code == 200, answer.text
    return answer.json()["results"][0]["model"]["version"]


def quietly(workspace: Workspace) -> str:
    """Deploy the champion; the version that is live then."""
    (deployment,) = deploy(workspace, ["en"], announce=lambda _: None)
    return deployment.version


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.faults("a deleted run, and mlflow gc while its model is live")
def test_what_mlflow_gc_takes_stops_no_live_model(fault: Fault, served: Workspace) -> None:
    assert quietly(served) == "1"
    client, run_id = open_store(served), champion(served, "en").run_id
    client.delete_run(run_id)
    uri = tracking_uri(served)
    gc = run([PYTHON, "-m", "mlflow", "gc", "--backend-store-uri", uri, "--tracking-uri", uri], served.root)
    fault.happened(gc.returncode == 0 and run_of(client, run_id) is None)
    assert version_of_answer(served) == "1"
    models = processes.tree(read_state(served).pid)[1:]
    for process in models:
        process.kill()
    until(lambda: not processes.running(models))
    until(lambda: ask(served).status_code == 200)  # it comes up again from what is left
    assert version_of_answer(served) == "1"
    with fault.control():
        set_champion(client, model_name(served, "en"), "2")
        assert (quietly(served), version_of_answer(served)) == ("2", "2")


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.faults("kill -9 of gateway and models between alias and switch")
def test_a_switch_that_a_kill_cut_off_is_made_by_the_next_deployment(fault: Fault, served: Workspace) -> None:
    assert quietly(served) == "1"
    set_champion(open_store(served), model_name(served, "en"), "2")
    family = processes.tree(read_state(served).pid)
    for process in family:
        process.send_signal(signal.SIGKILL)
    fault.happened(len(family) >= 3 and not psutil.wait_procs(family, timeout=60)[1])
    assert read_state(served) is None
    with fault.control():
        assert (quietly(served), version_of_answer(served)) == ("2", "2")


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.faults("a busy machine at start")
def test_a_busy_machine_delays_the_start_and_fails_nothing(fault: Fault, served: Workspace) -> None:
    busy = [subprocess.Popen([PYTHON, "-c", "while True: pass"]) for _ in range(3 * (os.cpu_count() or 1))]
    try:
        assert (quietly(served), version_of_answer(served)) == ("1", "1")
        fault.happened(all(psutil.Process(each.pid).cpu_times().user > 0.1 for each in busy))
    finally:
        for each in busy:
            each.kill()
            each.wait()
    with fault.control():
        stop(served)
        assert (quietly(served), version_of_answer(served)) == ("1", "1")


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.faults("kill -9 of a gateway behind the proxy, under load")
def test_no_request_is_lost_while_one_of_two_gateways_is_killed(
    fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, benchmarks: dict[str, ModuleType]
) -> None:
    replicas, kills = benchmarks["replicas"], []
    for name in ("NER_GATEWAY_PORT", "MLFLOW_TRACKING_URI", "NER_STATE_URL", "NER_GATEWAY_TOKEN_FILE"):
        monkeypatch.setenv(name, "")  # which the benchmark sets, and this puts back
        monkeypatch.delenv(name)
    kill = replicas.Replica.kill
    monkeypatch.setattr(replicas.Replica, "kill", lambda replica: kills.append(kill(replica)))
    outcome, seconds = replicas.measure(tmp_path, int(os.environ.get("NER_LOAD_REQUESTS", "1200")))
    fault.happened(kills)
    with fault.control():
        assert outcome.answered > 1000
    assert outcome.refused + outcome.excess + outcome.wrong.total() == 0, replicas.table(outcome, seconds)
