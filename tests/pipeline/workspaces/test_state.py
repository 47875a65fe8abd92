"""The states of runs in the object store."""

from __future__ import annotations

import pytest

from multiner.pipeline.core.object_store import ObjectStore
from multiner.pipeline.workspaces.state import Runs, RunState, StageResult

STATE = RunState("abc", "bundles/abc.bundle", {"data/raw/a.dvc": "outs: []"}, {"params.yaml": "seed: 1"}, {})
ENTRY = {"outs": [{"path": "report", "md5": "1"}]}
USAGE = {".run/usage/cpu/validate@en.json": '{"seconds": 3.1}'}


@pytest.mark.parametrize(
    ("result", "same"),
    [
        (StageResult(ENTRY, {"metrics.json": "1"}), True),
        (StageResult(ENTRY, {"metrics.json": "1"} | dict.fromkeys(USAGE, '{"seconds": 2.9}')), True),
        (StageResult(ENTRY, {"metrics.json": "2"}), False),
        (StageResult({"outs": [{"path": "report", "md5": "2"}]}, {"metrics.json": "1"}), False),
    ],
)
def test_what_stages_used_is_no_news(store: ObjectStore, result: StageResult, same: bool) -> None:
    runs = Runs(store)
    runs.begin("data/1", STATE)
    assert not runs.would_publish_the_same("data", "data/1"), "nothing was published yet"
    runs.add("data/1", "validate@en", StageResult(ENTRY, {"metrics.json": "1"} | USAGE))
    runs.publish("data", "data/1")
    runs.begin("data/2", STATE)
    runs.add("data/2", "validate@en", result)
    assert runs.would_publish_the_same("data", "data/2") is same
