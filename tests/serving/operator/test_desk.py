"""The operator's desk: what orders do, what excludes what, and that nothing is lost."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from multiner.pipeline import notices
from multiner.pipeline.config.settings import Workspace, overlay
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry import champion, journal, rollback
from multiner.pipeline.registry.champions import ROLLED_BACK, set_champion
from multiner.pipeline.registry.store import open_store
from multiner.serving import executors
from multiner.serving.airflow import environment as airflow_setup
from multiner.serving.airflow import run_tracker
from multiner.serving.airflow.run_tracker import DagRun, RunTracker
from multiner.serving.backends.backend import ServedModel
from multiner.serving.cli import commands
from multiner.serving.gateway.config import workspace_config
from multiner.serving.http.middleware import JsonFormatter
from multiner.serving.operator import dag_runs
from multiner.serving.operator.actions import ActionLog
from multiner.serving.routing.state_store import StateStore
from tests.serving import registry
from tests.serving.airflow.fake_airflow import FakeAirflow

pytestmark = pytest.mark.slow  # a registry, real but small
OPERATOR = {"authorization": "Bearer a-token-for-tests"}


@pytest.fixture
def workspace(stocked: Workspace) -> Workspace:
    return stocked


def announced(workspace: Workspace) -> list[notices.Notice]:
    return list(notices.read(notices.notices_file(workspace)))


@asynccontextmanager
async def desk(harness: Any, workspace: Workspace, **settings: Any) -> AsyncIterator[tuple[httpx.AsyncClient, Any]]:
    """A client of a gateway, with the operator's token."""
    gateway = registry.gateway(harness, workspace, **settings)
    async with gateway.client() as client:
        client.headers.update(OPERATOR)
        yield client, gateway


def run(harness: Any, workspace: Workspace, use: Callable[..., Awaitable[Any]], **settings: Any) -> Any:
    async def main() -> Any:
        async with desk(harness, workspace, **settings) as (client, gateway):
            return await use(client, gateway)

    return asyncio.run(main())


async def order(client: httpx.AsyncClient, action: str, **more: Any) -> httpx.Response:
    return await client.post("/admin/actions", json={"action": action, **more})


