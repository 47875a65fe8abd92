"""Who waits for whom: a rollback never for the gate; and no one silently or for ever."""

from __future__ import annotations

from dataclasses import replace

import pytest

from multiner.pipeline.config.settings import overlay
from multiner.pipeline.core import locks
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry import champion, promote, register, rollback
from multiner.pipeline.registry.gate import judgement as gate
from multiner.pipeline.registry.gate.comparison import GateVerdict
from multiner.pipeline.registry.gate.predictions import GatePredictions, write_predictions
from multiner.pipeline.registry.gate.promotion import former_champions
from multiner.pipeline.registry.store import open_store


def passed(f1: float = 90.0, **champion: float) -> GateVerdict:
    return GateVerdict(True, ["no worse"], {"f1": {"challenger": f1} | champion})


def test_an_unknown_language_is_named(workspace) -> None:  # noqa: ANN001
    with pytest.raises(NerError, match="unknown language 'de'"):
        promote(workspace, "de")


@pytest.fixture
def three(workspace, store, fill, empty_leg, no_predictions):  # noqa: ANN001, ANN201
    """Versions 1 and 2 were champions in turn, 3 is challenger; nothing is loaded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate, "judge", lambda *_, **__: passed())
        for temperature in (1.0, 2.0):
            fill(empty_leg, temperature=temperature)
            register(workspace, "en")
            assert promote(workspace, "en").promoted
    fill(empty_leg, temperature=3.0)
    assert register(workspace, "en").version == "3"
    return workspace


@pytest.mark.slow
def test_a_rollback_goes_through_while_the_gate_works_and_the_challenger_is_judged_anew(three, monkeypatch) -> None:  # noqa: ANN001
    monkeypatch.setattr(locks, "REGISTRY", replace(locks.REGISTRY, seconds=0))
    judged_against = []

    def judge(_, judged_champion, *__, **___):  # noqa: ANN001, ANN202
        judged_against.append(judged_champion.folder)
        if len(judged_against) == 1:
            assert rollback(three, "en") == "1"
        return GateVerdict(len(judged_against) == 1, ["better than version 2, worse than version 1"])

    monkeypatch.setattr(gate, "judge", judge)
    outcome = promote(three, "en")
    assert (outcome.promoted, outcome.champion) == (False, "1")
    assert champion(three, "en").version == "1"
    assert len(set(judged_against)) == 2
    client = open_store(three)
    run_id = client.get_model_version("ner-en", "3").run_id
    stem = "gate/version-3-against-1"
    assert [item.path for item in client.list_artifacts(run_id, "gate")] == [f"{stem}.html", f"{stem}.json"]


@pytest.mark.slow
def test_a_champion_that_keeps_changing_ends_the_attempts(three, monkeypatch) -> None:  # noqa: ANN001
    turns = iter("1212")

    def judge(*_, **__) -> GateVerdict:
        rollback(three, "en", next(turns))
        return passed()

    monkeypatch.setattr(gate, "judge", judge)
    with pytest.raises(NerError, match="changed 3 times"):
        promote(three, "en")
    assert champion(three, "en").version == "1"
    assert next(turns) == "2", "three attempts were made"


@pytest.mark.slow
def test_a_second_promotion_waits_for_the_first_ones_gate(three, monkeypatch) -> None:  # noqa: ANN001
    monkeypatch.setattr(locks, "GATE", replace(locks.GATE, seconds=0))

    def judge(*_, **__) -> GateVerdict:
        with pytest.raises(NerError, match="still holds this lock"):
            promote(three, "en")
        return passed()

    monkeypatch.setattr(gate, "judge", judge)
    assert promote(three, "en").promoted


@pytest.mark.slow
def test_former_champions_are_compared_by_their_stored_predictions(three, monkeypatch) -> None:  # noqa: ANN001
    client = open_store(three)
    stored = GatePredictions(["PER"])
    stored.add("conll2003", [], [])
    write_predictions(client, client.get_model_version("ner-en", "1").run_id, stored)
    asked = []

    def judge(*_, former: dict[str, GatePredictions], **__) -> GateVerdict:
        asked.append({version: predictions.types for version, predictions in former.items()})
        return replace(passed(), passed=False)

    monkeypatch.setattr(gate, "judge", judge)
    promote(three, "en")
    assert asked == [{"1": ["PER"]}], "those before the champion"
    promote(three, "en")
    assert len(asked) == 1, "the verdict stands"
    rules = overlay(three.params, {"promotion": {"max_below_best": 5}})
    promote(replace(three, params=rules), "en")
    assert len(asked) == 2

    assert former_champions(client, "ner-en", {"3"}) == ["2", "1"]
    client.set_model_version_tag("ner-en", "1", "ner.rolled_back", "2026-01-01T00:00:00+00:00")
    assert former_champions(client, "ner-en", {"2", "3"}) == [], "a version rolled back is no yardstick"
