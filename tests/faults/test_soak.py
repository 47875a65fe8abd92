"""The soak test's criterion finds leaks: a gateway and a model that leak on purpose, and neither where none leaks."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import httpx
import pytest

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.registry.champions import set_champion
from multiner.pipeline.registry.store import model_name, open_store
from multiner.serving.backends.local_server import free_port
from multiner.serving.gateway import state
from tests.faults.conftest import Fault, make_workspace
from tests.faults.injection import PYTHON, start, until

pytestmark = [pytest.mark.slow, pytest.mark.exhaustive]
LEAK = 100_000  # bytes a request
ROUNDS, REQUESTS = 40, 20  # samples, and requests between two of them


@contextmanager
def leaking(workspace: Workspace, switching: ModuleType, gateway: int, model: int) -> Iterator[int]:
    """A gateway with a model, which keep so many bytes of each request; gives the gateway's process."""
    code = switching.MODEL.replace("    def predict(", "    leaked = []\n\n    def predict(").replace(
        "        return [\n", f'        self.leaked.append(b"x" * {model})\n        return [\n'
    )
    assert code.count("leaked") == 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(switching, "MODEL", code)
        switching.register_versions(workspace, "1")
    set_champion(open_store(workspace), model_name(workspace, "en"), "1")
    script = Path(__file__).with_name("leaking_gateway.py")
    process = start([PYTHON, script, str(gateway)], workspace.root, workspace.root / "gateway.log")
    try:
        until(lambda: state.read_state(workspace), process)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


@pytest.mark.faults("a leak in a process that serves")
@pytest.mark.parametrize("leaks", ["gateway", "server"])
def test_a_leak_is_found_where_it_is_and_nowhere_else(
    fault: Fault,
    tmp_path: Path,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    benchmarks: dict[str, ModuleType],
    leaks: str,
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    soak, systems = benchmarks["soak"], benchmarks["systems"]
    workspace = make_workspace(tmp_path / "home", root, {"serving": {"port": free_port()}})
    sizes = {"gateway": 0, "model": 0} | {"model" if leaks == "server" else leaks: LEAK}
    samples = []
    with leaking(workspace, benchmarks["switching"], **sizes) as pid:
        gateway = state.read_state(workspace)
        served = systems.Served("gateway", gateway.url, "gateway", pid)
        with httpx.Client(base_url=gateway.url, timeout=60, trust_env=False) as client:

            def status() -> int:
                return client.post("/v1/entities", json={"text": "Anna", "language": "en"}).status_code

            def ask(times: int) -> None:
                assert {status() for _ in range(times)} == {200}

            until(lambda: status() == 200)
            ask(10 * REQUESTS)  # until all modules are loaded
            processes = soak.names(served)
            for number in range(ROUNDS):
                ask(REQUESTS)
                memory = served.resident_mb()
                samples += [soak.Sample(name, float(number), memory[each]) for each, name in processes.items()]
    growing = {trend.process.partition(" ")[0] for trend in soak.trends(samples, ROUNDS) if not trend.flat}
    fault.happened(growing)
    with fault.control():
        assert growing == {leaks}, soak.table(soak.trends(samples, ROUNDS))