async def ended(client: httpx.AsyncClient, response: httpx.Response) -> dict[str, Any]:
    """The action, once it has ended."""
    assert response.status_code == 202, response.text
    while (outcome := (await client.get(response.headers["location"])).json())["state"] == "running":
        await asyncio.sleep(0.01)
    return outcome


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every question is a look."""
    monkeypatch.setattr("multiner.serving.operator.desk.LOOK_SECONDS", 0)


# Rollback and deployment


def test_a_rollback_does_what_the_command_does(
    harness: Any, workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> None:
        assert gateway.service.routes["en"].live.model.version == "2"
        headers = {"x-request-id": "night-1"}
        order = {"action": "rollback", "language": "en", "champion": "2", "reason": " wrong\nin headlines"}
        response = await client.post("/admin/actions", json=order, headers=headers)
        outcome = await ended(client, response)
        assert outcome["state"] == "success", outcome
        assert outcome["reason"] == "wrong in headlines"
        assert outcome["message"] == "Version 1 is champion again. Version 1 is live: switched."
        assert (outcome["who"], outcome["request_id"]) == ("token", "night-1")
        assert gateway.service.routes["en"].live.model.version == "1"
        assert champion(workspace, "en").version == "1"
        assert ROLLED_BACK in open_store(workspace).get_model_version("ner-en", "2").tags
        report = (await client.get("/v1/models")).json()["models"][0]
        assert (report["version"], report["aliases"], report["previous"]) == ("1", ["champion"], "2")
        latest = report["switches"][0]
        assert (latest["kind"], latest["from_version"], latest["to_version"]) == ("rollback", "2", "1")
        assert latest["by"] == "operator's desk (token), request night-1"
        assert latest["reason"] == "wrong in headlines"
        assert [each["id"] for each in (await client.get("/admin/actions")).json()["actions"]] == [outcome["id"]]

    with caplog.at_level(logging.INFO, "serving"):
        run(harness, workspace, use)
    executors.NOTICES.submit(int).result()  # what was submitted before has ended
    assert [notice.text for notice in announced(workspace)] == [
        "ner-en version 1 is champion again: wrong in headlines"
    ]
    logged = [record.fields for record in caplog.records if record.message == "action"]
    assert [(each["state"], each["request_id"], each["who"]) for each in logged] == [
        ("running", "night-1", "token"),
        ("success", "night-1", "token"),
    ]


def test_the_command_takes_a_reason_too(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workspace, "load", lambda *_: workspace)
    monkeypatch.delenv("NER_GATEWAY_URL", raising=False)
    long = CliRunner().invoke(commands, ["rollback", "en", "--reason", "x" * 201])
    assert "201 characters" in str(long.exception)
    assert champion(workspace, "en").version == "2"
    result = CliRunner().invoke(commands, ["rollback", "en", "--reason", "wrong in headlines"])
    assert result.exit_code == 0, result.output
    latest = journal.switches(open_store(workspace), "ner-en")[0]
    assert (latest.kind, latest.version, latest.reason) == ("rollback", "1", "wrong in headlines")
    assert [notice.event for notice in announced(workspace)] == ["rollback"]


def test_an_order_from_a_page_that_is_out_of_date_rolls_nothing_back(harness: Any, workspace: Workspace) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> None:
        first = await ended(client, await order(client, "rollback", language="en", champion="2"))
        again = await ended(client, await order(client, "rollback", language="en", champion="2"))
        assert (first["state"], again["state"]) == ("success", "failed")
        assert "version 1 is champion, not version 2" in again["message"]
        assert champion(workspace, "en").version == "1"

    run(harness, workspace, use)


def test_a_promotion_in_the_last_moment_is_not_rolled_back(
    harness: Any, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from multiner.pipeline import registry as models

    rolling = models.rollback

    def promoted_before(*arguments: Any, **named: Any) -> str:
        set_champion(open_store(workspace), "ner-en", registry.add_version(workspace))
        return rolling(*arguments, **named)

    async def use(client: httpx.AsyncClient, gateway: Any) -> None:
        monkeypatch.setattr(models, "rollback", promoted_before)
        end = await ended(client, await order(client, "rollback", language="en", champion="2"))
        assert (end["state"], "version 3 is champion, not version 2" in end["message"]) == ("failed", True), end
        assert champion(workspace, "en").version == "3"

    run(harness, workspace, use)


@pytest.mark.parametrize("named", ["2", "02", "\u0662"])
def test_the_champion_is_not_rolled_back_to_itself(workspace: Workspace, named: str) -> None:
    with pytest.raises(NerError, match="version 2 is champion already"):
        rollback(workspace, "en", named)
    assert ROLLED_BACK not in open_store(workspace).get_model_version("ner-en", "2").tags
    for unknown in ("99", "", "two", "-1", "9" * 30):
        with pytest.raises(NerError, match=f"no version {unknown}"):
            rollback(workspace, "en", unknown)
    assert rollback(workspace, "en", "01") == "1"
    assert champion(workspace, "en").version == "1"


def test_the_gateway_asks_the_registry_before_it_starts_a_version(workspace: Workspace) -> None:
    resolve = workspace_config(workspace, "token").resolve
    assert resolve("en", "99") is None
    assert resolve("ru", "1") is None
    assert resolve("en", "01") == ServedModel("en", "ner-en", "1", "models:/ner-en/1")


def test_a_version_that_does_not_come_up_leaves_what_was_live(harness: Any, workspace: Workspace) -> None:
    def refuse(model: ServedModel) -> Exception | None:
        return NerError("out of memory") if model.version == "1" else None

    async def use(client: httpx.AsyncClient, gateway: Any) -> None:
        outcome = await ended(client, await order(client, "rollback", language="en"))
        assert outcome["state"] == "failed"
        assert "does not come up: out of memory" in outcome["message"]
        assert gateway.service.routes["en"].live.model.version == "2"

    run(harness, workspace, use, refuse=refuse)


def test_a_deployment_brings_the_champion_live(harness: Any, workspace: Workspace) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> None:
        await gateway.service.deploy("en", "1")
        outcome = await ended(client, await order(client, "deploy", language="en"))
        assert (outcome["state"], outcome["message"]) == ("success", "Version 2 is live: rolled back.")
        absent = await ended(client, await order(client, "deploy", language="ru"))
        assert absent["state"] == "failed"
        assert "no champion" in absent["message"]

    run(harness, workspace, use, champions={"ru": None})


def test_switches_of_a_language_exclude_each_other(harness: Any, workspace: Workspace) -> None:
    release = asyncio.Event()

    async def use(client: httpx.AsyncClient, gateway: Any) -> None:
        await gateway.service.deploy("en", "1")
        resolve, service = gateway.resolve, gateway.service
        launch = service.routes["en"]._pool._launch
        await service.deploy("en", "3")

        async def slow(model: ServedModel) -> Any:
            await release.wait()
            return await launch(model)

        service.routes["en"]._pool._launch = slow
        assert resolve("en", None).version == "2"
        first, second = await asyncio.gather(*(order(client, "deploy", language="en") for _ in range(2)))
        assert sorted([first.status_code, second.status_code]) == [202, 409]
        refused = await order(client, "rollback", language="en")
        assert refused.status_code == 409
        assert "Deployment (en) runs since" in refused.json()["detail"]
        assert (await order(client, "deploy", language="ru")).status_code == 202, "other languages are free"
        release.set()
        assert (await ended(client, first if first.status_code == 202 else second))["state"] == "success"

    run(harness, workspace, use)


# DAGs


@pytest.mark.usefixtures("impatient")
def test_a_retraining_is_started_and_followed_to_its_promotion(harness: Any, airflow: FakeAirflow) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> None:
        response = await order(client, "retrain", language="en")
        assert response.status_code == 202
        run_id, at = airflow.run_of("retrain_en"), response.headers["location"]
        assert response.json()["request_id"] in airflow.notes[0]
        airflow.add("retrain_en", run_id, "running", prepare_en="success", train_en="running", register="none")
        outcome = (await client.get(at)).json()
        assert outcome["message"] == "Running: train_en (retrain_en)."
        assert [(task["name"], task["state"]) for task in outcome["runs"][0]["tasks"]] == [
            ("prepare_en", "success"),
            ("train_en", "running"),
            ("register", "none"),
        ]
        assert outcome["runs"][0]["url"].endswith(f"/dags/retrain_en/runs/{run_id}")
        airflow.add("retrain_en", run_id, "success", register="success")
        outcome = (await client.get(at)).json()
        assert (outcome["state"], outcome["message"]) == ("running", "Waiting for what is set off next: promote_en.")
        airflow.add("promote_en", "asset__1", "running", promote="running")
        airflow.events["retrain_en", run_id] = [("promote_en", "asset__1")]
        assert (await client.get(at)).json()["message"] == "Running: promote (promote_en)."
        airflow.add("promote_en", "asset__1", "success", promote="success", deploy="success")
        outcome = (await client.get(at)).json()
        assert (outcome["state"], outcome["message"]) == ("success", "Ended well: retrain_en, promote_en.")

    run(harness, airflow.workspace, use)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("begun", [False, True], ids=["not set off", "queued"])
def test_an_action_that_comes_to_a_paused_dag_ends_and_says_so(
    harness: Any, airflow: FakeAirflow, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> None:
        airflow.paused["promote_en"] = True
        response = await order(client, "retrain", language="en")
        run_id = airflow.run_of("retrain_en")
        airflow.add("retrain_en", run_id, "running", train_en="running")
        assert (await client.get(response.headers["location"])).json()["state"] == "running"
        airflow.add("retrain_en", run_id, "success", register="success")
        if begun:
            airflow.add("promote_en", "asset__1", "queued")
            airflow.events["retrain_en", run_id] = [("promote_en", "asset__1")]
        outcome = (await client.get(response.headers["location"])).json()
        assert outcome["state"] == "running", "it may be a matter of a moment"
        assert outcome["message"].startswith("Paused on Airflow's page: promote_en.")
        monkeypatch.setattr(run_tracker, "STRANDED_SECONDS", -1)
        outcome = await ended(client, response)
        assert outcome["state"] == "failed"
        assert outcome["message"].startswith("Paused on Airflow's page: promote_en.")

    run(harness, airflow.workspace, use)


@pytest.mark.usefixtures("impatient")
def test_a_failed_validation_names_its_task(harness: Any, airflow: FakeAirflow) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> None:
        response = await order(client, "validate")
        airflow.add("data", airflow.run_of("data"), "failed", validate_en="failed", publish="upstream_failed")
        outcome = await ended(client, response)
        assert outcome["state"] == "failed"
        assert "validate_en of data" in outcome["message"]
        assert "publish" not in outcome["message"]
        del airflow.runs["data", airflow.run_of("data")]
        again = await order(client, "validate")
        airflow.runs.clear()
        assert (await ended(client, again))["state"] == "failed", "Airflow forgot the run"

    run(harness, airflow.workspace, use)


@pytest.mark.usefixtures("impatient")
def test_no_double_start(harness: Any, airflow: FakeAirflow) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> None:
        answers = await asyncio.gather(*(order(client, "retrain", language="en") for _ in range(3)))
        assert sorted(answer.status_code for answer in answers) == [202, 409, 409]
        refused = next(answer.json() for answer in answers if answer.status_code == 409)
        assert refused["type"] == "urn:ner:problem:running"
        assert "Retraining (en)" in refused["detail"]
        assert len(airflow.runs) == 1
        airflow.add("retrain_ru", "scheduled__1", "running")
        elsewhere = await order(client, "retrain", language="ru")
        assert elsewhere.status_code == 409
        assert "scheduled__1" in elsewhere.json()["detail"]
        airflow.paused["data"] = True
        assert (await order(client, "validate")).json()["type"] == "urn:ner:problem:paused"
        del airflow.paused["data"]
        assert (await order(client, "validate")).json()["type"] == "urn:ner:problem:no-dag"

    run(harness, airflow.workspace, use)


@pytest.mark.usefixtures("impatient")
def test_a_large_airflow_is_known_whole(harness: Any, airflow: FakeAirflow) -> None:
    airflow.paused |= {f"another_{number:03}": False for number in range(150)} | {"retrain_gone": True}
    airflow.stale.add("retrain_gone")
    for number in range(150):
        airflow.add(f"another_{number:03}", "scheduled__1", "running")
    airflow.add("retrain_ru", "scheduled__1", "running")
    with closing(dag_runs.connect(airflow.workspace)) as client:
        assert client.dags().keys() == airflow.paused.keys() - {"retrain_gone"}
        assert ("retrain_ru", "scheduled__1") in client.active_runs()
        assert client.is_paused("retrain_gone") is client.is_paused("nothing") is None

    async def use(client: httpx.AsyncClient, gateway: Any) -> None:
        assert "scheduled__1" in (await order(client, "retrain", language="ru")).json()["detail"]
        response = await order(client, "retrain", language="en")
        assert response.status_code == 202
        run_id = airflow.run_of("retrain_en")
        airflow.add("retrain_en", run_id, "running", **{f"task_{number}": "running" for number in range(90)})
        (run,) = (await client.get(response.headers["location"])).json()["runs"]
        assert len(run["tasks"]) == 90

    run(harness, airflow.workspace, use)


@pytest.mark.usefixtures("impatient")
def test_an_airflow_that_hangs_holds_up_neither_the_page_nor_a_switch(
    harness: Any, airflow: FakeAirflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("multiner.serving.operator.desk.PATIENCE", 0.05)
    answers, waited_for = threading.Event(), []

    def poll(tracker: RunTracker, client: Any) -> None:
        waited_for.append(answers.wait(30))

    async def use(client: httpx.AsyncClient, gateway: Any) -> None:
        assert (await order(client, "retrain", language="en")).status_code == 202
        assert (await order(client, "retrain", language="ru")).status_code == 202
        monkeypatch.setattr(RunTracker, "poll", poll)
        signed_in = {"origin": "http://gateway"}
        token = OPERATOR["authorization"].split()[1]
        assert (await client.post("/admin/session", json={"token": token}, headers=signed_in)).status_code == 204
        for _ in range(3):
            assert "Airflow has not answered yet" in (await client.get("/models")).text
        assert (await order(client, "deploy", language="en")).status_code == 202, "a switch needs no Airflow"
        assert not waited_for
        answers.set()
        while "not answered" in (await client.get("/models")).text:
            await asyncio.sleep(0.01)
        assert all(waited_for)

    run(harness, airflow.workspace, use)


@pytest.mark.parametrize("how", ["never", "stopped", "other password"])
def test_without_airflow_the_answer_says_what_to_do(harness: Any, airflow: FakeAirflow, how: str) -> None:
    workspace = airflow.workspace
    if how == "never":
        airflow_setup.password_file(workspace).unlink()
    elif how == "stopped":
        workspace = replace(workspace, params=overlay(workspace.params, {"serving": {"airflow_port": 1}}))
    else:
        airflow.password = "another"

    async def use(client: httpx.AsyncClient, gateway: Any) -> None:
        response = await order(client, "retrain", language="en")
        assert (response.status_code, response.json()["type"]) == (503, "urn:ner:problem:no-airflow")
        assert "ner up" in response.json()["detail"]
        (failed,) = (await client.get("/admin/actions")).json()["actions"]
        assert failed["state"] == "failed"
        assert "ner up" in failed["message"]
        assert (await order(client, "deploy", language="en")).status_code == 202, "a switch needs no Airflow"

    run(harness, workspace, use)


def test_whatever_goes_wrong_an_action_ends_and_keeps_nobody_out(
    harness: Any, airflow: FakeAirflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> None:
        airflow.page = "<html>sign in</html>"
        refused = await order(client, "retrain", language="en")
        assert (refused.status_code, refused.json()["type"]) == (503, "urn:ner:problem:no-airflow")
        assert "is not Airflow" in refused.json()["detail"]
        airflow.page = None
        with monkeypatch.context() as patch:
            patch.setattr(dag_runs, "start", lambda *arguments: 1 / 0)
            assert (await order(client, "retrain", language="en")).status_code == 500
        latest, first = (await client.get("/admin/actions")).json()["actions"]
        assert (first["state"], "is not Airflow" in first["message"]) == ("failed", True)
        assert latest["state"] == "failed"
        assert latest["message"].startswith("Unexpected error (ZeroDivisionError)")
        assert (await order(client, "retrain", language="en")).status_code == 202

    run(harness, airflow.workspace, use)


def test_the_log_tells_how_an_action_ended(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    async def main() -> None:
        actions = ActionLog(StateStore(f"sqlite:///{tmp_path}/state.db"))
        (await actions.begin("deploy", "en", who="token", request_id="r")).end("success", "Version 2 is live.")

    with caplog.at_level(logging.INFO, "serving"):
        asyncio.run(main())
    line = json.loads(JsonFormatter().format(caplog.records[-1]))
    assert (line["message"], line["state"], line["outcome"]) == ("action", "success", "Version 2 is live.")


@pytest.mark.usefixtures("impatient")
def test_actions_outlive_the_gateway(harness: Any, airflow: FakeAirflow) -> None:
    async def before(client: httpx.AsyncClient, gateway: Any) -> str:
        return (await order(client, "retrain", language="en")).json()["id"]

    async def after(client: httpx.AsyncClient, gateway: Any) -> None:
        (outcome,) = (await client.get("/admin/actions")).json()["actions"]
        assert (outcome["id"], outcome["state"]) == (id, "running")
        assert (await order(client, "retrain", language="en")).status_code == 409
        airflow.add("retrain_en", airflow.run_of("retrain_en"), "failed", train_en="failed")
        assert (await client.get(f"/admin/actions/{id}")).json()["state"] == "failed"

    id = run(harness, airflow.workspace, before)
    run(harness, airflow.workspace, after)


def test_what_airflow_does_is_told_in_a_sentence() -> None:
    def verdict(**states: str) -> tuple[str, str]:
        runs = [DagRun(dag=dag, run="1", state=state, ended="2026-01-01T00:00:00Z") for dag, state in states.items()]
        return dag_runs.verdict(RunTracker(["en"], runs))

    assert verdict(data="queued") == ("running", "Waiting for Airflow to begin.")
    assert verdict(data="success") == ("running", "Waiting for what is set off next: retrain_en.")
    assert verdict(retrain_en="success", promote_en="running")[0] == "running"
    assert verdict(retrain_en="success", promote_en="failed")[0] == "failed"


@pytest.mark.usefixtures("impatient")
def test_a_dag_that_a_lost_event_did_not_start_is_started(
    harness: Any, airflow: FakeAirflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> None:
        response = await order(client, "retrain", language="en")
        airflow.add("retrain_en", airflow.run_of("retrain_en"), "success", register="success")
        assert (await client.get(response.headers["location"])).json()["message"].startswith("Waiting for what is set")
        monkeypatch.setattr(run_tracker, "STRANDED_SECONDS", -1)
        assert [run["dag"] for run in (await client.get(response.headers["location"])).json()["runs"]] == [
            "retrain_en",
            "promote_en",
        ]
        airflow.add("promote_en", airflow.run_of("promote_en"), "success", deploy="success")
        assert (await ended(client, response))["state"] == "success"

    run(harness, airflow.workspace, use)


def test_unknown_actions_are_not_found(harness: Any, workspace: Workspace) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> None:
        assert (await client.get("/admin/actions/none")).status_code == 404

    run(harness, workspace, use)
