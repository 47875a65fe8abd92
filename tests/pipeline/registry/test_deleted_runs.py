"""Runs and models that people deleted in MLflow: found out before anything moves, and no more lost than they held."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import replace

import pytest
from click.testing import CliRunner
from mlflow.exceptions import MlflowException

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry import challenger, champion, promote, register, registration, rollback
from multiner.pipeline.registry.champions import model_folder
from multiner.pipeline.registry.gate import judgement as gate
from multiner.pipeline.registry.gate.comparison import GateVerdict
from multiner.pipeline.registry.registration import alias_version
from multiner.pipeline.registry.store import local_path, open_store, tracking_uri

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("store", "no_predictions")]


def log_model(run_id: str, name: str, workspace, language: str) -> str:  # noqa: ANN001
    """A registered version of a file alone: the real thing takes seconds."""
    client = open_store(workspace)
    folder = workspace.paths.mlruns / "artifacts" / name / "models" / run_id  # beside the run's, as MLflow has it
    folder.mkdir(parents=True)
    (folder / "MLmodel").write_text(language)
    with suppress(MlflowException):
        client.create_registered_model(name)
    return str(client.create_model_version(name, folder.as_uri(), run_id).version)


@pytest.fixture
def two(workspace, fill, empty_leg, monkeypatch):  # noqa: ANN001, ANN201
    """Version 1 was champion before version 2."""
    monkeypatch.setattr(registration, "log_model", log_model)
    monkeypatch.setattr(registration, "sign_version", lambda *_: None)  # MLflow would put it beside such a version
    monkeypatch.setattr(gate, "judge", lambda *_, **__: GateVerdict(True, ["no worse"]))
    for temperature in (1.0, 2.0):
        fill(empty_leg, temperature=temperature)
        register(workspace, "en")
        assert promote(workspace, "en").promoted
    return workspace


def delete_run(workspace, version: str, *, purge: bool = False) -> str:  # noqa: ANN001
    """What the button on MLflow's page does to a version's run; then ``mlflow gc``."""
    from mlflow.cli import gc

    client = open_store(workspace)
    entry = client.get_model_version("ner-en", version)
    client.delete_run(entry.run_id)
    if purge:
        uri = tracking_uri(workspace)
        outcome = CliRunner().invoke(gc, ["--backend-store-uri", uri, "--tracking-uri", uri], catch_exceptions=False)
        assert outcome.exit_code == 0, outcome.output
    return entry.run_id


def delete_model(workspace, version: str) -> None:  # noqa: ANN001
    """What ``mlflow gc`` does to the files of a model that was deleted on MLflow's page."""
    shutil.rmtree(local_path(open_store(workspace).get_model_version_download_uri("ner-en", version)))


@pytest.mark.faults("a deleted run")
@pytest.mark.parametrize("purge", [False, True])
def test_a_rollback_goes_through_whosever_run_was_deleted(two, purge: bool) -> None:  # noqa: ANN001
    for version in ("1", "2"):
        delete_run(two, version, purge=purge)
    assert rollback(two, "en", reason="runs were deleted") == "1"
    back = champion(two, "en")
    assert (back.version, bool(back.data_hash)) == ("1", not purge)
    assert model_folder(back).is_dir()


def test_a_champion_that_was_registered_by_hand_can_be_rolled_back(two) -> None:  # noqa: ANN001
    client = open_store(two)
    by_hand = str(client.create_model_version("ner-en", "/srv/by-hand").version)
    client.set_registered_model_alias("ner-en", "champion", by_hand)
    assert rollback(two, "en", "1") == "1"
    assert champion(two, "en").version == "1"


def test_a_rollback_that_cannot_be_noted_in_the_run_moves_nothing(two, monkeypatch) -> None:  # noqa: ANN001
    def locked(*_: object) -> None:
        raise MlflowException("(sqlite3.OperationalError) database is locked")

    monkeypatch.setattr("mlflow.MlflowClient.set_tag", locked)
    with pytest.raises(NerError) as caught:
        rollback(two, "en")
    assert caught.value.transient
    assert alias_version(open_store(two), "ner-en", "champion") == "2"
    monkeypatch.undo()


