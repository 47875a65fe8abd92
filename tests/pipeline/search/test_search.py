"""Hyperparameter search: real trials on a tiny encoder; it continues, ends poor trials early and writes a profile."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from multiner.pipeline.config.settings import Workspace, load_params
from multiner.pipeline.core.document import Document, write_jsonl
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.models.training_documents import read_training
from multiner.pipeline.models.transformer import training
from multiner.pipeline.registry.store import open_store
from multiner.pipeline.search import study as studies
from multiner.pipeline.search import trials
from tests.pipeline.models.conftest import OPTIONS, invented

optuna = pytest.importorskip("optuna")
SPACE = {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}, "batch_pieces": {"choices": [256, 512]}}


@pytest.fixture
def workspace(root: Path, tmp_path: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A copy of the parameters, with a tiny encoder, ranges of two parameters, and invented documents."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copytree(root / "params", tmp_path / "params")
    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    params["profile"] = "light"  # which sets nothing for the English encoder
    params["transformer"] |= OPTIONS | {"encoder": str(tiny_encoder), "repeat": {}, "recase": {}}
    params["languages"]["en"]["transformer"] = {"epochs": 2}
    params["languages"]["en"]["train_on"] = ["conll2003"]
    params["search"] = {"transformer": SPACE}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    (tmp_path / "mlruns").mkdir()
    workspace = Workspace(tmp_path, load_params(tmp_path))
    folder = workspace.paths.documents("en")
    folder.mkdir(parents=True)
    for split, documents in (("train", invented(0, 16)), ("dev", invented(16, 8))):
        rows = [Document.from_json(each.to_json() | {"corpus": "conll2003"}) for each in documents]
        write_jsonl(folder / f"conll2003.{split}.jsonl", rows)
    return workspace


def open_study(workspace: Workspace) -> Any:
    return studies.open_study(workspace, "en", *read_training(workspace, "en"), name="search", storage=None)


def test_trials_become_runs_and_the_best_a_profile_and_the_same_call_continues(workspace: Workspace) -> None:
    first = trials.run(workspace, "en", trials=1)
    assert (first.trials, first.pruned) == (1, 0)
    assert first.best == {"learning_rate": 5e-3, "batch_pieces": 256}, "the current parameters come first"
    assert first.f1 == first.current_f1 > 0

    result = trials.run(workspace, "en", trials=3)
    assert result.trials == 3
    assert result.f1 >= first.f1 == result.current_f1
    assert trials.run(workspace, "en", trials=3) == result, "all trials are there already"
    client = open_store(workspace)
    (experiment,) = [each.experiment_id for each in client.search_experiments() if each.name == "ner-en"]
    runs = client.search_runs([experiment])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(runs) == 4
    assert len(parents) == 1
    assert parents[0].data.metrics["best_dev_f1"] == result.f1
    for run in runs:
        assert run.info.status == "FINISHED"
        if run.data.tags.get("mlflow.parentRunId") == parents[0].info.run_id:
            assert run.data.params.keys() == {f"transformer.{key}" for key in SPACE}
            assert run.data.metrics["dev_f1"] <= result.f1
    assert not list(workspace.paths.checkpoints("en", "any").parent.glob("*/")), "no model and no checkpoint stays"

    assert result.profile == "light-search"
    params = load_params(workspace.root, result.profile)
    section = Workspace(workspace.root, params).section("transformer", "en")
    assert {key: section[key] for key in SPACE} == result.best
    assert section["epochs"] == 2


def test_a_trial_below_the_median_ends_early(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies, "WITHOUT_PRUNING", 1)
    study = open_study(workspace)
    study.enqueue_trial({"learning_rate": 1e-4, "batch_pieces": 512})
    result = trials.run(workspace, "en", trials=2)
    assert (result.trials, result.pruned) == (2, 1)
    assert result.best["learning_rate"] == 5e-3
    pruned = study.trials[1]
    assert list(pruned.intermediate_values) == [1]
    assert open_store(workspace).get_run(pruned.user_attrs[trials.RUN]).data.tags["ner.pruned"] == "true"
    assert not list(workspace.paths.checkpoints("en", "any").parent.glob("*/"))


def test_a_trial_that_diverges_ends_early_and_the_search_goes_on(workspace: Workspace) -> None:
    workspace.params["search"]["transformer"]["learning_rate"] = {"low": 1e-3, "high": 1e30, "log": True}
    study = open_study(workspace)
    study.enqueue_trial({"learning_rate": 1e30, "batch_pieces": 512})
    result = trials.run(workspace, "en", trials=2)
    assert (result.trials, result.pruned) == (2, 1)
    assert study.trials[0].state.name == "COMPLETE", "that with the current parameters"


def test_a_stopped_trial_goes_on_from_its_checkpoint(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    fit = training.fit

    def stop(*arguments: Any, **options: Any) -> None:
        after_epoch = options.pop("after_epoch")

        def after(epoch: int, f1: float) -> None:
            after_epoch(epoch, f1)
            raise KeyboardInterrupt

        fit(*arguments, **options, after_epoch=after)

    monkeypatch.setattr(training, "fit", stop)
    with pytest.raises(KeyboardInterrupt):
        trials.run(workspace, "en", trials=1)
    with pytest.raises(NerError, match="no trial has finished yet"):
        trials.run(workspace, "en", trials=1, minutes=1e-9)
    monkeypatch.setattr(training, "fit", fit)
    trials.run(workspace, "en", trials=1)
    stopped, done = open_study(workspace).trials
    assert stopped.state.name == "FAIL"
    assert done.params == stopped.params
    assert list(done.intermediate_values) == [2], "its first epoch is not trained again"


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_the_trial_of_a_killed_process_is_tried_again(workspace: Workspace) -> None:
    study = open_study(workspace)
    killed = study.ask()
    killed.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
    killed.suggest_categorical("batch_pieces", [256, 512])
    study._storage.record_heartbeat(killed._trial_id)
    with closing(sqlite3.connect(workspace.root / "data" / "search.db")) as database, database:
        database.execute("UPDATE trial_heartbeats SET heartbeat = '2000-01-01 00:00:00'")
    assert trials.run(workspace, "en", trials=1).trials == 1
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE"]
    assert study.trials[0].params == study.trials[1].params


def test_a_study_of_other_inputs_is_not_continued(workspace: Workspace) -> None:
    open_study(workspace)
    workspace.params["transformer"]["weight_decay"] = 0.1
    with pytest.raises(NerError, match="begun with other documents, parameters or ranges"):
        open_study(workspace)


def test_the_start_that_all_trials_share_is_not_searched(workspace: Workspace) -> None:
    workspace.params["languages"]["en"]["transformer"]["start"] = "ru"
    workspace.params["search"]["transformer"] = SPACE | {"start_epochs": {"choices": [1, 2]}}
    with pytest.raises(NerError, match=r"share one start \(transformer.start\): start_epochs cannot be searched"):
        trials.run(workspace, "en", trials=1)


def test_current_parameters_outside_the_ranges_are_no_trial(workspace: Workspace) -> None:
    workspace.params["search"]["transformer"] = {"dropout": {"low": 0.2, "high": 0.4}}
    assert open_study(workspace).trials == []


def test_a_database_that_cannot_be_opened_is_named_without_its_password(workspace: Workspace) -> None:
    with pytest.raises(NerError, match="--storage: the search's database cannot be opened") as caught:
        studies.open_study(workspace, "en", [], [], name="x", storage="sqlite:////no/such/folder/search.db")
    with pytest.raises(NerError) as caught:
        studies.open_study(workspace, "en", [], [], name="x", storage="nosuch://user:secret@host/db")
    assert "secret" not in str(caught.value)
