"""The pipeline with CeleryExecutor and two workers that share no folder: the same models as on one machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from mlflow import MlflowClient

from multiner.serving.airflow.run_tracker import RunTracker
from tests.e2e.asking import TEXTS
from tests.integration.cluster import WORKERS, Cluster
from tests.integration.conftest import LANGUAGES, PROFILE, SERVERS

pytestmark = pytest.mark.integration


def champion_metrics(client: MlflowClient, language: str) -> dict[str, float]:
    """All figures of the champion's run but the times and what the stages used."""
    version = client.get_model_version_by_alias(f"ner-{language}-{PROFILE}", "champion")
    metrics = client.get_run(version.run_id).data.metrics
    return {name: value for name, value in metrics.items() if not re.search(r"^(minutes|usage)/|/seconds$", name)}


def test_all_dags_succeed_although_a_worker_is_killed(
    cluster: Cluster, finished: RunTracker, lost: list[tuple[str, str, str]]
) -> None:
    assert {run.dag: run.state for run in finished.runs.values()} == dict.fromkeys(finished.runs, "success")
    (worker, dag, task), *_ = lost
    other = next(name for name in WORKERS if name != worker)
    assert cluster.tries(other)[dag, task] > cluster.tries(worker)[dag, task]


def test_broker_database_and_object_store_were_restarted_while_tasks_ran(
    finished: RunTracker, restarted: list[str]
) -> None:
    assert restarted == list(SERVERS)


def test_every_task_ran_on_a_worker_and_both_worked(cluster: Cluster, finished: RunTracker) -> None:
    tasks = {(run.dag, task.name) for run in finished.runs.values() for task in run.tasks}
    by_worker = [set(cluster.tries(name)) for name in WORKERS]
    assert all(by_worker)
    assert set.union(*by_worker) >= tasks


def test_models_went_to_the_object_store_alone(cluster: Cluster, finished: RunTracker) -> None:
    assert cluster.s3().list_objects_v2(Bucket="mlflow")["KeyCount"]
    for name in ("main", *WORKERS):
        assert not (cluster.clone(name) / "data" / "out").exists()
        assert not list((cluster.clone(name) / "mlruns").glob("artifacts/*"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_figures_are_those_of_one_machine(
    cluster: Cluster, finished: RunTracker, local: Path, language: str
) -> None:
    there = champion_metrics(MlflowClient(cluster.url("mlflow")), language)
    here = champion_metrics(MlflowClient(f"sqlite:///{local / 'mlruns' / 'mlflow.db'}"), language)
    assert there == here
    assert len(there) > 1000


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_gateway_serves_the_champion(cluster: Cluster, finished: RunTracker, language: str) -> None:
    body: dict[str, Any] = {"text": TEXTS[language], "language": language}
    answer = httpx.post(f"{cluster.url('gateway')}/v1/entities", json=body, timeout=60, trust_env=False)
    assert answer.status_code == 200, answer.text
    (result,) = answer.json()["results"]
    assert result["entities"]
