"""What is served comes to what the registry says, from any state; operators and the registry's faults included."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from multiner.pipeline.core.errors import NerError
from multiner.serving.backends.local_server import free_port
from multiner.serving.routing import memory_budget as keeping
from multiner.serving.routing import model_router as switching
from multiner.serving.routing import reconciler as reconciling
from tests.serving.waiting import settle, until

OPERATOR = {"authorization": "Bearer a-token-for-tests"}
TICK = 0.02  # seconds between looks at the registry


class Counted(dict):
    """Champions that count how often they are looked up."""

    looks = 0

    def get(self, *key: Any) -> Any:
        self.looks += 1
        return super().get(*key)


class Unreadable(dict):
    """Champions that cannot be read."""

    def get(self, *key: Any) -> Any:
        raise OSError("database is locked")


def run(harness: Any, use: Callable[[httpx.AsyncClient, Any], Awaitable[Any]], **settings: Any) -> Any:
    async def main() -> Any:
        made = harness(**{"reconcile_seconds": TICK} | settings)
        async with made.client() as client:
            return await use(client, made)

    return asyncio.run(main())


async def timer(made: Any, times: int = 3) -> None:
    """Wait until the timer has looked at the registry so often, and done what follows."""
    made.champions = champions = Counted(made.champions)
    await until(lambda: champions.looks > times * len(made.config.languages))


def live(made: Any) -> str | None:
    backend = made.service.routes["en"].live
    return backend.model.version if backend else None


async def answered_by(client: httpx.AsyncClient) -> str:
    response = await client.post("/v1/entities", json={"text": "Anna"})
    assert response.status_code == 200, response.text
    return response.json()["results"][0]["model"]["version"]


async def order(client: httpx.AsyncClient, what: str, **value: Any) -> dict[str, Any]:
    answer = await client.post(f"/admin/{what}", json={"language": "en", **value}, headers=OPERATOR)
    return answer.json() | {"status": answer.status_code}


def launches(made: Any) -> list[str]:
    return [backend.model.version for backend in made.launched if backend.model.language == "en"]


def test_the_gateway_follows_the_champion(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, made: Any) -> list[str]:
        for version in ("2", "1", "3"):  # a promotion, a rollback, a promotion
            made.champions["en"] = version
            await until(lambda version=version: live(made) == version)
            assert await answered_by(client) == version
        del made.champions["en"]  # an alias taken away does not take the service away
        await timer(made)
        assert await answered_by(client) == "3"
        return launches(made)

    assert run(harness, use) == ["1", "2", "3"], "what is warm is not started again"


def test_a_first_champion_is_served_without_a_restart(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, made: Any) -> None:
        assert (await client.get("/ready")).status_code == 503
        assert (await client.get("/live")).status_code == 200, "a container without a champion is not started again"
        made.champions["en"] = "1"
        await until(lambda: live(made) == "1")

    run(harness, use, champions={"ru": "1"})


def test_without_a_timer_only_an_order_moves_it(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, made: Any) -> tuple[str | None, dict[str, Any]]:
        made.champions["en"] = "2"
        await settle()
        before = live(made)
        return before, await order(client, "reconcile")

    before, answer = run(harness, use, reconcile_seconds=0)
    assert before == "1"
    assert (answer["action"], answer["version"], answer["previous"]) == ("switched", "2", "1")


def test_an_unreadable_registry_changes_nothing_and_is_told_once(
    harness: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def use(client: httpx.AsyncClient, made: Any) -> tuple[int, dict[str, Any]]:
        reconciler, champions = made.service.reconcilers["en"], made.champions
        made.champions = Unreadable()
        await until(lambda: reconciler._unread >= 2)
        assert await answered_by(client) == "1"
        refused = await order(client, "reconcile")
        told = sum("database is locked" in str(getattr(record, "fields", "")) for record in caplog.records)
        made.champions = champions | {"en": "2"}
        await until(lambda: live(made) == "2")
        return told, refused

    told, refused = run(harness, use)
    assert told == 3, "once for each language, and the refused order"
    assert (refused["status"], refused["type"]) == (503, "urn:ner:problem:no-registry")
    assert "database is locked" in refused["detail"]


def test_a_gateway_that_starts_before_its_registry_serves_once_it_is_there(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, made: Any) -> None:
        assert (await client.get("/health")).json()["languages"]["en"]["state"] == "failed"
        made.champions = {"en": "1", "ru": "1"}
        await until(lambda: live(made) == "1")

    run(harness, use, champions=Unreadable())


def test_a_version_that_does_not_come_up_is_left_alone_for_a_while(
    harness: Any, caplog: pytest.LogCaptureFixture
) -> None:
    tried = []

    def refuse(model: Any) -> Exception | None:
        tried.append(model.version)
        return NerError("the probe failed") if model.version == "2" else None

    async def use(client: httpx.AsyncClient, made: Any) -> dict[str, Any]:
        made.champions["en"] = "2"
        await until(lambda: "2" in tried)
        await timer(made)
        assert tried.count("2") == 1
        assert await answered_by(client) == "1"
        watched = await order(client, "reconcile", insist=False)
        assert (watched["status"], watched["detail"], tried.count("2")) == (409, "the probe failed", 1)
        assert (await order(client, "reconcile"))["status"] == 409
        assert tried.count("2") == 2, "an operator's order tries at once"
        made.champions["en"] = "3"
        await until(lambda: live(made) == "3")
        return watched

    run(harness, use, refuse=refuse)
    assert sum("reconciling failed" in record.getMessage() for record in caplog.records) == 1


def test_a_version_that_does_not_come_up_is_tried_again_after_the_pause(
    harness: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciling, "REFUSED_PAUSES", (0.05,))
    tried = []

    def refuse(model: Any) -> Exception | None:
        tried.append(model.version)
        return NerError("no memory") if tried.count("2") in (1, 2) and model.version == "2" else None

    async def use(client: httpx.AsyncClient, made: Any) -> None:
        made.champions["en"] = "2"
        await until(lambda: live(made) == "2")

    run(harness, use, refuse=refuse)
    assert tried.count("2") == 3


@pytest.mark.parametrize("way", ["deploy", "rollback"])
def test_an_operators_choice_stands_until_the_champion_is_another(harness: Any, way: str) -> None:
    async def use(client: httpx.AsyncClient, made: Any) -> None:
        made.champions["en"] = "2"
        await until(lambda: live(made) == "2")
        assert (await order(client, way, **({"version": "1"} if way == "deploy" else {})))["version"] == "1"
        await timer(made)
        assert live(made) == "1"
        assert (await order(client, "reconcile", insist=False))["action"] == "held"
        made.champions["en"] = "3"
        await until(lambda: live(made) == "3")
        await order(client, "deploy", version="1")
        assert (await order(client, "reconcile"))["version"] == "3", "told to follow the registry again"

    run(harness, use)


def hold_launches(made: Any, version: str) -> asyncio.Event:
    """Let launches of ``version`` wait, from now on, until the event is set."""
    go_on, plain = asyncio.Event(), made.launch

    async def launch(model: Any) -> Any:
        backend = await plain(model)
        if model.version == version:
            await go_on.wait()
        return backend

    made.service.routes["en"]._pool._launch = launch
    return go_on


@pytest.mark.parametrize(
    ("way", "version"), [("rollback", {}), ("deploy", {"version": "1"}), ("deploy", {"version": "4"})]
)
def test_an_operators_choice_during_the_launch_of_a_champion_stands(
    harness: Any, way: str, version: dict[str, str]
) -> None:
    async def use(client: httpx.AsyncClient, made: Any) -> None:
        made.champions["en"] = "2"
        await order(client, "reconcile")
        go_on = hold_launches(made, "3")
        made.champions["en"] = "3"
        tick = asyncio.create_task(order(client, "reconcile", insist=False))
        await until(lambda: "3" in launches(made))
        route = made.service.routes["en"]
        orders = route._orders
        choice = asyncio.create_task(order(client, way, **version))
        await until(lambda: route._orders > orders)
        go_on.set()
        await asyncio.gather(tick, choice)
        chosen = version.get("version", "1")
        for _ in range(2):
            assert (await order(client, "reconcile", insist=False))["action"] == "held"
            assert live(made) == chosen
        made.champions["en"] = "5"
        await order(client, "reconcile", insist=False)
        assert live(made) == "5"

    run(harness, use, reconcile_seconds=0)


def test_a_rollback_stands_when_a_deployment_before_it_fails(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, made: Any) -> None:
        made.champions["en"] = "2"
        await order(client, "reconcile")
        starting, go_on = asyncio.Event(), asyncio.Event()

        async def fail(model: Any) -> Any:
            starting.set()
            await go_on.wait()
            raise NerError("the probe failed")

        made.service.routes["en"]._pool._launch = fail
        deployment = asyncio.create_task(order(client, "deploy", version="3"))
        await starting.wait()
        await order(client, "rollback")
        go_on.set()
        assert (await deployment)["status"] == 409
        assert (await order(client, "reconcile", insist=False))["action"] == "held"
        assert live(made) == "1"

    run(harness, use, reconcile_seconds=0)


def test_a_rollback_does_not_wait_for_a_version_that_is_starting(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, made: Any) -> tuple[dict[str, Any], dict[str, Any], list[bool]]:
        go_on = hold_launches(made, "3")
        made.champions["en"] = "2"
        await order(client, "reconcile")
        starting = asyncio.create_task(order(client, "deploy", version="3"))
        await until(lambda: "3" in launches(made))
        made.champions["en"] = "1"
        back = await order(client, "reconcile")
        assert await answered_by(client) == "1"
        go_on.set()
        overtaken = await starting
        await until(lambda: not made.launched[-1].alive)
        return back, overtaken, [backend.alive for backend in made.launched if backend.model.language == "en"]

    back, overtaken, alive = run(harness, use, reconcile_seconds=0)
    assert (back["action"], back["version"]) == ("rolled back", "1")
    assert (overtaken["action"], overtaken["version"]) == ("overtaken", "1")
    assert alive == [True, True, False]


def test_the_warm_version_stands_in_while_the_live_one_is_started_again(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, made: Any) -> tuple[Any, ...]:
        route, go_on, plain = made.service.routes["en"], asyncio.Event(), made.launch

        async def slow(model: Any) -> Any:
            await go_on.wait()
            return await plain(model)

        await order(client, "deploy", version="2")
        route._pool._launch = slow
        waiting = asyncio.create_task(client.post("/v1/entities", json={"text": ["WAIT"], "language": "en"}))
        await until(lambda: made.launched[-1].seen[-1] == ["WAIT"])
        made.launched[-1].kill()
        await until(lambda: route.state == "restarting")
        versions = [await answered_by(client) for _ in range(3)]
        health = (await client.get("/health")).json()
        ready = (await client.get("/ready")).status_code
        made.launched[-1].held = False
        in_flight = (await waiting).status_code
        go_on.set()
        await until(lambda: route.state == "live")
        return versions, health, ready, in_flight, await answered_by(client), route.describe()["previous"]

    versions, health, ready, in_flight, after, previous = run(harness, use, reconcile_seconds=0)
    assert versions == ["1", "1", "1"]
    english = health["languages"]["en"]
    assert (health["status"], english["state"], english["version"]) == ("degraded", "restarting", "1")
    assert english["detail"] == "the version before stands in"
    assert ready == 200
    assert in_flight == 200
    assert (after, previous) == ("2", "1"), "the version that stood in stays warm"


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), ValueError("Anna"), NerError("no")]
)
def test_a_dead_version_is_started_again_whatever_its_first_restart_fails_with(
    harness: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(switching, "RESTART_PAUSES", (0,))
    refusals: list[Exception] = []

    async def use(client: httpx.AsyncClient, made: Any) -> dict[str, Any]:
        route, told = made.service.routes["en"], []
        first, plain = route.live, route._pool._launch

        async def failing(model: Any) -> Any:
            told.append(route.describe())
            if refusals:
                raise refusals.pop()
            return await plain(model)

        route._pool._launch = failing
        refusals.append(error)
        first.kill()
        await until(lambda: route.state == "live" and route.live is not first)
        assert await answered_by(client) == "1"
        return told[1]

    told = run(harness, use)
    assert told["state"] == "restarting"
    assert told["detail"], "while it is tried again, the state says why"
    assert "Anna" not in told["detail"]
    assert sum(record.getMessage() == "restart failed" for record in caplog.records) == 1


def test_an_order_whose_process_cannot_be_started_is_refused_and_forgotten(harness: Any) -> None:
    def refuse(model: Any) -> Exception | None:
        return OSError(errno.EMFILE, "Too many open files") if model.version == "2" else None

    async def use(client: httpx.AsyncClient, made: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return await order(client, "deploy", version="2"), await order(client, "reconcile", insist=False)

    refused, after = run(harness, use, refuse=refuse, reconcile_seconds=0)
    assert (refused["status"], "Too many open files" in refused["detail"]) == (409, True)
    assert (after["action"], after["version"]) == ("nothing to do", "1")


def test_what_may_pass_by_itself_is_asked_again_at_the_next_look(harness: Any) -> None:
    """An endpoint that is not there yet costs nothing to ask, unlike a version whose process has to be started."""
    refusals = [NerError("the endpoint does not answer", transient=True)] * 3

    async def use(client: httpx.AsyncClient, made: Any) -> str:
        await until(lambda: live(made) == "1")
        return await answered_by(client)

    def refuse(model: Any) -> Exception | None:
        return refusals.pop() if refusals and model.language == "en" else None

    assert run(harness, use, refuse=refuse) == "1"


def test_memory_that_cannot_be_read_stops_no_switch(harness: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable() -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    async def use(client: httpx.AsyncClient, made: Any) -> None:
        monkeypatch.setattr(keeping, "available_bytes", unreadable)
        made.champions["en"] = "2"
        await until(lambda: live(made) == "2")
        assert made.service.routes["en"].previous is None

    run(harness, use)


def test_a_process_whose_server_has_died_is_replaced_at_once(harness: Any) -> None:
    """MLflow's parent process, which the gateway started, takes seconds to notice."""

    async def use(client: httpx.AsyncClient, made: Any) -> tuple[list[int], bool]:
        route = made.service.routes["en"]
        first, port = route.live, free_port()

        async def refuse(request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("connection refused")

        first.port, first._client = port, httpx.AsyncClient(transport=httpx.MockTransport(refuse), base_url="http://s")
        statuses = [(await client.post("/v1/entities", json={"text": "Anna"})).status_code]
        ready = (await client.get("/ready")).status_code
        await until(lambda: route.state == "live" and route.live is not first)
        statuses.append((await client.post("/v1/entities", json={"text": "Anna"})).status_code)
        return [*statuses, ready], first.alive

    assert run(harness, use, reconcile_seconds=0) == ([503, 200, 503], False)


def test_a_request_whose_process_dies_is_asked_again_of_what_is_alive(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, made: Any) -> tuple[httpx.Response, httpx.Response]:
        await order(client, "deploy", version="2")
        old, new = (backend for backend in made.launched if backend.model.language == "en")
        _dies_over_requests(new)
        saved = await client.post("/v1/entities", json={"text": ["Anna", "Maria"]})
        _dies_over_requests(old)
        return saved, await client.post("/v1/entities", json={"text": "Anna"})

    saved, lost = run(harness, use, reconcile_seconds=0)
    assert saved.status_code == 200
    assert [result["model"]["version"] for result in saved.json()["results"]] == ["1", "1"]
    assert lost.status_code == 503
    assert int(lost.headers["retry-after"]) > 0


def _dies_over_requests(backend: Any) -> None:
    async def gone(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("connection reset")

    backend._client = httpx.AsyncClient(transport=httpx.MockTransport(gone), base_url="http://model")


def test_the_version_before_stays_warm_while_memory_permits(harness: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    size = 100
    monkeypatch.setattr(keeping, "available_bytes", lambda: 2 * size + 1)

    async def use(client: httpx.AsyncClient, made: Any) -> list[tuple[str, bool]]:
        stand_in = type(made.launched[0])
        monkeypatch.setattr(stand_in, "memory", size, raising=False)
        made.champions["en"] = "2"
        await until(lambda: live(made) == "2")
        await timer(made)
        assert made.service.routes["en"].previous.model.version == "1"
        monkeypatch.setattr(keeping, "available_bytes", lambda: 2 * size)  # memory grows tight later
        await until(lambda: made.service.routes["en"].previous is None)
        made.champions["en"] = "3"
        await until(lambda: live(made) == "3")
        await until(lambda: not made.launched[-2].alive)
        return [(backend.model.version, backend.alive) for backend in made.launched if backend.model.language == "en"]

    assert run(harness, use) == [("1", False), ("2", False), ("3", True)]


def test_the_version_that_stands_in_is_not_stopped_for_memory(harness: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(client: httpx.AsyncClient, made: Any) -> str:
        await order(client, "deploy", version="2")
        route = made.service.routes["en"]
        route._lock = asyncio.Lock()
        await route._lock.acquire()  # the restart waits
        monkeypatch.setattr(keeping, "available_bytes", lambda: -1)
        route.live.kill()
        await until(lambda: route.state == "restarting")
        await timer(made)
        version = await answered_by(client)
        route._lock.release()
        await until(lambda: route.state == "live")
        return version

    assert run(harness, use) == "1"


def test_available_memory_is_the_containers_where_that_is_less(tmp_path: Path) -> None:
    machine = keeping.available_bytes(tmp_path)
    assert machine > 0
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("3000\n")
    (tmp_path / "memory.stat").write_text("anon 2000\ninactive_file 400\n")
    assert keeping.available_bytes(tmp_path) == 2400
    (tmp_path / "memory.max").write_text("max\n")
    assert keeping.available_bytes(tmp_path) > 2400


def test_insist_is_checked(harness: Any) -> None:
    assert run(harness, lambda client, made: order(client, "reconcile", insist="yes"))["status"] == 422


def test_the_log_tells_versions(harness: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "serving")

    async def use(client: httpx.AsyncClient, made: Any) -> None:
        made.champions["en"] = "2"
        await until(lambda: live(made) == "2")

    run(harness, use)
    told = [record.fields for record in caplog.records if record.getMessage() == "live"]
    assert {"language": "en", "name": "ner-en", "version": "2"} in told
