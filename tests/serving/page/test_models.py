"""What is told of the live models: /v1/models and the page, out of a real registry."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.registry import run_report
from multiner.pipeline.registry.champions import rollback
from multiner.pipeline.registry.store import database, model_name, open_store
from multiner.serving.operator import facts_reader, model_facts
from multiner.serving.operator.facts_reader import FactsReader
from multiner.serving.operator.model_schemas import Bin, ModelFacts, VersionFacts
from multiner.serving.page.models import diagram, way_back
from multiner.serving.system import status as overview
from tests.serving import registry
from tests.serving.routing.canary import trials

pytestmark = pytest.mark.slow  # a registry, real but small


@pytest.fixture
def workspace(stocked: Workspace) -> Workspace:
    return stocked


def answer(harness: Any, workspace: Workspace, path: str = "/v1/models", **settings: Any) -> Any:
    async def main() -> Any:
        gateway = harness(workspace=workspace, champions={"en": "2", "ru": None}, **settings)
        async with gateway.client() as client:
            return await client.get(path)

    return asyncio.run(main())


def test_a_version_leads_to_its_run_report(harness: Any, workspace: Workspace) -> None:
    before, _ = answer(harness, workspace).json()["models"]
    assert "run_report" not in before["links"]
    client = open_store(workspace)
    run_id = client.get_model_version(model_name(workspace, "en"), "2").run_id
    client.set_tag(run_id, run_report.TAG, run_report.FILE)
    english, _ = answer(harness, workspace).json()["models"]
    assert english["links"]["run_report"] == f"{english['links']['run']}/artifacts/{run_report.FILE}"
    assert english["links"]["run_report"] in answer(harness, workspace, "/models").text


def test_a_version_is_told_with_its_data_scores_and_history(harness: Any, workspace: Workspace) -> None:
    english, russian = answer(harness, workspace).json()["models"]
    assert (english["state"], english["version"], english["described"]) == ("live", "2", "2")
    assert (english["aliases"], english["profile"], english["git_commit"]) == (["champion"], "cpu", "0123456789abcdef")
    assert english["registry"] is None
    data = english["data"]
    assert data["hash"] == "d" * 64
    conll, wnut = data["corpora"]
    assert conll["trained_on"]
    assert conll["parts"]["train"] == {"documents": 1200, "sentences": 12000, "entities": 7}
    assert "CC BY" in wnut["licence"]
    assert [(row["corpus"], row["split"]) for row in english["scores"]] == [
        ("conll2003", "test"),
        ("conll2003", "test_without_overlap"),
        ("wnut17", "test"),
    ], "a part without the sentences of train is only told where there were such"
    first = english["scores"][0]
    assert list(first["systems"]) == ["ensemble", "transformer", "spacy"]
    assert first["systems"]["ensemble"] == {"f1": 91.75, "precision": 92.75, "recall": 90.75, "ece": 0.125}
    assert first["lead"] == {"against": "transformer", "difference": 1.25, "low": 0.5, "high": 2.0}
    assert [(each["wanted"], each["score"]) for each in english["thresholds"]] == [(95, 0.625), (99, None)]
    assert english["thresholds"][0]["test"]["precision"] == 94.25
    assert english["reliability"]["conll2003"] == registry.BINS
    assert english["behaviour"]["capabilities"] == {"plain": 100.0, "lower_case": 75.0}
    newest, oldest = english["history"]
    assert (newest["version"], newest["previous"], newest["aliases"]) == ("2", "1", ["champion"])
    assert newest["champion_since"] >= oldest["champion_since"]
    assert newest["gate"] == {"passed": True, "reasons": [registry.REASON]}
    assert "/models/ner-en/versions/2" in english["links"]["version"]
    assert (russian["state"], russian["described"]) == ("absent", None)
    assert "no champion" in russian["registry"]


def test_a_rollback_shows_in_the_history(harness: Any, workspace: Workspace) -> None:
    assert rollback(workspace, "en") == "1"
    english = answer(harness, workspace).json()["models"][0]
    assert english["described"] == "2", "facts are those of what is live"
    assert english["aliases"] == []
    newest, oldest = english["history"]
    assert newest["rolled_back"]
    assert oldest["aliases"] == ["champion"]


def test_a_run_that_was_deleted_for_good_takes_its_scores_with_it(harness: Any, workspace: Workspace) -> None:
    client = open_store(workspace)
    run = client.get_model_version("ner-en", "2").run_id
    client.delete_run(run)
    assert answer(harness, workspace).json()["models"][0]["scores"], "on MLflow's page only"
    client._tracking_client.store._hard_delete_run(run)  # as `mlflow gc` does
    english = answer(harness, workspace).json()["models"][0]
    assert f"{run} of version 2 was deleted for good" in english["registry"]
    assert [each["version"] for each in english["history"]] == ["2", "1"]
    assert english["scores"] == []
    line = overview._model_line(overview.models(workspace)[0])
    assert "champion ner-en version 2" in line
    assert "was deleted for good" in line


def test_every_switch_of_the_champion_is_told(harness: Any, workspace: Workspace) -> None:
    rollback(workspace, "en", by="the night shift", reason="<b>wrong</b> names")
    rollback(workspace, "en", "2", by="the day shift")
    switches = answer(harness, workspace).json()["models"][0]["switches"]
    assert [(each["kind"], each["from_version"], each["to_version"]) for each in switches] == [
        ("rollback", "1", "2"),
        ("rollback", "2", "1"),
        ("promotion", "1", "2"),
        ("promotion", None, "1"),
    ]
    assert [(each["by"], each["reason"]) for each in switches[:2]] == [
        ("the day shift", None),
        ("the night shift", "<b>wrong</b> names"),
    ]
    assert switches[2]["by"].startswith("user ")
    page = answer(harness, workspace, "/models").text
    places = [page.index(text) for text in ("the day shift", "the night shift", "&lt;b&gt;wrong&lt;/b&gt; names")]
    assert places == sorted(places), "the newest first"
    assert "moved by other means" not in page
    open_store(workspace).set_registered_model_alias("ner-en", "champion", "1")
    page = answer(harness, workspace, "/models").text
    assert "Version 1 is champion, but the latest switch on record is to version 2" in page


def test_a_registry_without_a_journal_tells_what_its_tags_say(harness: Any, workspace: Workspace) -> None:
    client = open_store(workspace)
    for tag in client.get_registered_model("ner-en").tags:
        client.delete_registered_model_tag("ner-en", tag)
    english = answer(harness, workspace).json()["models"][0]
    assert [(each["to_version"], each["by"]) for each in english["switches"]] == [("2", None), ("1", None)]
    assert "Champion switches" in answer(harness, workspace, "/models").text


def test_switches_are_typed(harness: Any, workspace: Workspace) -> None:
    schemas = answer(harness, workspace, "/openapi.json").json()["components"]["schemas"]
    assert schemas["ModelStateSchema"]["properties"]["switches"]["items"] == {
        "$ref": "#/components/schemas/SwitchFacts"
    }
    assert schemas["SwitchFacts"]["properties"]["kind"]["enum"] == ["promotion", "order", "rollback"]


def test_where_the_registry_is_broken_the_live_part_is_still_told(harness: Any, workspace: Workspace) -> None:
    database(workspace).write_bytes(b"no database " * 1000)
    for name in ("mlflow.db-wal", "mlflow.db-shm"):
        (workspace.paths.mlruns / name).unlink(missing_ok=True)
    response = answer(harness, workspace)
    assert response.status_code == 200
    english = response.json()["models"][0]
    assert (english["state"], english["version"], english["scores"]) == ("live", "2", [])
    assert "registry" in english["registry"]
    assert "Traceback" not in response.text
    assert answer(harness, workspace, "/models").status_code == 200


def test_a_registry_that_hangs_delays_no_one_for_long(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    release, readings = threading.Event(), []

    def hang(*_: Any) -> ModelFacts:
        readings.append(1)
        release.wait(20)
        return ModelFacts(profile="late")

    async def main() -> list[ModelFacts]:
        monkeypatch.setattr(facts_reader, "PATIENCE", 0.05)
        reader = FactsReader(workspace)
        monkeypatch.setattr(model_facts, "read", lambda *_: ModelFacts(profile="early"))
        first = await reader.of("en", "2")
        monkeypatch.setattr(model_facts, "read", hang)
        cached = await reader.of("en", "2")
        reader.forget()
        stale = await asyncio.gather(*(reader.of("en", "2") for _ in range(3)))
        other = await reader.of("ru", None)
        release.set()
        while (latest := await reader.of("en", "2")).profile != "late":
            await asyncio.sleep(0.01)
        return [first, cached, *stale, other, latest]

    first, cached, *stale, other, late = asyncio.run(main())
    assert first.profile == cached.profile == "early"
    assert cached.registry is None
    for facts in stale:
        assert facts.profile == "early"
        assert "has not answered" in facts.registry
    assert other.profile is None
    assert late.registry is None
    assert len(readings) == 2, "all who ask at once wait for one reading"


def test_the_page_tells_the_same_and_escapes_it(harness: Any, workspace: Workspace) -> None:
    page = answer(harness, workspace, "/models")
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    for text in ("91.75", "+1.25", "+0.50 to +2.00", "-1.00", "0.125", "not reached", "12,000", "lower case", "87.5 %"):
        assert text in page.text, text
    assert "&lt;gate&gt;" in page.text
    assert "<gate>" not in page.text
    assert page.text.count('class="reliability"') == 2
    assert 'cx="100.0" cy="150.0"' in page.text, "score 0.5, right in 25 %"
    assert "http://127.0.0.1:1/#/models/ner-en/versions/2" in page.text
    assert "data-action=" not in page.text, "orders are for those who have signed in"
    assert " style=" not in page.text, "the policy would forbid it"


def test_a_diagram_holds_every_bin() -> None:
    drawn = diagram("made up", 0.125, [Bin(**one) for one in registry.BINS])
    assert drawn.line == "100,150 180,50"
    assert "0.125" in drawn.summary
    assert diagram("empty", None, []).summary == "Reliability on empty"


def test_the_way_back() -> None:
    def version(number: str, **more: Any) -> VersionFacts:
        defaults = {"aliases": [], "champion_since": None, "previous": None, "rolled_back": None, "gate": None}
        return VersionFacts(**defaults | {"version": number, "created": "2026-01-01T00:00:00+00:00"} | more)

    champion = version("3", aliases=["champion"], previous="2")
    assert way_back([champion, version("2")])[1:] == ("2", None)
    assert "itself rolled back" in way_back([champion, version("2", rolled_back="2026-01-02")])[2]
    assert "no longer" in way_back([champion])[2]
    assert "no champion before" in way_back([version("3", aliases=["champion"])])[2]
    assert way_back([version("2")]) == (None, None, "There is no champion.")


def test_names_of_trials_are_their_own(workspace: Workspace) -> None:
    trial = replace(workspace, params=workspace.params | {"profile": "smoke"})
    assert model_name(trial, "en") == "ner-en-smoke"
    facts = model_facts.read(trial, "en", None, {})
    assert facts.history == []
    assert "no champion" in facts.registry
    assert open_store(workspace).get_registered_model("ner-en")


def test_a_champion_that_is_tried_out_is_not_to_be_deployed(harness: Any, workspace: Workspace) -> None:
    trial = trials.Registry()
    trial.champions = {"en": "1", "ru": None}

    async def main() -> tuple[str, str]:
        gateway = harness(workspace=workspace, **trial.settings(trials.ENDLESS))
        async with gateway.client() as client:
            await trials.until(lambda: trials.record(gateway).adopted == "1")
            apart = (await client.get("/models")).text
            await trials.begin(gateway, trial)
            return apart, (await client.get("/models")).text

    apart, tried = asyncio.run(main())
    assert "Deploy the champion to bring them together" in apart
    assert "Version 2 gets 75 % of the conversations" in tried
    assert "Deploy the champion to bring them together" not in tried, "that would end the canary"
