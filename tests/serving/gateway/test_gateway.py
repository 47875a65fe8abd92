"""The gateway over its ASGI interface: answers, errors, limits, switching."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

import multiner
from multiner.pipeline.core.errors import NerError
from multiner.serving.gateway.app import listen
from multiner.serving.http.payload import Limits
from tests.serving.waiting import until

JSON = {"content-type": "application/json"}
OPERATOR = {"authorization": "Bearer a-token-for-tests"}


def ask(harness: Any, use: Callable[[httpx.AsyncClient, Any], Awaitable[Any]], **settings: Any) -> Any:
    async def main() -> Any:
        gateway = harness(**settings)
        async with gateway.client() as client:
            return await use(client, gateway)

    return asyncio.run(main())


def post(harness: Any, body: Any, headers: dict[str, str] = JSON, **settings: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ask(harness, lambda client, _: client.post("/v1/entities", content=content, headers=headers), **settings)


def test_a_text_and_a_list_answer_alike(harness: Any) -> None:
    alone = post(harness, {"text": "Maria Keller met Anna."})
    listed = post(harness, {"text": ["Maria Keller met Anna."], "language": "en"})
    assert alone.status_code == 200
    assert alone.json() == listed.json()
    result = alone.json()["results"][0]
    assert result["language"] == "en"
    assert result["model"] == {"name": "ner-en", "version": "1"}
    assert [(entity["start"], entity["end"], entity["text"]) for entity in result["entities"]] == [
        (0, 12, "Maria Keller"),
        (17, 21, "Anna"),
    ]


def test_auto_sends_each_text_to_its_language_and_keeps_the_order(harness: Any) -> None:
    response = post(harness, {"text": ["Anna", "Анна", "", "Oleg"]})
    results = response.json()["results"]
    assert [result["language"] for result in results] == ["en", "ru", "en", "en"]
    assert [[entity["text"] for entity in result["entities"]] for result in results] == [
        ["Anna"],
        ["Анна"],
        [],
        ["Oleg"],
    ]


def test_no_texts_no_results(harness: Any) -> None:
    assert post(harness, {"text": []}).json() == {"results": []}


@pytest.mark.parametrize("text", ["\ud800Anna\udfff Bo", "🙂 Anna\r\n\u0000Bo", "e\u0301Anna\u202e Bo"])
def test_offsets_are_code_points_of_the_text_as_sent(harness: Any, text: str) -> None:
    response = post(harness, {"text": text})
    assert response.status_code == 200
    entities = response.json()["results"][0]["entities"]
    assert entities
    assert all(text[entity["start"] : entity["end"]] == entity["text"] for entity in entities)


@pytest.mark.parametrize(
    ("body", "headers", "status", "where"),
    [
        (b"{", JSON, 400, None),
        (b"", JSON, 400, None),
        (b"\xff{}", JSON, 400, None),
        (b"[" * 100_00, JSON, 400, None),
        (b'{"text": ' + b"9" * 6000 + b"}", JSON, 400, None),
        (b'{"text": "a"}', {"content-type": "text/plain"}, 415, None),
        (b'{"text": "a"}', {}, 415, None),
        (["a"], JSON, 422, None),
        ({}, JSON, 422, "/text"),
        ({"text": 5}, JSON, 422, "/text"),
        ({"text": None}, JSON, 422, "/text"),
        ({"text": ["a", 5]}, JSON, 422, "/text/1"),
        ({"text": "a", "language": "de"}, JSON, 422, "/language"),
        ({"text": "a", "language": ["en"]}, JSON, 422, "/language"),
        ({"text": "a", "lang": "en"}, JSON, 422, None),
        ({"text": ["a"] * 5}, JSON, 413, "/text"),
        ({"text": ["a" * 600, "b" * 600]}, JSON, 413, "/text"),
        ({"text": "a" * 50_000}, JSON, 413, None),
        ({"text": "CRASH"}, JSON, 502, None),
        ({"text": "WRONG"}, JSON, 502, None),
        ({"text": "SLOW"}, JSON, 504, None),
        ({"text": "DEAD"}, JSON, 503, None),
    ],
)
def test_errors_have_one_shape(
    harness: Any, body: Any, headers: dict[str, str], status: int, where: str | None
) -> None:
    response = post(harness, body, headers)
    problem = response.json()
    assert response.status_code == problem["status"] == status
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["request_id"] == response.headers["x-request-id"]
    assert problem["type"].startswith("urn:ner:problem:")
    assert problem.get("where") == where
    assert problem["title"]
    assert len(response.content) < 600, "an error must not echo its input"
    assert "Traceback" not in response.text
    assert "/srv" not in response.text
    assert ("retry-after" in response.headers) == (status == 503)


def test_limits_are_named(harness: Any) -> None:
    assert "at most 4" in post(harness, {"text": ["a"] * 5}).json()["detail"]
    assert "at most 1000" in post(harness, {"text": "a" * 1001}).json()["detail"]
    assert post(harness, {"text": "я" * 1000}).status_code == 200


def test_a_body_is_refused_before_it_is_read_whole(harness: Any) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100_000_000:
            sent += 10_000
            yield b"x" * 10_000

    async def use(client: httpx.AsyncClient, gateway: Any) -> httpx.Response:
        return await client.post("/v1/entities", content=endless(), headers=JSON)

    response = ask(harness, use)
    assert response.status_code == 413
    assert sent < 100_000


def test_a_body_that_does_not_come_is_not_waited_for(harness: Any) -> None:
    async def stalled() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(30)

    async def use(client: httpx.AsyncClient, gateway: Any) -> httpx.Response:
        return await client.post("/v1/entities", content=stalled(), headers=JSON)

    assert ask(harness, use, limits=Limits(4, 1000, 0.1)).status_code == 408


@pytest.mark.parametrize("given", ["job-7.a", "bad id\u00e9"])
def test_request_ids_are_kept_where_they_are_plain(harness: Any, given: str) -> None:
    response = post(harness, {"text": ""}, JSON | {"x-request-id": given.encode("latin-1")})
    assert (response.headers["x-request-id"] == given) == given.isascii()


def test_unknown_paths_and_methods(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> list[httpx.Response]:
        return [
            await client.get("/v1/entities"),
            await client.get("/nothing"),
            await client.get("/static/../gateway.py"),
        ]

    responses = ask(harness, use)
    assert [response.status_code for response in responses] == [405, 404, 404]
    assert all(response.json()["request_id"] for response in responses)


def test_health_models_and_openapi(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> tuple[httpx.Response, ...]:
        return await client.get("/health"), await client.get("/v1/models"), await client.get("/openapi.json")

    health, models, openapi = ask(harness, use, champions={"en": "7", "ru": None})
    assert health.status_code == 200
    assert health.json()["status"] == "degraded"
    assert health.json()["languages"]["ru"]["state"] == "absent"
    assert [model["version"] for model in models.json()["models"]] == ["7", None]
    assert openapi.json()["info"]["version"] == multiner.__version__
    paths = set(openapi.json()["paths"])
    protocol = {path for path in paths if f"{path}/".startswith("/v2/")}
    assert len(protocol) == 9
    assert paths - protocol == {
        "/v1/entities",
        "/v1/entities/stream",
        "/v1/{language}/invocations",
        "/v1/{language}/label-studio/health",
        "/v1/{language}/label-studio/predict",
        "/v1/{language}/label-studio/setup",
        "/v1/{language}/label-studio/webhook",
        "/v1/{language}/token-classification",
        "/v1/models",
        "/v1/documents",
        "/v1/parallel",
        "/health",
        "/live",
        "/ready",
        "/metrics",
    }


def test_while_the_models_start_health_says_so(harness: Any) -> None:
    async def main() -> tuple[httpx.Response, httpx.Response]:
        async with harness().client(settle=False) as client:
            return await client.get("/health"), await client.post("/v1/entities", json={"text": "Anna"})

    health, answer = asyncio.run(main())
    assert health.status_code == 503
    assert health.json()["status"] == "starting"
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0


def test_only_the_token_opens_the_admin_endpoints(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> list[int]:
        body = {"language": "en", "version": "2"}
        tries = [{}, {"authorization": "Bearer wrong"}, {"authorization": "Bearer \u00e9".encode("latin-1")}]
        return [
            (await client.post(path, json=body, headers=headers)).status_code
            for path in ("/admin/deploy", "/admin/rollback")
            for headers in tries
        ]

    assert ask(harness, use) == [401] * 6


def test_switch_and_roll_back(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> tuple[list[str], list[tuple[str, bool]]]:
        def deploy(version: str) -> Awaitable[httpx.Response]:
            return client.post("/admin/deploy", json={"language": "en", "version": version}, headers=OPERATOR)

        actions = [(await deploy(version)).json()["action"] for version in ("1", "2", "1", "2", "3")]
        rolled = await client.post("/admin/rollback", json={"language": "en"}, headers=OPERATOR)
        actions += [rolled.json()["action"], rolled.json()["version"], rolled.json()["previous"]]
        await until(lambda: not gateway.launched[0].alive or not gateway.launched[1].alive)
        return actions, [(each.model.version, each.alive) for each in gateway.launched if each.model.language == "en"]

    actions, backends = ask(harness, use)
    assert actions == ["nothing to do", "switched", "rolled back", "rolled back", "switched", "rolled back", "2", "3"]
    assert backends == [("1", False), ("2", True), ("3", True)], "the version before the one before is stopped"


def test_without_keeping_the_old_version_is_drained_and_stopped(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> tuple[httpx.Response, bool, bool]:
        old = next(backend for backend in gateway.launched if backend.model.language == "en")
        slow = asyncio.create_task(client.post("/v1/entities", json={"text": ["WAIT"], "language": "en"}))
        await until(lambda: old.seen and old.seen[-1] == ["WAIT"])
        await client.post("/admin/deploy", json={"language": "en", "version": "2"}, headers=OPERATOR)
        still = old.alive
        old.held = False
        response = await slow
        await until(lambda: not old.alive)
        return response, still, old.alive

    response, while_busy, after = ask(harness, use, keep_previous=False)
    assert response.status_code == 200
    assert response.json()["results"][0]["model"]["version"] == "1"
    assert while_busy
    assert not after


def test_a_version_that_fails_changes_nothing(harness: Any) -> None:
    def refuse(model: Any) -> Exception | None:
        return NerError("the probe failed") if model.version == "2" else None

    async def use(client: httpx.AsyncClient, gateway: Any) -> tuple[httpx.Response, httpx.Response, dict]:
        switch = await client.post("/admin/deploy", json={"language": "en", "version": "2"}, headers=OPERATOR)
        health = (await client.get("/health")).json()
        return switch, await client.post("/v1/entities", json={"text": "Anna"}), health

    switch, answer, health = ask(harness, use, refuse=refuse)
    assert switch.status_code == 409
    assert switch.json()["detail"] == "the probe failed"
    assert answer.json()["results"][0]["model"]["version"] == "1"
    assert health["languages"]["en"]["state"] == "live"


def test_switches_of_a_language_take_turns_and_lose_nothing(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> tuple[list[int], str]:
        done = False

        async def keep_asking() -> list[int]:
            codes = []
            while not done or len(codes) < 6:
                codes.append((await client.post("/v1/entities", json={"text": "Anna"})).status_code)
            return codes

        clients = [asyncio.create_task(keep_asking()) for _ in range(4)]
        await asyncio.gather(
            *(
                client.post("/admin/deploy", json={"language": "en", "version": version}, headers=OPERATOR)
                for version in "23452"
            )
        )
        done = True
        codes = [code for codes in await asyncio.gather(*clients) for code in codes]
        return codes, gateway.service.routes["en"].live.model.version

    codes, version = ask(harness, use)
    assert len(codes) > 20
    assert set(codes) == {200}
    assert version == "2"


def test_a_dead_version_is_started_again(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> tuple[str, int, int]:
        route = gateway.service.routes["en"]
        route.live.kill()
        await until(lambda: route.live is None)
        state = route.state
        meanwhile = (await client.post("/v1/entities", json={"text": "Anna"})).status_code
        await until(lambda: route.live)
        return state, meanwhile, (await client.post("/v1/entities", json={"text": "Anna"})).status_code

    assert ask(harness, use) == ("restarting", 503, 200)


@pytest.mark.parametrize("version", [2, "", "2; rm", None, "9" * 20, "\u0662", "²"])
def test_admin_bodies_are_checked(harness: Any, version: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> httpx.Response:
        return await client.post("/admin/deploy", json={"language": "en", "version": version}, headers=OPERATOR)

    assert ask(harness, use).status_code == 422


def test_a_version_has_one_name(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> None:
        await client.post("/admin/deploy", json={"language": "en", "version": "2"}, headers=OPERATOR)
        begun = len(gateway.launched)
        again = await client.post("/admin/deploy", json={"language": "en", "version": "02"}, headers=OPERATOR)
        assert (again.status_code, again.json()["version"]) == (200, "2")
        assert len(gateway.launched) == begun, "it is live already: no second process"

    ask(harness, use)


def test_a_failed_switch_tells_its_reason_but_no_log(harness: Any) -> None:
    def refuse(model: Any) -> Exception | None:
        return NerError("it did not load\n  | File /srv/x.py", where="/srv/log") if model.version == "2" else None

    async def use(client: httpx.AsyncClient, gateway: Any) -> httpx.Response:
        return await client.post("/admin/deploy", json={"language": "en", "version": "2"}, headers=OPERATOR)

    failed = ask(harness, use, refuse=refuse)
    assert (failed.status_code, failed.json()["detail"]) == (409, "it did not load")


@pytest.mark.parametrize("path", ["/v1/entities/", "/health/", "/favicon.ico", "/static", "/static/none.css", "/x"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_not_there_is_a_problem_and_no_redirect(harness: Any, path: str, method: str) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> httpx.Response:
        return await client.request(method, path)

    answer = ask(harness, use)
    expected = 405 if method == "POST" and path.startswith("/static/") else 404
    assert (answer.status_code, answer.headers["content-type"]) == (expected, "application/problem+json")


def test_answers_do_not_wait_for_an_acknowledgement() -> None:
    """The kernel holds a second small packet back for 40 ms, unless TCP_NODELAY is set."""

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            option.set_result(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    async def main() -> int:
        nonlocal option
        loop = asyncio.get_running_loop()
        option = loop.create_future()
        listener = listen("127.0.0.1", 0)
        server = await loop.create_server(Protocol, sock=listener)
        _, writer = await asyncio.open_connection(*listener.getsockname())
        nodelay = await option
        writer.close()
        server.close()
        return nodelay

    option: asyncio.Future[int]
    assert asyncio.run(main())
