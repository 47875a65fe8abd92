"""The promise about switches and kills, for real: the shipped gateway and settings, MLflow's processes, eight clients.

``NER_LOAD_REQUESTS=20000`` asks as many requests as the benchmark does.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import httpx
import pytest


@pytest.fixture(scope="module")
def switching(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("switching_benchmark", root / "benchmarks" / "switching.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look up their annotations
    spec.loader.exec_module(module)
    return module


def test_the_clients_notice_every_fault(switching: ModuleType) -> None:
    def answer(*results: tuple[str, list[tuple[int, int, str, str]]], status: int = 200) -> httpx.Response:
        observations = [
            {
                "model": {"version": version},
                "entities": [dict(zip(("start", "end", "text", "label"), found, strict=True)) for found in entities],
            }
            for version, entities in results
        ]
        return httpx.Response(status, json={"results": observations})

    anna, bo = (0, 4, "Anna", "1"), (0, 2, "Bo", "2")
    assert switching.check(["Anna"], answer(("1", [anna]))) == ""
    assert switching.check(["Anna"], answer(status=500)) == "status 500"
    assert switching.check(["Anna", "Bo"], answer(("1", [anna]))) == "results missing"
    assert switching.check(["Anna", "Bo"], answer(("1", [anna]), ("2", [bo]))) == "versions mixed"
    assert switching.check(["Anna"], answer(("2", [anna]))) == "versions mixed"
    assert switching.check(["Anna"], answer(("1", []))) == "entities wrong"
    assert switching.check(["Anna"], answer(("1", [(1, 4, "nna", "1")]))) == "entities wrong"


@pytest.mark.faults("switches and kills under load")
@pytest.mark.slow
def test_twenty_switches_and_five_kills_lose_nothing(
    switching: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    requests = int(os.environ.get("NER_LOAD_REQUESTS", "2000"))
    outcome = switching.measure(tmp_path, requests)
    assert (len(outcome.switches), outcome.kills, len(outcome.restarts)) == (20, 5, 3)
    assert outcome.requests >= requests
    assert outcome.wrong == {}, "dropped, wrong, or mixed of two versions"
    assert outcome.excess == 0, "503 though a process was there"
    assert outcome.refused > 0, "no process was left for a while, and callers were told so"
    assert set(outcome.versions) == {"1", "2", "3"}
