"""What one worker makes reaches the other through the object store alone; continuous integration runs these tests."""

from __future__ import annotations

import pytest

from multiner.serving.airflow.run_tracker import RunTracker
from tests.integration.cluster import WORKERS, Cluster
from tests.integration.conftest import succeeded

pytestmark = pytest.mark.integration
STAGES = ("validate", "prepare")


def test_both_workers_ran_tasks_and_each_task_ran_on_one(cluster: Cluster, prepared: RunTracker) -> None:
    by_worker = [set(cluster.tries(name)) for name in WORKERS]
    assert all(by_worker)
    (language, *_) = (dag for dag, task in succeeded(prepared) if task == "prepare")
    expected = {("data", "pull")} | {(language, stage) for stage in STAGES}
    assert expected <= succeeded(prepared)
    assert expected <= set.union(*by_worker)


def test_data_and_state_went_through_the_object_store_alone(cluster: Cluster, prepared: RunTracker) -> None:
    pages = cluster.s3().get_paginator("list_objects_v2").paginate(Bucket="dvc")
    names = {entry["Key"] for page in pages for entry in page.get("Contents", [])}
    assert any("/files/md5/" in name for name in names)
    assert any("/runs/" in name for name in names)
    for name in ("main", *WORKERS):
        assert not (cluster.clone(name) / "data" / "out").exists()
