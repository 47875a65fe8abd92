"""The behaviour suite at the gate: asked in fresh processes, compared with the champion, and noted in the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from multiner.pipeline.evaluation.behaviour import load_cases
from multiner.pipeline.inference import isolated_process
from multiner.pipeline.registry import promote, register
from multiner.pipeline.registry.gate import judgement as gate
from multiner.pipeline.registry.gate.comparison import JudgedModel
from multiner.pipeline.registry.gate.promotion import verdict_key
from multiner.pipeline.registry.gate.verdict_notes import note_behaviour
from multiner.pipeline.registry.registration import alias_version
from multiner.pipeline.registry.store import open_store

TYPES = ["PER", "LOC", "ORG", "MISC"]
RULES = {"min_behaviour": -3.0, "behaviour_must": 90}
GOOD, BAD, POOR = Path("good"), Path("bad"), Path("poor")


CASES = load_cases("en")


def answers(label_of) -> dict[str, dict]:  # noqa: ANN001
    """What a model answers to each text that finds the marked entities which ``label_of(case, place)`` labels."""
    places: dict[str, dict[tuple[int, int], str | None]] = {}
    for case in CASES:
        for marked in filter(None, (case.text, case.base)):
            labels = places.setdefault(marked.text, {})
            labels |= {(each.start, each.end): label_of(case, each) for each in marked.entities}
    return {
        text: {
            "entities": [
                {"start": start, "end": end, "text": text[start:end], "label": label, "score": 0.9, "legs": {}}
                for (start, end), label in sorted(labels.items())
                if label
            ]
        }
        for text, labels in places.items()
    }


MODELS = {
    GOOD: lambda case, place: place.label,
    BAD: lambda case, place: None if case.capability in ("tables", "lists") else place.label,
    POOR: lambda case, place: "MISC" if case.must else place.label,
}


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Models by rule in place of fresh processes; lists which were asked."""
    calls: list[Path] = []

    def ask(model: Path, texts: list[str], repeats: int = 3) -> isolated_process.Answers:
        calls.append(model)
        if model not in MODELS:
            raise isolated_process.ProcessFailed("exit status 1")
        replies = answers(MODELS[model])
        return isolated_process.Answers([replies[text] for text in texts], [1.0] * len(texts), 1.0)

    monkeypatch.setattr(isolated_process, "ask", ask)
    monkeypatch.setattr(gate, "load_cases", lambda language, types, suites=None: CASES if language == "en" else [])
    return calls


def check(champion: Path | None, challenger: Path, **rules: object) -> gate.GateVerdict:
    return gate.check_behaviour(champion, challenger, "en", TYPES, RULES | rules)


def test_a_challenger_as_good_as_the_champion_passes_with_both_rates_in_the_details(questions) -> None:  # noqa: ANN001
    verdict = check(GOOD, GOOD)
    assert verdict.passed
    assert questions == [GOOD, GOOD]
    details = verdict.details["behaviour"]
    assert details["challenger"]["overall"] == details["champion"]["overall"] == 100.0
    assert details["challenger"]["capabilities"]["tables"] == 100.0


def test_a_challenger_that_lost_a_capability_is_held_back_and_its_cases_are_listed(questions) -> None:  # noqa: ANN001
    verdict = check(GOOD, BAD)
    assert not verdict.passed
    assert verdict.final
    assert "pass rate changes by -" in verdict.reasons[0]
    challenger = verdict.details["behaviour"]["challenger"]
    assert challenger["capabilities"]["tables"] == 0.0
    assert all(failure["id"].split("/")[0] in ("tables", "lists") for failure in challenger["failures"])
    assert check(BAD, BAD).passed
    assert check(BAD, GOOD).passed
    assert check(GOOD, BAD, min_behaviour=-50.0).passed


def test_a_first_model_answers_for_the_must_cases_alone(questions) -> None:  # noqa: ANN001
    assert check(None, BAD).passed
    poor = check(None, POOR)
    assert not poor.passed
    assert "must cases" in poor.reasons[0]
    assert "plain/minimum/" in poor.reasons[0]
    assert check(None, POOR, behaviour_must=0).passed
    assert set(questions) == {BAD, POOR}


def test_a_type_that_only_the_challenger_knows_makes_up_for_no_lost_capability(monkeypatch) -> None:  # noqa: ANN001
    def ask(model: Path, texts: list[str], repeats: int = 3) -> isolated_process.Answers:
        replies = answers(
            lambda case, place: MODELS[model](case, place) if model == BAD or place.label == "PER" else None
        )
        return isolated_process.Answers([replies[text] for text in texts], [1.0] * len(texts), 1.0)

    monkeypatch.setattr(isolated_process, "ask", ask)
    assert check(GOOD, BAD).passed, "the champion fails where other types than PER are asked for"
    verdict = gate.check_behaviour(GOOD, BAD, "en", TYPES, RULES, shared=["PER"])
    assert not verdict.passed
    assert verdict.details["behaviour"]["champion"]["overall"] == 100.0


