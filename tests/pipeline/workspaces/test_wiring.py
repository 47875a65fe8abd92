"""The toy repository through the DAGs' own wiring: the operator, its commands, and `ner workspace`."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from multiner.pipeline.core.object_store import ObjectStore
from multiner.pipeline.workspaces import tasks
from multiner.pipeline.workspaces.state import Runs

ROOT = Path(__file__).resolve().parents[3]
sys.path.append(str(ROOT / "dags"))

from airflow.sdk.exceptions import AirflowFailException  # noqa: E402
from wiring.graph import parse_stages, read_mapping  # noqa: E402
from wiring.workspaces import inputs_unchanged, published_version, stage_task  # noqa: E402

pytestmark = pytest.mark.slow
DAG_RUN = SimpleNamespace(dag_id="data", run_id="manual__1")
CONTEXT = {"dag_run": DAG_RUN}
PULL = ["sh", "-c", "mkdir -p data/raw/corpus && echo two > data/raw/corpus/text && dvc add --quiet data/raw/corpus"]


def test_stages_by_the_operator(toy: Path, store: ObjectStore, copies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NER_ROOT", str(toy))
    monkeypatch.setenv("NER_STORE", store.url)
    monkeypatch.setenv("NER_WORKSPACE", "own")
    (toy / "params.yaml").write_text(yaml.safe_dump({"languages": ["en"], "airflow": {}}))
    assert tasks.pull(toy, store, "data/manual__1", PULL) == 0
    stages = parse_stages(read_mapping(toy / "dvc.yaml"))
    with pytest.raises(AirflowFailException):  # before its turn
        stage_task(stages["train"], "train").execute(CONTEXT)
    assert stage_task(stages["prepare"], "prepare").execute(CONTEXT) == "ran"
    assert stage_task(stages["train"], "train").execute(CONTEXT) == "ran"
    assert stage_task(stages["train"], "train").execute(CONTEXT) == "unchanged", "a task that is tried again"
    assert not inputs_unchanged(toy, DAG_RUN)
    assert (
        published_version(toy, DAG_RUN) == yaml.safe_load((toy / "data/raw/corpus.dvc").read_text())["outs"][0]["md5"]
    )
    assert inputs_unchanged(toy, DAG_RUN)
    assert Runs(store).published("data").lock.keys() == {"prepare", "train", "evaluate"}
    assert list(copies.iterdir()) == []
    next_run = SimpleNamespace(dag_id="data", run_id="scheduled__2")
    assert tasks.pull(toy, store, "data/scheduled__2", PULL) == 0
    assert not inputs_unchanged(toy, next_run), "its stage has not run yet"
    for name in ("prepare", "train"):
        stage_task(stages[name], name).execute({"dag_run": next_run})
    assert inputs_unchanged(toy, next_run)
    (toy / "params.yaml").write_text(yaml.safe_dump({"languages": ["en"], "airflow": {}, "seed": 14}))
    assert tasks.pull(toy, store, "data/scheduled__3", PULL) == 0
    assert not inputs_unchanged(toy, SimpleNamespace(dag_id="data", run_id="scheduled__3"))
