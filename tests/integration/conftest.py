"""A cluster in which the pipeline has run while parts of it failed, and the same run of LocalExecutor; once for all."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from multiner.pipeline.core.errors import NerError
from multiner.serving.airflow.api import AirflowClient
from multiner.serving.airflow.run_tracker import DagRun, RunTracker
from tests.e2e.conftest import Job
from tests.integration.cluster import WORKERS, Cluster

PROFILE = os.environ.get("NER_INTEGRATION_PROFILE", "demo")
RUN_SECONDS = 3600
SERVERS = {"redis": 0, "postgres": 0, "s3": 60}  # that are restarted in mid-run, and for how many seconds each is away
RECOVERY_SECONDS = 300  # after which Airflow's API has to answer again
LANGUAGES = ("en", "ru")


@pytest.fixture(scope="session")
def mirror(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """Where ``ner pull`` looks first; without a mirror an empty folder: the packages come from the package index."""
    named = os.environ.get("NER_CORPORA_MIRROR")
    place = Path(named) if named else root / "data" / "mirror"
    return place if named or place.is_dir() else tmp_path_factory.mktemp("mirror")


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory, root: Path, mirror: Path) -> Iterator[Path]:
    """A plain clone in which LocalExecutor has run the profile; ``NER_INTEGRATION_LOCAL`` names one that is there."""
    if present := os.environ.get("NER_INTEGRATION_LOCAL"):
        yield Path(present)
        return
    clone = tmp_path_factory.mktemp("local") / "clone"
    clone.mkdir()
    job = Job(clone, root, mirror)
    try:
        done = job.ner("run", "--profile", PROFILE, "--once", timeout=RUN_SECONDS)
        assert done.returncode == 0, done.stdout[-8000:]
        yield clone
    finally:
        job.ner("down")


@pytest.fixture(scope="session")
def cluster(root: Path, mirror: Path) -> Iterator[Cluster]:
    """A cluster whose parts all answer."""
    cluster = Cluster(root, mirror, PROFILE)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


@pytest.fixture(scope="session")
def prepared(cluster: Cluster) -> RunTracker:
    """The pipeline's run in the cluster, as far as the documents of a language are prepared, by two workers."""
    client = cluster.client()
    tracker = RunTracker(LANGUAGES, [DagRun(dag="data", run=client.trigger("data", "integration", "a test"))])
    deadline = time.monotonic() + RUN_SECONDS
    while not (any(task == "prepare" for _, task in succeeded(tracker)) and all(map(cluster.tries, WORKERS))):
        assert time.monotonic() < deadline, tracker.runs
        poll(cluster, client, tracker)
        time.sleep(1)
    return tracker


@pytest.fixture(scope="session")
def lost(cluster: Cluster) -> list[tuple[str, str, str]]:
    """The task that the first worker to train was killed at: worker, DAG and task."""
    return []


@pytest.fixture(scope="session")
def restarted() -> list[str]:
    """The servers that were restarted while a task ran."""
    return []


@pytest.fixture(scope="session")
def finished(
    cluster: Cluster, prepared: RunTracker, lost: list[tuple[str, str, str]], restarted: list[str]
) -> RunTracker:
    """The pipeline's run in the cluster, to its end.

    Once both workers have worked, one is killed while it trains. Then the servers are restarted, each while a task
    runs, and once a task has succeeded since the fault before.
    """
    client, tracker = cluster.client(), prepared
    deadline, recovered_by, calm = time.monotonic() + RUN_SECONDS, 0.0, False
    while not (len(tracker.runs) == 1 + 2 * len(LANGUAGES) and all_finished(tracker)):
        assert time.monotonic() < deadline, tracker.runs
        try:
            calm |= "success" in poll(cluster, client, tracker)
        except (NerError, httpx.HTTPError):
            if time.monotonic() > recovered_by:
                raise
        if not lost:
            if all(cluster.tries(name) for name in WORKERS) and (training := training_tasks(cluster, tracker)):
                lost.append(training[0])
                cluster.kill(lost[0][0])
                calm = False
                print(f"{time.strftime('%T')} killed {lost[0]}", flush=True)
        elif calm and len(restarted) < len(SERVERS) and tracker.tasks("running"):
            server = list(SERVERS)[len(restarted)]
            cluster.restart(server, SERVERS[server])
            restarted.append(server)
            calm, recovered_by = False, time.monotonic() + RECOVERY_SECONDS
            print(f"{time.strftime('%T')} restarted {server}", flush=True)
        time.sleep(1)
    return tracker


def poll(cluster: Cluster, client: AirflowClient, tracker: RunTracker) -> list[str]:
    """Ask Airflow how far the runs are, and print what has changed; the new states of tasks. A failed task ends it."""
    changes = tracker.poll(client)
    for run, task in changes:
        print(f"{time.strftime('%T')} {run.dag} {task.name} {task.state} {task.tries}", flush=True)
        if task.state == "failed":
            pytest.fail("\n".join(cluster.log_lines(run.dag, task.name)))
    return [task.state for _, task in changes]


def succeeded(tracker: RunTracker) -> set[tuple[str, str]]:
    """The tasks that have succeeded: DAG and task."""
    return {(run.dag, task.name) for run in tracker.runs.values() for task in run.tasks if task.state == "success"}


def all_finished(tracker: RunTracker) -> bool:
    """Whether every run has ended."""
    return all(run.finished for run in tracker.runs.values())


def training_tasks(cluster: Cluster, tracker: RunTracker) -> list[tuple[str, str, str]]:
    """The trainings that run: worker, DAG and task."""
    running = {
        (run.dag, task.name)
        for run in tracker.runs.values()
        for task in run.tasks
        if task.state == "running" and task.name.startswith("train_transformer")
    }
    return [(name, *key) for name in WORKERS for key in cluster.tries(name).keys() & running if cluster.trains(name)]
