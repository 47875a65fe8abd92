"""The gate and the aliases, with real (tiny) models that predict in processes of their own."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from multiner.pipeline import annotate
from multiner.pipeline.config.settings import overlay
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.inference import isolated_process
from multiner.pipeline.registry import challenger, champion, journal, promote, register, rollback
from multiner.pipeline.registry.champions import model_folder, version_info
from multiner.pipeline.registry.gate import judgement as gate
from multiner.pipeline.registry.gate.comparison import gate_documents
from multiner.pipeline.registry.store import open_store

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("store")]


def with_rules(workspace, **rules: float):  # noqa: ANN001, ANN201
    return replace(workspace, params=overlay(workspace.params, {"promotion": rules}))


def must_not_run(*_, **__) -> None:
    raise AssertionError("the gate was asked again")


@pytest.mark.faults("an empty registry")
def test_nothing_registered_is_an_error(workspace) -> None:  # noqa: ANN001
    with pytest.raises(NerError, match="nothing was registered"):
        promote(workspace, "en")
    with pytest.raises(NerError, match="no champion"):
        rollback(workspace, "en")


@pytest.mark.faults("a worse challenger")
@pytest.mark.usefixtures("in_process")
def test_from_first_model_to_rollback(workspace, fill, good_leg, worse_leg, monkeypatch) -> None:  # noqa: ANN001
    fill(worse_leg)
    register(workspace, "en")
    first = promote(workspace, "en")
    assert (first.promoted, first.champion) == (True, "1"), first.reasons
    client = open_store(workspace)
    assert challenger(workspace, "en") is None
    info = champion(workspace, "en")
    assert (info.version, info.profile, info.scores) == ("1", "cpu", {"conll2003": 91.25, "wnut17": 91.25})
    assert info.champion_since

    fill(good_leg)
    register(workspace, "en")
    second = promote(workspace, "en")
    assert (second.promoted, second.champion) == (True, "2"), second.reasons
    assert client.get_model_version("ner-en", "2").tags["ner.previous_champion"] == "1"
    run = client.get_run(champion(workspace, "en").run_id)
    assert run.data.tags["gate.passed"] == "true"
    record = client.list_artifacts(run.info.run_id, "gate")
    assert [item.path for item in record] == [
        "gate/predictions.json",
        "gate/version-2-against-1.html",
        "gate/version-2-against-1.json",
    ]

    fill(worse_leg, temperature=1.5)
    register(workspace, "en")
    third = promote(workspace, "en")
    assert (third.promoted, third.champion, third.version) == (False, "2", "3")
    assert any("F1 points" in reason for reason in third.reasons)
    assert challenger(workspace, "en").version == "3"
    tags = client.get_run(client.get_model_version("ner-en", "3").run_id).data.tags
    assert tags["gate.passed"] == "false"
    assert "F1 points" in tags["gate.reasons"]

    with monkeypatch.context() as patch:
        patch.setattr(gate, "judge", must_not_run)
        assert promote(workspace, "en").reasons == third.reasons

    assert rollback(workspace, "en") == "1"
    assert champion(workspace, "en").version == "1"
    entries = journal.entries(client, "ner-en")
    assert [(each.kind, each.before, each.version) for each in entries] == [
        ("rollback", "2", "1"),
        ("refusal", "2", "3"),
        ("registration", "2", "3"),
        ("promotion", "1", "2"),
        ("registration", "1", "2"),
        ("promotion", None, "1"),
        ("registration", None, "1"),
    ], "the second judgement of version 3 is the first one's"
    refusal = entries[1]
    assert "F1 points" in refusal.reason
    assert refusal.report in [item.path for item in client.list_artifacts(refusal.run_id, "gate")]
    assert refusal.scores.keys() == {"conll2003 test", "wnut17 test", "gate half", "gate half, champion"}
    assert refusal.scores["gate half"] < refusal.scores["gate half, champion"]
    fill(good_leg)
    assert register(workspace, "en").version == "2"
    held = promote(workspace, "en")
    assert (held.promoted, held.champion) == (False, "1")
    assert "rolled back" in held.reasons[0]
    assert rollback(workspace, "en", "2") == "2"
    assert promote(workspace, "en").reasons == ["version 2 is champion already"]
    with pytest.raises(NerError, match="rolled back"):
        rollback(workspace, "en")


@pytest.mark.usefixtures("in_process")
def test_golden_samples_and_latency_hold_a_first_model_back(workspace, fill, good_leg) -> None:  # noqa: ANN001
    fill(good_leg)
    register(workspace, "en")
    slow = promote(with_rules(workspace, max_latency_ms=0.001), "en")
    assert not slow.promoted
    assert "latency" in slow.reasons[0]
    assert not slow.final, "it may be the machine that is busy"
    latest = journal.entries(open_store(workspace), "ner-en")[0]
    assert (latest.kind, latest.version) == ("undecided", "1")
    member = with_rules(workspace, golden_share=1.1)
    missed = promote(member, "en")
    assert not missed.promoted
    assert missed.final
    assert "entities found" in missed.reasons[0]
    assert champion(workspace, "en") is None
    assert promote(workspace, "en").promoted  # other rules, another verdict


@pytest.mark.usefixtures("in_process")
def test_a_model_that_does_not_load_is_held_back_and_tried_again(workspace, fill, good_leg) -> None:  # noqa: ANN001
    fill(good_leg)
    register(workspace, "en")
    folder = model_folder(version_info(open_store(workspace), "ner-en", "1"))
    weights = folder / "artifacts" / "transformer" / "model.onnx"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:100])
    broken = promote(workspace, "en")
    assert not broken.promoted
    assert not broken.final
    assert "does not load" in broken.reasons[0]
    weights.write_bytes(whole)
    assert promote(workspace, "en").promoted


def test_each_model_runs_in_its_own_process_the_code_frozen_with_it(workspace, fill, good_leg, tmp_path: Path) -> None:  # noqa: ANN001
    fill(good_leg)
    register(workspace, "en")
    original = model_folder(version_info(open_store(workspace), "ner-en", "1"))
    changed = tmp_path / "changed"
    shutil.copytree(original, changed)
    read = changed / "code" / "multiner" / "pipeline" / "ensemble" / "features.py"
    blind = "def decode_systems(document, stacked, labels):\n    return SystemSpans([[] for _ in stacked], {})\n"
    read.write_text(f"{read.read_text()}\n\n{blind}")
    documents = gate_documents(workspace, "en")["conll2003"]
    assert any(isolated_process.predict(original, documents))
    assert not any(isolated_process.predict(changed, documents))
    answered = isolated_process.ask(changed, ["Maria Keller flew from London to Paris on Monday to meet John Smith."])
    assert answered.answers == [{"entities": []}]
    assert answered.milliseconds[0] > 0
    with pytest.raises(isolated_process.ProcessFailed, match="exit status"):
        isolated_process.ask(tmp_path / "nowhere", ["Ada"])
    with isolated_process.conversation(original) as sighted, isolated_process.conversation(changed) as unsighted:
        for text in ("Maria Keller flew from London to Paris.", "two\nlines", ""):
            assert unsighted(text) == {"entities": []}
            assert all(text[each["start"] : each["end"]] == each["text"] for each in sighted(text)["entities"])
        assert sighted("Maria Keller flew from London to Paris.")["entities"]
    with (
        isolated_process.conversation(tmp_path / "nowhere") as nobody,
        pytest.raises(isolated_process.ProcessFailed, match="exit status"),
    ):
        nobody("Ada")
    spans = annotate.predict_isolated(changed, documents)
    assert spans == [[]] * len(documents)


def test_the_registered_model_answers_every_input_mlflow_takes(workspace, fill, good_leg) -> None:  # noqa: ANN001
    import mlflow
    from fastapi.testclient import TestClient
    from mlflow.pyfunc import scoring_server

    fill(good_leg)
    register(workspace, "en")
    model = mlflow.pyfunc.load_model(str(model_folder(version_info(open_store(workspace), "ner-en", "1"))))
    client = TestClient(scoring_server.init(model))
    text = "Maria Keller flew from London to Paris on Monday to meet John Smith."
    bodies = [
        {"inputs": [text]},
        {"inputs": {"text": [text]}},
        {"dataframe_split": {"columns": ["text"], "data": [[text]]}},
        {"dataframe_records": [{"text": text}]},
    ]
    answers = [client.post("/invocations", json=body) for body in bodies]
    answers.append(client.post("/invocations", content=f'text\n"{text}"\n', headers={"Content-Type": "text/csv"}))
    for answer in answers:
        assert answer.status_code == 200, answer.text
        assert answer.json() == answers[0].json()
    entities = answers[0].json()["predictions"][0]["entities"]
    assert ("Maria Keller", "PER") in {(entity["text"], entity["label"]) for entity in entities}
    empty = client.post("/invocations", json={"dataframe_split": {"columns": ["text"], "data": [[None], [""]]}})
    assert empty.json()["predictions"] == [{"entities": []}, {"entities": []}]
    assert client.post("/invocations", json={"dataframe_records": [{"text": 5}]}).status_code == 400
