"""The arithmetic of docs/scaling.md, and what the benchmark says gave out first."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from starlette.testclient import TestClient

from multiner.serving.answers import check_predictions
from multiner.serving.backends.model_server import body_of

NAMES = ("capacity", "clients", "scaling", "scaling_figures", "stub_model")


@pytest.fixture(scope="module")
def modules(root: Path) -> Iterator[SimpleNamespace]:
    sys.path.insert(0, str(root / "benchmarks"))
    yield SimpleNamespace(**{name: import_module(name) for name in NAMES})
    sys.path.remove(str(root / "benchmarks"))


@pytest.fixture
def costs(modules: SimpleNamespace) -> object:
    return modules.capacity.Costs(model_ms=15, gateway_ms=5, sentence_ms=9, model_mb=800, worker_mb=600, gateway_mb=400)


def test_machines_follow_from_cores_or_from_memory(modules: SimpleNamespace, costs: object) -> None:
    serving, machine = modules.capacity.serving, modules.capacity.Machine(cores=8, memory_gb=16, busy=0.5)
    assert serving(1, 1, costs, machine) == modules.capacity.Need(1, 1, 0.04, 2.0, 1)
    need = serving(1000, 1, costs, machine)
    # 5 s of a core each second in gateways, 15 s in models, at half of the cores' time; 30 cores in processes of two
    assert (need.gateways, need.models, need.cores, need.machines) == (10, 15, 40, 5)
    assert need.memory_gb == pytest.approx(10 * 0.4 + 2 * 15 * 0.8)
    many = serving(1, 30, costs, machine)  # a process for each language, twice
    assert (many.gateways, many.models, many.machines) == (1, 30, 4)
    assert many.memory_gb == pytest.approx(0.4 + 2 * 30 * 0.8)


def test_a_collection_is_cores_times_hours(modules: SimpleNamespace, costs: object) -> None:
    machine = modules.capacity.Machine(cores=8, memory_gb=32, busy=1)
    need = modules.capacity.collection(3_200_000, 10, 10, costs, machine)  # 80 hours of a core
    assert (need.models, need.cores, need.machines) == (8, 8, 1)
    assert need.memory_gb == pytest.approx(4.8)


def test_cost_of_a_training_token(modules: SimpleNamespace, root: Path) -> None:
    assert modules.capacity.token_ms(minutes=1, threads=2, tokens=1000, epochs=4) == 30
    costs = modules.scaling_figures.training_costs()
    assert set(costs) == {"en", "ru"}
    assert all(0 < cnn < encoder < 1000 for encoder, cnn in costs.values())


@pytest.mark.parametrize(
    ("failures", "gateway", "clients", "cause"),
    [
        ({}, 0.5, 0.5, "nothing"),
        ({"429": 3}, 0.5, 0.5, "queue"),
        ({"503": 3, "429": 1}, 0.5, 0.5, "connections, queue"),
        ({}, 0.95, 0.5, "gateway's event loop"),
        ({}, 0.5, 0.95, "clients"),
    ],
)
def test_what_gave_out(
    modules: SimpleNamespace, failures: dict[str, int], gateway: float, clients: float, cause: str
) -> None:
    outcome = modules.clients.Outcome(1.0, [10.0, 20.0], failures, 0, 4, 2.0, 2 * clients)
    row = modules.scaling_figures.row("gateway", 8, outcome, 2 * gateway, 100)
    assert modules.scaling_figures.limits(row) == cause
    assert (row.rate, row.cpu_ms) == (2, 500 * gateway)
    assert f"| {cause} |" in modules.scaling_figures.load_table([row])


def test_the_stub_answers_as_a_model_does(modules: SimpleNamespace) -> None:
    texts = ["Ada met Борис.", "nobody"]
    with TestClient(modules.stub_model.application(0)) as client:
        assert client.get("/ping").status_code == 200
        predictions = client.post("/invocations", content=body_of(texts)).json()["predictions"]
    names, none = check_predictions(texts, predictions)
    assert [entity["text"] for entity in names] == ["Ada", "Борис"]
    assert not none


@pytest.fixture
def scaling(modules: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(modules.scaling.signal, "signal", lambda *_: None)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # which main() takes away
    return modules.scaling


def test_the_plan_is_printed_without_measuring(scaling: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    scaling.main(["--no-load", "--model-ms", "30", "--gateway-ms", "6", "--busy", "0.6", "--cores", "8"])
    output = capsys.readouterr().out
    assert "| 10,000 requests/s, 1 language | 100 | 250 | 600.0 |" in output
    assert "| CPU ms of the model, a request | 30 | option |" in output


def test_the_page_has_the_plan_of_the_recorded_costs(
    scaling: ModuleType, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scaling.main(["--no-load"])
    output = capsys.readouterr().out.partition("| Load |")[2].partition("\n\n")[0]
    plan = output.splitlines()[2:]
    page = (root / "docs" / "scaling.md").read_text(encoding="utf-8").splitlines()
    assert len(plan) == 7
    assert not set(plan) - set(page), "run: python benchmarks/scaling.py --no-load"


def test_a_folder_without_a_model_is_refused_before_anything_starts(
    scaling: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="1"):
        scaling.main(["--model", str(tmp_path)])
    assert "no MLflow model here" in capsys.readouterr().err
