"""A verdict without a switch, and the approval that makes the judged challenger champion, and no other one."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from multiner.pipeline.config.settings import overlay
from multiner.pipeline.core.document import Span
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry import champion, journal, promote, register, registration, rollback
from multiner.pipeline.registry.facts import last_judged
from multiner.pipeline.registry.gate import judgement as gate
from multiner.pipeline.registry.gate.approval import NOBODY, reject
from multiner.pipeline.registry.gate.comparison import GateVerdict, JudgedModel
from multiner.pipeline.registry.gate.predictions import read_predictions
from multiner.pipeline.registry.store import local_path, open_store
from multiner.pipeline.registry.waiting import waiting_challenger

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("store", "no_predictions")]


def judge(challenger: JudgedModel, _: object, documents: dict, **__: object) -> GateVerdict:
    """A gate that passes every challenger, with predictions for all documents."""
    for corpus, part in documents.items():
        challenger.predictions.add(corpus, part, [[Span(0, 1, "PER", 0.9)]] * len(part))
    return GateVerdict(True, ["no worse"], {"f1": {"challenger": 90.0}, "floor": {"min_f1": 30}})


@pytest.fixture
def two(workspace, fill, empty_leg, monkeypatch):  # noqa: ANN001, ANN201
    """Version 1 is champion, version 2 challenger."""
    monkeypatch.setattr(gate, "judge", judge)
    for temperature in (1.0, 2.0):
        fill(empty_leg, temperature=temperature)
        register(workspace, "en")
        if temperature == 1.0:
            assert promote(workspace, "en").promoted
    return workspace


def test_a_verdict_alone_leaves_the_champion_until_the_version_is_approved(two, monkeypatch) -> None:  # noqa: ANN001
    verdict = promote(two, "en", judge_only=True)
    assert (verdict.passed, verdict.promoted, verdict.champion) == (True, False, "1")
    assert champion(two, "en").version == "1"
    client = open_store(two)
    entry = client.get_model_version("ner-en", "2")
    assert entry.tags["gate.report"] == f"runs:/{entry.run_id}/gate/version-2-against-1.html"
    assert json.loads(entry.tags["gate.figures"])["f1"] == {"challenger": 90.0}
    assert verdict.report.endswith(f"/runs/{entry.run_id}/artifacts/gate/version-2-against-1.html")
    page = local_path(client.get_run(entry.run_id).info.artifact_uri) / "gate" / "version-2-against-1.html"
    assert "version 2" in page.read_text(encoding="utf-8")
    assert last_judged(two, "en").gate_report == entry.tags["gate.report"]
    stored = read_predictions(client, entry.run_id)
    assert stored.types == ["PER", "LOC", "ORG", "MISC"]
    assert set(stored.spans) == {"conll2003", "wnut17"}

    monkeypatch.setattr(gate, "judge", None)  # an approved version is not judged again
    outcome = promote(two, "en", approved="2")
    assert (outcome.promoted, outcome.champion) == (True, "2")
    assert promote(two, "en", approved="2").champion == "2", "a repeated call changes nothing"
    assert champion(two, "en").version == "2"
    with pytest.raises(NerError, match="version 1 was approved and is not promoted"):
        promote(two, "en", approved="1")


def test_where_approval_is_on_nothing_moves_without_it(two) -> None:  # noqa: ANN001
    asking = replace(two, params=overlay(two.params, {"promotion": {"approval": True}}))
    for _ in range(2):
        assert not promote(asking, "en").promoted
    assert champion(two, "en").version == "1"
    assert promote(asking, "en", approved="2").promoted


def test_another_challenger_in_between_is_refused(two, fill, empty_leg) -> None:  # noqa: ANN001
    promote(two, "en", judge_only=True)
    fill(empty_leg, temperature=3.0)
    assert register(two, "en").version == "3"
    with pytest.raises(NerError, match="the challenger is version 3 now") as caught:
        promote(two, "en", approved="2")
    assert caught.value.exit_code == 1
    with pytest.raises(NerError, match="it was not judged"):
        promote(two, "en", approved="3")
    assert champion(two, "en").version == "1"


def test_a_verdict_on_another_champion_approves_nothing(two, fill, empty_leg) -> None:  # noqa: ANN001
    assert promote(two, "en").promoted
    fill(empty_leg, temperature=3.0)
    register(two, "en")
    promote(two, "en", judge_only=True)
    assert rollback(two, "en") == "1"
    with pytest.raises(NerError, match=r"not judged against the champion of now \(version 1\)"):
        promote(two, "en", approved="3")
    assert champion(two, "en").version == "1"


def test_what_did_not_pass_cannot_be_approved(two, monkeypatch) -> None:  # noqa: ANN001
    monkeypatch.setattr(gate, "judge", lambda *_, **__: GateVerdict(False, ["worse"]))
    assert not promote(two, "en", judge_only=True).passed
    with pytest.raises(NerError, match="did not pass the gate"):
        promote(two, "en", approved="2")


def test_the_spans_of_cross_fitting_are_stored_at_registration(two, fill, empty_leg, monkeypatch) -> None:  # noqa: ANN001
    from tests.pipeline.registry.conftest import invented

    (document, *_) = invented("conll2003")
    monkeypatch.setattr(
        "multiner.pipeline.ensemble.held_out.held_out_spans", lambda *_: [(document, (Span(0, 1, "PER"),))]
    )
    fill(empty_leg, temperature=3.0)
    version = register(two, "en")
    assert read_predictions(open_store(two), version.run_id).get("conll2003", document) == [Span(0, 1, "PER")]
    assert registration.register(two, "en").created is False


def test_a_rejection_is_in_the_journal_with_its_person_and_moves_nothing(two) -> None:  # noqa: ANN001
    with pytest.raises(NerError, match="version 2 has not passed the gate"):
        reject(two, "en", "2")
    with pytest.raises(NerError, match="version 7 has not passed the gate"):
        reject(two, "en", "7")
    promote(two, "en", judge_only=True)
    entry = reject(two, "en", "2", by="ada")
    assert entry.by is not None
    assert entry.by.startswith("ada (")
    assert reject(two, "en", "2", by="ada") == entry, "a repeated call changes nothing"
    newest, before, *_ = journal.entries(open_store(two), "ner-en")
    assert (newest.kind, newest.version, newest.before) == ("rejection", "2", "1")
    assert before.kind == "passed"
    assert champion(two, "en").version == "1"

    assert promote(two, "en", approved="2", by="ben").promoted
    newest = journal.entries(open_store(two), "ner-en")[0]
    assert newest.kind == "promotion"
    assert newest.by is not None
    assert newest.by.startswith("ben (")


def test_a_champion_is_not_rejected_any_more(two) -> None:  # noqa: ANN001
    """Somebody approved it by the command, while the DAG's question was still open."""
    promote(two, "en", judge_only=True)
    assert promote(two, "en", approved="2", by="ben").promoted
    before = journal.entries(open_store(two), "ner-en")
    with pytest.raises(NerError, match="version 2 is champion already, so it is too late") as caught:
        reject(two, "en", "2", by="ada")
    assert "ner rollback en" in caught.value.remedy
    assert reject(two, "en", "2", by=NOBODY) is None
    assert journal.entries(open_store(two), "ner-en") == before


def test_a_verdict_that_is_not_final_leaves_none_of_the_one_before(two, monkeypatch) -> None:  # noqa: ANN001
    assert promote(two, "en", judge_only=True).passed
    other_rules = replace(two, params=overlay(two.params, {"promotion": {"min_f1": 31}}))
    monkeypatch.setattr(gate, "judge", lambda *_, **__: GateVerdict(False, ["too slow"], final=False))
    assert not promote(other_rules, "en", judge_only=True).final
    assert waiting_challenger(two, "en") == "2", "it is judged again"
    assert open_store(two).get_model_version("ner-en", "2").tags["gate.passed"] == "undecided"
    assert last_judged(two, "en").version == "1", "neither passed nor refused"
    monkeypatch.setattr(gate, "judge", judge)
    again = promote(two, "en", judge_only=True)
    assert (again.passed, again.reasons) == (True, ["no worse"])
