"""Events that come quickly, as Airflow's own scheduler takes them up."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.faults("four data events at once")
@pytest.mark.slow
def test_four_quick_events_are_one_run_and_none_is_lost(tmp_path: Path) -> None:
    settings = {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "600",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    }
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | settings
    command = [sys.executable, str(Path(__file__).with_name("schedule_events.py")), str(ROOT)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    first, again, meanwhile, after, last = json.loads(done.stdout.splitlines()[-1])
    assert [len(runs) for runs in (first, again, meanwhile, after, last)] == [1, 0, 0, 1, 0]
    assert first[0][0] == "1", "Airflow lists the first event; a run takes those after it from the Asset"
    assert after[0][-1] == "5"
