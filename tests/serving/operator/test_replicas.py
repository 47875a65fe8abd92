"""Several gateways with one shared state: an order, a session, an action at one of them counts at all."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from multiner.pipeline.core.environment import without_secrets
from multiner.pipeline.core.errors import NerError
from multiner.serving.airflow.run_tracker import DagRun
from multiner.serving.gateway import state
from multiner.serving.http.problems import Problem
from multiner.serving.operator import actions as action_log
from multiner.serving.operator.actions import LAPSED, LISTED, ActionLog
from multiner.serving.operator.operators import SHARED
from multiner.serving.operator.sessions import SESSIONS, Sessions
from multiner.serving.routing import state_store
from multiner.serving.routing.holds import Hold, Holds
from multiner.serving.routing.state_store import StateStore, StateUnavailable
from tests.serving.configs import empty_workspace
from tests.serving.waiting import until

OPERATOR = {"authorization": "Bearer a-token-for-tests"}
ORIGIN = {"origin": "http://gateway"}
TICK = 0.02


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state.db"


def run(harness: Any, url: str, use: Callable[..., Awaitable[None]], **settings: Any) -> None:
    """Use two gateways that share a state and a registry."""

    async def main() -> None:
        champions = {"en": "1", "ru": "1"}
        async with AsyncExitStack() as stack:
            replicas = [harness(**{"reconcile_seconds": TICK, "state": StateStore(url)} | settings) for _ in range(2)]
            for replica in replicas:
                replica.champions = champions
            clients = [await stack.enter_async_context(replica.client()) for replica in replicas]
            await use(*clients, *replicas)

    asyncio.run(main())


def live(gateway: Any) -> str | None:
    backend = gateway.service.routes["en"].live
    return backend.model.version if backend else None


async def order(client: httpx.AsyncClient, kind: str, **value: Any) -> dict[str, Any]:
    answer = await client.post(f"/admin/{kind}", json={"language": "en", **value}, headers=OPERATOR)
    return answer.json() | {"status": answer.status_code}


def test_an_order_at_one_gateway_holds_at_all_until_the_champion_changes(harness: Any, url: str) -> None:
    async def use(one: httpx.AsyncClient, other: httpx.AsyncClient, first: Any, second: Any) -> None:
        assert (await order(one, "deploy", version="2"))["version"] == "2"
        await until(lambda: live(second) == "2")
        assert (await order(other, "reconcile", insist=False))["action"] == "held"
        assert (await order(other, "rollback"))["version"] == "1"
        await until(lambda: live(first) == "1")
        assert (await order(one, "deploy", version="3"))["version"] == "3"
        await until(lambda: live(second) == "3")
        first.champions["en"] = "4"
        await until(lambda: live(first) == live(second) == "4")
        first.champions["en"] = "1"  # the champion that the orders overrode: they have ended all the same
        await until(lambda: live(first) == live(second) == "1")
        assert (await order(one, "deploy", version="2"))["version"] == "2"
        await until(lambda: live(second) == "2")
        assert (await order(other, "reconcile"))["version"] == "1"
        await until(lambda: live(first) == "1")

    run(harness, url, use)


def test_a_gateway_that_starts_later_obeys_the_order(harness: Any, url: str) -> None:
    async def main() -> None:
        async with harness(state=StateStore(url)).client() as client:
            await order(client, "deploy", version="2")
        later = harness(state=StateStore(url))
        async with later.client():
            assert [backend.model.version for backend in later.launched if backend.model.language == "en"] == ["2"]

    asyncio.run(main())


def test_an_order_for_a_version_that_is_gone_says_so_and_stops_nothing(
    harness: Any, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def use(one: httpx.AsyncClient, other: httpx.AsyncClient, first: Any, second: Any) -> None:
        second.resolve_all, second_reconciler = second.resolve, second.service.reconcilers["en"]
        second_reconciler._resolve = lambda version: second.resolve_all("en", None) if version is None else None
        await order(one, "deploy", version="2")
        await until(lambda: "no version 2" in second_reconciler._error)
        assert live(second) == "1"
        assert (await other.post("/v1/entities", json={"text": "Anna"})).status_code == 200

    run(harness, url, use)
    assert sum("no version 2" in str(getattr(record, "fields", "")) for record in caplog.records) == 1


def test_an_older_order_never_undoes_a_newer_one(url: str) -> None:
    async def main() -> None:
        one, other = (Holds(StateStore(url), "en") for _ in range(2))
        older, newer = await one.begin(), await other.begin()
        assert older < newer
        assert await other.carry_out(Hold(newer, "3", "1"))
        assert not await one.carry_out(Hold(older, "2", "1")), "its version came up late"
        await one.end(Hold(older, "2", "1"))
        assert await one.latest() == await other.latest() == Hold(newer, "3", "1")
        assert await Holds(StateStore(url), "ru").latest() == Hold()
        await one.end(await one.latest())
        assert (await other.latest()).version is None

    asyncio.run(main())


def test_a_slow_deployment_yields_to_a_later_order_at_another_gateway(harness: Any, url: str) -> None:
    async def use(one: httpx.AsyncClient, other: httpx.AsyncClient, first: Any, second: Any) -> None:
        starting, go_on, route = asyncio.Event(), asyncio.Event(), first.service.routes["en"]
        launch = route._pool._launch

        async def slow(model: Any) -> Any:
            if model.version == "2":
                starting.set()
                await go_on.wait()
            return await launch(model)

        route._pool._launch = slow
        deployment = asyncio.create_task(order(one, "deploy", version="2"))
        await starting.wait()
        assert (await order(other, "deploy", version="3"))["version"] == "3"
        go_on.set()
        assert (await deployment)["action"] == "overtaken"
        await until(lambda: live(first) == live(second) == "3")

    run(harness, url, use)


def test_a_lane_is_free_at_all_gateways_or_at_none(url: str) -> None:
    async def main() -> None:
        logs = [ActionLog(StateStore(url)) for _ in range(2)]

        async def begin(log: ActionLog, **order: Any) -> Any:
            try:
                return await log.begin(**{"kind": "deploy", "language": "en"} | order, who="token", request_id="r")
            except Problem as problem:
                return problem

        outcomes = await asyncio.gather(*(begin(log) for log in logs * 4))
        (action,) = (outcome for outcome in outcomes if not isinstance(outcome, Problem))
        refused = [outcome for outcome in outcomes if outcome is not action]
        assert {problem.status for problem in refused} == {409}
        assert all(action.id in problem.detail for problem in refused)
        assert (await begin(logs[1], kind="rollback")).status == 409
        assert (await begin(logs[1], language="ru")).state == "running"
        action.end("success", "Version 2 is live.")
        await logs[0].save(action)
        assert (await begin(logs[1])).state == "running"
        assert [each.state for each in await logs[1].last()] == ["running", "running", "success"]

    asyncio.run(main())


def test_an_action_whose_gateway_has_died_ends_when_its_lease_lapses(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(action_log, "clock", lambda _: now)

    async def main() -> None:
        nonlocal now
        store = StateStore(url)
        log = ActionLog(store)
        dead = await log.begin("deploy", "en", who="token", request_id="r")
        alive = await log.begin("deploy", "ru", who="token", request_id="r")
        training = await log.begin("retrain", "en", who="token", request_id="r")
        training.runs = [DagRun(dag="retrain_en", run="1")]
        await log.save(training)
        now += action_log.LEASE_SECONDS - 1
        await log.renew(alive)
        now += 2
        states = {action.id: (action.state, action.message) for action in await ActionLog(StateStore(url)).last()}
        assert states[dead.id] == ("failed", LAPSED)
        assert states[alive.id][0] == states[training.id][0] == "running", "Airflow carries a training out"
        next_one = await log.begin("rollback", "en", who="token", request_id="r")
        dead.message = "still starting"
        await log.save(dead)  # not dead after all
        now += 2
        assert (await log.last())[0].id == next_one.id
        assert action_log.find(await log.last(), dead.id).state == "failed", "what has ended runs no more"

    asyncio.run(main())


def test_a_switch_under_way_renews_its_lease(harness: Any, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multiner.serving.operator.desk.LEASE_SECONDS", 0.03)
    renewed: list[str] = []
    renew = ActionLog.renew

    async def counted(self: ActionLog, action: Any) -> None:
        await renew(self, action)
        renewed.append(action.id)

    monkeypatch.setattr(ActionLog, "renew", counted)

    async def use(one: httpx.AsyncClient, other: httpx.AsyncClient, first: Any, second: Any) -> None:
        go_on, route = asyncio.Event(), first.service.routes["en"]
        launch = route._pool._launch

        async def slow(model: Any) -> Any:
            await go_on.wait()
            return await launch(model)

        route._pool._launch = slow
        first.champions["en"] = "2"
        begun = await one.post("/admin/actions", json={"action": "deploy", "language": "en"}, headers=OPERATOR)
        at = begun.headers["location"]
        await until(lambda: len(renewed) > 1)
        elsewhere = await other.post("/admin/actions", json={"action": "rollback", "language": "en"}, headers=OPERATOR)
        assert (elsewhere.status_code, elsewhere.json()["type"]) == (409, "urn:ner:problem:running")
        assert (await other.get(at, headers=OPERATOR)).json()["state"] == "running"
        go_on.set()
        while (await other.get(at, headers=OPERATOR)).json()["state"] == "running":
            await asyncio.sleep(0.01)
        assert (await other.get(at, headers=OPERATOR)).json()["state"] == "success"

    run(harness, url, use, reconcile_seconds=0)


def test_as_many_actions_are_kept_as_are_listed(url: str) -> None:
    async def main() -> None:
        log = ActionLog(StateStore(url))
        running = await log.begin("validate", None, who="token", request_id="r")
        for number in range(LISTED + 1):
            action = await log.begin("deploy", "en", who="token", request_id=str(number))
            action.end("success", "")
            await log.save(action)
        actions = await log.last()
        assert (len(actions), actions[0].request_id) == (LISTED, str(LISTED))
        with pytest.raises(Problem, match=running.id):
            await log.begin("validate", None, who="token", request_id="r")

    asyncio.run(main())


def test_a_session_is_open_at_all_gateways_and_ends_at_all(harness: Any, url: str) -> None:
    async def use(one: httpx.AsyncClient, other: httpx.AsyncClient, *_: Any) -> None:
        opened = await one.post("/admin/session", json={"token": OPERATOR["authorization"][7:]}, headers=ORIGIN)
        assert opened.status_code == 204
        cookies = dict(one.cookies)
        other.cookies.update(cookies)
        assert (await other.get("/admin/actions")).status_code == 200
        assert (await other.delete("/admin/session", headers=ORIGIN)).status_code == 204
        assert (await one.get("/admin/actions")).status_code == 401

    run(harness, url, use)


def test_sessions_of_another_token_are_void_and_the_oldest_ends(url: str) -> None:
    async def main() -> None:
        sessions = Sessions(StateStore(url), b"token")
        secret = await sessions.open()
        assert await sessions.holder(secret) == SHARED
        assert await Sessions(StateStore(url), b"a new token").holder(secret) is None
        newest = [await sessions.open() for _ in range(SESSIONS)][-1]
        assert (await sessions.holder(secret), await sessions.holder(newest)) == (None, SHARED)

    asyncio.run(main())


@pytest.mark.parametrize("fault", ["fails", "hangs"])
def test_a_store_that_fails_stops_no_live_traffic(
    harness: Any, url: str, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    answers = threading.Event()

    def broken(self: StateStore, work: Any) -> Any:
        if fault == "hangs":
            answers.wait(30)
        raise StateUnavailable("connection to server at 10.0.0.9 refused")

    async def use(one: httpx.AsyncClient, other: httpx.AsyncClient, first: Any, second: Any) -> None:
        await order(one, "deploy", version="2")
        await until(lambda: live(second) == "2")
        opened = await one.post("/admin/session", json={"token": OPERATOR["authorization"][7:]}, headers=ORIGIN)
        cookie = {"cookie": opened.headers["set-cookie"].partition(";")[0]}
        with monkeypatch.context() as patch:
            patch.setattr(state_store, "PATIENCE", 0.01)
            patch.setattr(StateStore, "_run", broken)
            for kind, value in (("deploy", {"version": "1"}), ("reconcile", {}), ("rollback", {})):
                refused = await order(other, kind, **value)
                assert (refused["status"], refused["type"]) == (503, "urn:ner:problem:no-state")
                assert "10.0.0.9" not in refused["detail"]
            for headers in (OPERATOR, cookie):
                assert (await other.get("/admin/actions", headers=headers)).status_code == 503
            assert (await other.get("/models", headers=cookie)).status_code == 200
            looks = [gateway.service.reconcilers["en"].holds for gateway in (first, second)]
            await until(lambda: not any(holds._readable for holds in looks))
            answer = await other.post("/v1/entities", json={"text": "Anna"})
            assert (answer.status_code, (await other.get("/ready")).status_code) == (200, 200)
            await until(lambda: live(first) == live(second) == "2"), "the order that was read before stands"
            first.champions["en"] = "4"
            await until(lambda: live(first) == live(second) == "4")
        answers.set()
        await until(lambda: all(holds._readable for holds in looks))
        assert (await order(other, "deploy", version="2"))["version"] == "2"
        await until(lambda: live(first) == "2")

    run(harness, url, use)


def test_a_gateway_starts_without_its_store(harness: Any, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("")

    async def main() -> None:
        gateway = harness(state=StateStore(f"sqlite:///{tmp_path}/a file/state.db"))
        async with gateway.client() as client:
            assert live(gateway) == "1"
            assert (await client.get("/admin/actions", headers=OPERATOR)).status_code == 503

    asyncio.run(main())


@pytest.mark.parametrize("address", ["nothing", "mysql://host/db", "postgresql+none://user:secret@host/db", ""])
def test_an_address_of_no_usable_database_is_refused(address: str) -> None:
    with pytest.raises(NerError) as caught:
        StateStore(address)
    assert caught.value.where == "NER_STATE_URL"
    assert "secret" not in str(caught.value)


def test_database_and_token_are_those_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = empty_workspace()
    for name in ("NER_STATE_URL", "NER_STATE_URL_FILE", "NER_GATEWAY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert state.store_url(workspace) == f"sqlite:///{workspace.root}/.run/state.db"
    assert state.new_token(workspace) != state.new_token(workspace)
    for name, content in (("NER_STATE_URL_FILE", "postgresql://a:b@host/c"), ("NER_GATEWAY_TOKEN_FILE", "shared")):
        (tmp_path / name).write_text(f"{content}\n")
        monkeypatch.setenv(name, str(tmp_path / name))
    assert state.store_url(workspace) == "postgresql://a:b@host/c"
    assert state.new_token(workspace) == state.token_file(workspace).read_text() == "shared"
    monkeypatch.setenv("NER_STATE_URL", "sqlite:///elsewhere")
    assert state.store_url(workspace) == "sqlite:///elsewhere"
    passed_on = without_secrets(os.environ)
    assert not {"NER_STATE_URL", "NER_STATE_URL_FILE", "NER_GATEWAY_TOKEN_FILE"} & passed_on.keys()


def test_a_gateway_loads_no_mlflow_for_its_store() -> None:
    code = "import sys, multiner.serving.gateway.app; print('sqlalchemy' in sys.modules, 'mlflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]
