"""Who may give orders to the gateway, and in which form."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from multiner.serving.http.problems import Problem
from multiner.serving.operator import authorization
from multiner.serving.operator.authorization import Attempts

OPERATOR = {"authorization": "Bearer a-token-for-tests"}
ORIGIN = {"origin": "http://gateway"}
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/admin/actions"),
        ("GET", "/admin/actions/x"),
        ("POST", "/admin/actions"),
        ("DELETE", "/admin/session"),
        ("GET", "/models/actions"),
        ("POST", "/admin/deploy"),
    ],
)
@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"cookie": "ner_session=made-up"}])
def test_nothing_without_the_token(harness: Any, method: str, path: str, headers: dict[str, str]) -> None:
    async def main() -> httpx.Response:
        async with harness().client() as client:
            return await client.request(method, path, headers=headers, json={})

    response = asyncio.run(main())
    assert response.status_code == 401
    assert response.json()["type"] == "urn:ner:problem:token"


async def sign_in(
    client: httpx.AsyncClient, token: str = OPERATOR["authorization"][7:], **headers: str
) -> httpx.Response:
    return await client.post("/admin/session", json={"token": token}, headers=ORIGIN | headers)


def test_a_session_is_a_cookie_that_scripts_and_other_sites_cannot_use(harness: Any) -> None:
    async def main() -> None:
        async with harness().client() as client:
            response = await sign_in(client)
            assert response.status_code == 204
            cookie = response.headers["set-cookie"]
            for word in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age=43200"):
                assert word in cookie
            assert "a-token-for-tests" not in cookie
            assert (await client.get("/admin/actions")).status_code == 200
            assert 'data-signed-in="yes"' in (await client.get("/models")).text
            bad = {"action": "nothing"}
            for origin in ({"origin": "http://gateway:5000"}, {"origin": "null"}, {}):
                assert (await client.post("/admin/actions", json=bad, headers=origin)).status_code == 403
            assert (await client.post("/admin/actions", json=bad, headers=ORIGIN)).status_code == 422
            form = {"content-type": "application/x-www-form-urlencoded"}
            assert (await client.post("/admin/actions", content=b"a=b", headers=ORIGIN | form)).status_code == 415
            assert (await sign_in(client, origin="http://elsewhere")).status_code == 403
            cookies = dict(client.cookies)
            assert (await client.delete("/admin/session", headers=ORIGIN)).status_code == 204
            client.cookies.update(cookies)
            assert (await client.get("/admin/actions")).status_code == 401, "the session has ended, not only its cookie"

    asyncio.run(main())


def test_wrong_tokens_are_counted_but_never_lock_the_right_bearer_out(harness: Any) -> None:
    async def main() -> None:
        async with harness().client() as client:
            odd = {"content": b'{"token": "wrong \\udcff"}', "headers": ORIGIN | JSON}
            statuses = [(await client.post("/admin/session", **odd)).status_code for _ in range(6)]
            assert statuses == [401] * 5 + [429]
            refused = await sign_in(client)
            assert refused.status_code == 429, "also the right one, or the count would be of no use"
            assert 0 < int(refused.headers["retry-after"]) <= 60
            wrong = {"authorization": "Bearer wrong"}
            statuses = [(await client.get("/admin/actions", headers=wrong)).status_code for _ in range(6)]
            assert statuses == [401] * 5 + [429]
            assert (await client.get("/admin/actions", headers=OPERATOR)).status_code == 200

    asyncio.run(main())


def test_attempts_are_forgiven_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(authorization, "WRONG_TOKENS", 2)
    monkeypatch.setattr(authorization, "time", SimpleNamespace(monotonic=lambda: now))
    attempts = Attempts()
    for now in (0.0, 30.0):  # noqa: B007 - the clock reads it
        attempts.check("a")
        attempts.failed("a")
    with pytest.raises(Exception, match="Try again in 30 s"):
        attempts.check("a")
    attempts.check("b")
    now = 61.0
    attempts.check("a")


def test_of_many_addresses_the_last_to_fail_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authorization, "ADDRESSES", 1000)
    monkeypatch.setattr(authorization, "WRONG_TOKENS", 1)
    attempts = Attempts()
    for number in range(3000):
        attempts.failed(str(number))
    for number in range(2000):
        attempts.check(str(number))
    for number in range(2000, 3000):
        with pytest.raises(Problem, match="Try again"):
            attempts.check(str(number))


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "/action"),
        ({"action": "explode"}, "/action"),
        ({"action": ["retrain"]}, "/action"),
        ({"action": "retrain"}, "/language"),
        ({"action": "retrain", "language": "de"}, "/language"),
        ({"action": "retrain", "language": ["en"]}, "/language"),
        ({"action": "validate", "language": "en"}, "/language"),
        ({"action": "deploy", "language": "en", "champion": "2"}, "/champion"),
        ({"action": "rollback", "language": "en", "champion": 2}, "/champion"),
        ({"action": "deploy", "language": "en", "reason": "why not"}, "/reason"),
        ({"action": "rollback", "language": "en", "reason": ["why"]}, "/reason"),
        ({"action": "rollback", "language": "en", "reason": "x" * 201}, "/reason"),
        ({"action": "validate", "force": True}, None),
        ([], None),
    ],
)
def test_orders_are_checked(harness: Any, body: Any, where: str | None) -> None:
    async def main() -> httpx.Response:
        async with harness().client() as client:
            return await client.post("/admin/actions", content=json.dumps(body), headers=JSON | OPERATOR)

    response = asyncio.run(main())
    assert (response.status_code, response.json().get("where")) == (422, where)
