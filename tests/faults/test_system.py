"""The whole system under faults: Airflow, trainings and the gateway on the bundled samples, in a clone.

The tests stand in the order of their names' story and share the clone: a fault in each, and the pipeline ends well.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import httpx
import psutil
import pytest

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core import processes
from multiner.pipeline.core.errors import NerError
from multiner.serving.airflow import environment as airflow
from multiner.serving.airflow.api import AirflowClient
from multiner.serving.airflow.run_tracker import DagRun, RunTracker
from multiner.serving.gateway.state import read_state
from multiner.serving.system.instance_lock import read_system
from tests.e2e.conftest import RUN_SECONDS, Job
from tests.faults.conftest import Fault
from tests.faults.injection import locked, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.exhaustive]
MINUTE = 60  # seconds that a database is locked


class System:
    """The clone's system, which runs in the background."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.workspace = Workspace.load(root=job.root)

    @cached_property
    def client(self) -> AirflowClient:
        """Airflow's API."""
        url = f"http://127.0.0.1:{self.job.ports['airflow_port']}"
        return AirflowClient(url, airflow.USER, airflow.password(self.workspace))

    def start(self) -> None:
        """`ner up`."""
        started = self.job.ner("up", timeout=RUN_SECONDS)
        assert started.returncode == 0, started.stdout

    def part(self, name: str) -> psutil.Process:
        """A process of the supervisor's, such as ``airflow scheduler``."""
        return psutil.Process(read_system(self.workspace)["processes"][name])

    def change(self, epochs: int) -> None:
        """Change a parameter, so that a part of the Russian pipeline has to be trained anew, which is quick."""
        path = self.job.root / "params" / "demo.yaml"
        text, count = re.subn(
            r"(ru: .*spacy: \{epochs: )\d+", rf"\g<1>{epochs}", path.read_text(encoding="utf-8"), count=1
        )
        assert count == 1
        path.write_text(text, encoding="utf-8")

    def trigger(self, name: str) -> str:
        """Start the pipeline; its run of the DAG ``data``."""
        return self.client.trigger("data", name, "a fault test")

    def trainers(self) -> list[str]:
        """The trainings that run now, each as the arguments of `ner`."""
        found = []
        for process in processes.marked(self.job.root):
            with suppress(psutil.Error):
                command = process.cmdline()
                if len(command) > 2 and command[1].endswith("/ner") and command[2] == "train":
                    found.append(" ".join(command[3:]))
        return found

    def await_end(self, run: str) -> tuple[RunTracker, int]:
        """Follow a run of the pipeline to its end, which has to be good; with the most trainings of a kind at once."""
        tracker, most, deadline = RunTracker(self.workspace.languages, [DagRun(dag="data", run=run)]), 0, RUN_SECONDS
        begin = time.monotonic()
        while not tracker.done:
            assert time.monotonic() - begin < deadline, tracker.runs
            with suppress(httpx.TransportError, NerError):  # asked again, as `ner run` does
                tracker.poll(self.client)
            running = self.trainers()
            most = max([most, *(running.count(each) for each in running)])
            time.sleep(0.5)
        assert not tracker.failed, tracker.tasks("failed")
        for each in tracker.runs.values():
            for task in each.tasks:
                task.outcome = self.client.outcome(each.dag, each.run, task.name)
        return tracker, most


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[System]:
    """A clone with the bundled samples; packages come from a mirror, or from the package index."""
    folder = tmp_path_factory.mktemp("system")
    (folder / "clone").mkdir()
    (folder / "mirror").mkdir()
    places = [Path(os.environ.get("NER_CORPORA_MIRROR", "nowhere")), root / "data" / "mirror", root / "data" / "raw"]
    if packages := next((place / "packages" for place in places if (place / "packages").is_dir()), None):
        (folder / "mirror" / "packages").symlink_to(packages.resolve())
    job = Job(folder / "clone", root, folder / "mirror")
    job.set_params({"profile": "demo", "transformer": {"checkpoint_seconds": 1}})
    yield System(job)
    job.ner("down")
    assert job.leftovers() == []