def test_there_is_no_way_back_to_a_version_without_its_model(two) -> None:  # noqa: ANN001
    delete_model(two, "1")
    before = open_store(two).get_registered_model("ner-en").tags
    with pytest.raises(NerError, match="files of its model were deleted") as caught:
        rollback(two, "en")
    assert (caught.value.where, caught.value.exit_code) == ("ner-en version 1", 1)
    assert champion(two, "en").version == "2"
    assert open_store(two).get_registered_model("ner-en").tags == before
    with pytest.raises(NerError, match="files of its model were deleted"):
        model_folder(replace(champion(two, "en"), version="1"))


def third(workspace, fill, leg, monkeypatch):  # noqa: ANN001, ANN201
    """A challenger; the gate must not be asked."""

    def judge(*_, **__) -> GateVerdict:
        raise AssertionError("the gate was asked")

    fill(leg, temperature=3.0)
    assert register(workspace, "en").version == "3"
    monkeypatch.setattr(gate, "judge", judge)


@pytest.mark.parametrize(("purge", "remedy"), [(False, "Restore the run"), (True, "register the same model anew")])
def test_the_gate_does_not_judge_a_challenger_whose_run_was_deleted(
    two,  # noqa: ANN001
    fill,  # noqa: ANN001
    empty_leg,  # noqa: ANN001
    monkeypatch: pytest.MonkeyPatch,
    purge: bool,
    remedy: str,
) -> None:
    third(two, fill, empty_leg, monkeypatch)
    run = delete_run(two, "3", purge=purge)
    with pytest.raises(NerError, match=f"{run} was deleted") as caught:
        promote(two, "en")
    assert caught.value.exit_code == 1, "a person has to mend it: no DAG tries it again"
    assert remedy in caught.value.remedy
    assert (champion(two, "en").version, challenger(two, "en").version) == ("2", "3")


def test_the_gate_does_not_begin_where_the_champions_model_is_gone(two, fill, empty_leg, monkeypatch) -> None:  # noqa: ANN001
    third(two, fill, empty_leg, monkeypatch)
    delete_model(two, "2")
    with pytest.raises(NerError, match="files of its model were deleted") as caught:
        promote(two, "en")
    assert caught.value.where == "ner-en version 2"


@pytest.mark.parametrize("purge", [False, True])
def test_the_champions_deleted_run_does_not_stop_the_gate(two, fill, empty_leg, purge: bool) -> None:  # noqa: ANN001
    delete_run(two, "2", purge=purge)
    fill(empty_leg, temperature=3.0)
    register(two, "en")
    assert promote(two, "en").promoted


def test_a_run_deleted_while_the_gate_works_costs_its_record_alone(two, fill, empty_leg, monkeypatch) -> None:  # noqa: ANN001
    third(two, fill, empty_leg, monkeypatch)

    def judge(*_, **__) -> GateVerdict:
        delete_run(two, "3")
        return GateVerdict(False, ["worse"])

    monkeypatch.setattr(gate, "judge", judge)
    assert not promote(two, "en").promoted
    assert open_store(two).get_model_version("ner-en", "3").tags["gate.passed"] == "false"
    again = promote(two, "en")
    assert again.reasons[0] == "worse"
    assert "was deleted" in again.reasons[1], "a verdict that stands is told, with what was deleted"


@pytest.mark.parametrize("purge", [False, True])
def test_a_model_whose_run_was_deleted_is_not_registered_twice(two, purge: bool) -> None:  # noqa: ANN001
    run = delete_run(two, "2", purge=purge)
    again = register(two, "en")
    assert (again.version, again.run_id, again.created) == ("2", run, False)
    assert alias_version(open_store(two), "ner-en", "champion") == "2"


def test_versions_registered_before_they_had_the_fingerprint_are_known_by_their_run(two) -> None:  # noqa: ANN001
    client = open_store(two)
    client.delete_model_version_tag("ner-en", "2", "ner.fingerprint")
    delete_run(two, "2")
    assert register(two, "en").version == "2"
    assert "ner.fingerprint" in client.get_model_version("ner-en", "2").tags
