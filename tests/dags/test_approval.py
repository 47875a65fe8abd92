"""The approval of a challenger in the DAG ``promote_en``, run by Airflow's own runner in a fresh process."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from multiner.pipeline.registry.gate.approval import NOBODY

ROOT = Path(__file__).resolve().parents[2]
JUDGE = "promote --language en --judge-only"
APPROVED = "promote --language en --approved 3 --by ada"
REJECTED = "promote --language en --rejected 3 --by ada"
TIMED_OUT = f"promote --language en --rejected 3 --by {NOBODY}"
DEPLOY = "deploy --language en --if-any"


def run(folder: Path, answer: str) -> dict[str, Any]:
    """What run_approval.py prints for an answer."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert "approval: off" in text
    (folder / "params.yaml").write_text(text.replace("approval: off", "approval: on"), encoding="utf-8")
    (folder / "dvc.yaml").symlink_to(ROOT / "dvc.yaml")
    shutil.copytree(ROOT / "dags", folder / "dags", ignore=shutil.ignore_patterns("__pycache__", "plugins"))
    command = [sys.executable, str(Path(__file__).with_name("run_approval.py")), str(folder), answer]
    process = subprocess.run(command, env=os.environ, cwd=folder, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout[-3000:] + process.stderr[-3000:]
    return json.loads(process.stdout.splitlines()[-1])


@pytest.mark.faults("an approval that never comes")
@pytest.mark.slow
@pytest.mark.parametrize(("answer", "decision"), [("approve", APPROVED), ("reject", REJECTED), ("nothing", TIMED_OUT)])
def test_only_an_approved_challenger_is_promoted(tmp_path: Path, answer: str, decision: str) -> None:
    result = run(tmp_path, answer)
    assert result["commands"] == [JUDGE, decision, DEPLOY]
    tasks = ("waiting", "judge", "passed", "approve", "promote", "deploy")
    assert result["states"] == dict.fromkeys(tasks, "success")
    assert result["run"] == "success"
    ((subject, body, defaults),) = result["questions"]
    assert subject == "en: passed: version 3"
    report = f"http://mlflow.example/#/experiments/7/runs/{'ab' * 16}/artifacts/gate/version-3-against-1.html"
    assert f"]({report})" in body
    assert defaults == ["Reject"]


@pytest.mark.slow
def test_nobody_is_asked_about_a_refused_challenger(tmp_path: Path) -> None:
    result = run(tmp_path, "refused")
    assert result["commands"] == [JUDGE, DEPLOY]
    states = {"approve": "skipped", "promote": "skipped"}
    states |= dict.fromkeys(("waiting", "judge", "passed", "deploy"), "success")
    assert (result["states"], result["questions"], result["run"]) == (states, [], "success")