def kill(process: psutil.Process) -> bool:
    """SIGKILL a process; whether that ended it."""
    process.send_signal(signal.SIGKILL)
    until(lambda: not processes.is_running(process))
    return True


def versions(system: System) -> list[tuple[str, str, str]]:
    """Language, champion and live version of each language."""
    return [(each["language"], each["champion"], each["live"]) for each in system.job.status()["models"]]


@pytest.mark.faults("kill -9 of the scheduler in mid-training")
def test_after_a_kill_of_the_scheduler_one_trainer_trains(fault: Fault, system: System) -> None:
    system.start()
    until(lambda: dict(system.client.active_runs()).get("data"))
    run = dict(system.client.active_runs())["data"]
    until(lambda: "transformer --language en" in system.trainers())
    fault.happened(kill(system.part("airflow scheduler")))
    with fault.control():
        tracker, most = system.await_end(run)
    assert most == 1, "no two trainings of one model at any time"
    (training,) = [task for task in tracker.runs["retrain_en"].tasks if task.name == "train_transformer"]
    assert training.state == "success"
    assert versions(system) == [("en", "1", "1"), ("ru", "1", "1")]


def fault_in_mid_training(system: System, epochs: int, inject: Callable[[], None]) -> int:
    """Have a pipeline train, inject a fault, and await its good end; the most trainings of a kind at once."""
    system.change(epochs)
    run = system.trigger(f"fault_{epochs}")
    until(lambda: "spacy --language ru" in system.trainers())
    inject()
    return system.await_end(run)[1]


@pytest.mark.faults("kill -9 of Airflow's API server in mid-training")
def test_after_a_kill_of_the_api_server_the_pipeline_ends_well(fault: Fault, system: System) -> None:
    with fault.control():
        most = fault_in_mid_training(system, 21, lambda: fault.happened(kill(system.part("airflow api-server"))))
    assert most == 1


@pytest.mark.faults("SQLite locked for a minute: Airflow's database")
def test_while_airflows_database_is_locked_the_pipeline_waits(fault: Fault, system: System) -> None:
    def lock() -> None:
        with locked(airflow.own_database(system.workspace)):
            begin = time.monotonic()
            until(lambda: time.monotonic() - begin > MINUTE)
        fault.happened(True)

    with fault.control():
        assert fault_in_mid_training(system, 22, lock) <= 1, "no two at once; the training may end within the minute"


@pytest.mark.faults("two triggers of the pipeline at once")
def test_two_triggers_of_the_pipeline_train_once(fault: Fault, system: System) -> None:
    system.change(23)
    runs = [system.trigger(f"fault_{name}") for name in ("first", "second")]
    fault.happened({run for dag, run in system.client.active_runs() if dag == "data"} == set(runs))
    with fault.control():
        ends = [system.await_end(run) for run in runs]
    assert max(most for _, most in ends) == 1
    retrainings = {tracker.runs["retrain_ru"].run: tracker.runs["retrain_ru"] for tracker, _ in ends}
    outcomes = [task.outcome for run in retrainings.values() for task in run.tasks if task.name == "train_spacy"]
    assert outcomes.count("ran") == 1, outcomes


@pytest.mark.faults("kill -9 of everything at once, in mid-training and under load")
def test_after_a_kill_of_everything_the_next_start_goes_on(fault: Fault, system: System) -> None:
    before = versions(system)
    system.change(24)
    system.trigger("fault_everything")
    until(lambda: "spacy --language ru" in system.trainers())
    assert system.job.ask("Anna Berg lives in Oslo.", "en")["model"]["version"] == before[0][1]
    supervisor = psutil.Process(read_system(system.workspace)["pid"])
    family = set(processes.marked(system.job.root))
    family |= set(processes.tree(supervisor.pid)) | set(processes.tree(read_state(system.workspace).pid))
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    until(lambda: not processes.running(family))
    fault.happened(len(family) > 5 and read_system(system.workspace) is None)
    with fault.control():
        done = system.job.ner("run", "--once", timeout=RUN_SECONDS)
        assert done.returncode == 0, done.stdout[-8000:]
    assert "train_spacy (ru)" in done.stdout
    assert system.job.leftovers() == []
    assert [each[0] for each in versions(system)] == ["en", "ru"]