def test_where_the_rule_is_off_or_there_is_no_suite_nothing_is_asked(questions) -> None:  # noqa: ANN001
    assert check(GOOD, POOR, min_behaviour=None).passed
    assert gate.check_behaviour(GOOD, POOR, "xx", TYPES, RULES).passed
    assert questions == []


def test_a_model_that_fails_in_its_process_is_asked_again_the_next_time(questions) -> None:  # noqa: ANN001
    verdict = check(Path("broken"), GOOD)
    assert not verdict.passed
    assert not verdict.final
    assert "the champion fails" in verdict.reasons[0]


def test_an_answer_out_of_form_is_a_failure_of_the_process(questions, monkeypatch) -> None:  # noqa: ANN001
    monkeypatch.setitem(MODELS, POOR, lambda case, place: "PERSON")
    verdict = check(None, POOR)
    assert not verdict.passed
    assert "unknown label 'PERSON'" in verdict.reasons[0]


def test_all_parts_of_the_gate_say_why(questions, monkeypatch) -> None:  # noqa: ANN001
    golden_good = gate.GateVerdict(True, ["golden"], {"golden": 1})
    worse = gate.GateVerdict(False, ["worse by 2 F1 points"], {"comparison": 1})
    monkeypatch.setattr(gate, "check_golden", lambda *_: golden_good)
    monkeypatch.setattr(gate, "check_scores", lambda *_, **__: worse)
    monkeypatch.setattr(gate, "types_of", lambda _: TYPES)
    verdict = gate.judge(JudgedModel(BAD), JudgedModel(GOOD), {}, language="en", types=TYPES, options=RULES, seed=1)
    assert not verdict.passed
    assert verdict.reasons[0] == "worse by 2 F1 points"
    assert "behaviour" in verdict.reasons[1]
    assert set(verdict.details) == {"golden", "behaviour", "comparison"}


def test_a_changed_suite_asks_again(workspace, monkeypatch) -> None:  # noqa: ANN001
    before = verdict_key(workspace, "en", "2", "1", "basis")
    monkeypatch.setattr("multiner.pipeline.registry.gate.promotion.suite_hash", lambda *_: "other")
    assert verdict_key(workspace, "en", "2", "1", "basis") != before


def test_a_workspace_may_have_its_own_suite(workspace) -> None:  # noqa: ANN001
    file = workspace.paths.behaviour / "de.yaml"
    file.parent.mkdir(parents=True)
    before = verdict_key(workspace, "de", "2", "1", "basis"), verdict_key(workspace, "en", "2", "1", "basis")
    file.write_text("names: {}\ncapabilities: {plain: [{kind: minimum, must: true, texts: ['[Ada](PER) schläft.']}]}\n")
    (case,) = load_cases("de", ["PER"], workspace.paths.behaviour)
    assert (case.text.text, case.must) == ("Ada schläft.", True)
    assert load_cases("en", None, workspace.paths.behaviour) == load_cases("en")
    after = verdict_key(workspace, "de", "2", "1", "basis"), verdict_key(workspace, "en", "2", "1", "basis")
    assert (after[0] != before[0], after[1]) == (True, before[1])


@pytest.mark.slow
@pytest.mark.usefixtures("store", "in_process")
def test_a_real_model_is_asked_and_its_rates_reach_run_and_card(workspace, fill, good_leg, monkeypatch) -> None:  # noqa: ANN001
    few = [case for case in CASES if case.capability in ("plain", "no_names")]
    monkeypatch.setattr(gate, "load_cases", lambda *_: few)
    workspace.params["promotion"].update({"min_behaviour": -3.0, "behaviour_must": 0})
    fill(good_leg)
    register(workspace, "en")
    outcome = promote(workspace, "en")
    assert outcome.promoted, outcome.reasons
    client = open_store(workspace)
    assert alias_version(client, "ner-en", "champion") == "1"
    run_id = client.get_model_version("ner-en", "1").run_id
    metrics = client.get_run(run_id).data.metrics
    assert 0 <= metrics["behaviour.plain"] <= 100
    assert {"behaviour.no_names", "behaviour.overall"} <= set(metrics)
    card = Path(client.download_artifacts(run_id, "card.md")).read_text(encoding="utf-8")
    assert f"| plain | {metrics['behaviour.plain']:.1f} % |" in card
    assert "Not tested yet" not in card
    note_behaviour(client, run_id, {"capabilities": {"plain": 12.5}, "overall": 12.5, "cases": 8})
    card = Path(client.download_artifacts(run_id, "card.md")).read_text(encoding="utf-8")
    assert card.count("| plain |") == 1
    assert "12.5" in card
