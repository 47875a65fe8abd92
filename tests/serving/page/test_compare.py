"""Two versions on a text, for operators."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from multiner.pipeline.core.errors import NerError
from multiner.serving.routing import second_version
from tests.serving.sending import TOKEN
from tests.serving.waiting import until

OPERATOR = {"Authorization": f"Bearer {TOKEN}"}
FORM = {"text": "Anna met Tom.", "language": "en", "version": "2"}


def only_tom(text: str) -> list[dict[str, Any]]:
    start = text.find("Tom")
    return [{"start": start, "end": start + 3, "text": "Tom", "label": "PER", "score": 0.9}] if start >= 0 else []


def use(gateway: Any, work: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with gateway.client() as client:
            return await work(client)

    return asyncio.run(main())


async def signed_in(client: httpx.AsyncClient) -> dict[str, str]:
    response = await client.post("/admin/session", json={"token": TOKEN})
    return {"Cookie": response.headers["set-cookie"].partition(";")[0], "Origin": "http://gateway"}


def test_both_versions_answer_side_by_side(harness: Any) -> None:
    gateway = harness(finders={"2": only_tom})

    async def work(client: httpx.AsyncClient) -> tuple[str, int, list[str]]:
        session = await signed_in(client)
        html = (await client.post("/compare", data=FORM, headers=session)).text
        await client.post("/compare", data=FORM, headers=session)
        loaded = [backend.model.version for backend in gateway.launched]
        return html, gateway.service.routes["en"].live.model.version, loaded

    html, live, loaded = use(gateway, work)
    assert live == "1", "what is live stays so"
    assert sorted(loaded) == ["1", "1", "2"], "the version is loaded once for both texts"
    assert re.findall(r"<h2 id=\"side-\d\">([^<]+)</h2>", html) == ["ner-en version 1 (live)", "ner-en version 2"]
    assert re.findall(r'<mark class="([^"]+)">(\w+)', html) == [
        ("type-PER same", "Anna"),
        ("type-PER", "Tom"),
        ("type-PER", "Tom"),
    ]
    assert not any(backend.alive for backend in gateway.launched), "it ends with the gateway"


def test_another_version_takes_its_place(harness: Any) -> None:
    gateway = harness()

    async def work(client: httpx.AsyncClient) -> list[str]:
        session = await signed_in(client)
        for version in ("2", "3"):
            assert (await client.post("/compare", data=FORM | {"version": version}, headers=session)).status_code == 200
        return [backend.model.version for backend in gateway.launched if backend.alive]

    assert sorted(use(gateway, work)) == ["1", "1", "3"]


def test_an_idle_version_is_unloaded(harness: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_version, "IDLE_SECONDS", 0)
    gateway = harness()

    async def work(client: httpx.AsyncClient) -> None:
        await client.post("/compare", data=FORM, headers=await signed_in(client))
        await until(lambda: [each.model.version for each in gateway.launched if each.alive] == ["1", "1"])

    use(gateway, work)


def test_what_cannot_be_compared_is_told(harness: Any) -> None:
    gateway = harness(refuse=lambda model: NerError("no room") if model.version == "9" else None)

    async def work(client: httpx.AsyncClient) -> list[httpx.Response]:
        session = await signed_in(client)
        forms = [{"version": "9"}, {"version": "x"}, {"language": "de"}]
        return [await client.post("/compare", data=FORM | form, headers=session) for form in forms]

    refused, no_number, no_language = use(gateway, work)
    assert refused.status_code == 409
    assert "no room. The live version answers as before." in refused.text
    assert no_number.status_code == no_language.status_code == 422


def test_only_operators_may_load_a_version(harness: Any) -> None:
    async def work(client: httpx.AsyncClient) -> tuple[httpx.Response, httpx.Response]:
        return await client.get("/compare"), await client.post("/compare", data=FORM)

    page, order = use(harness(), work)
    assert "sign in as operator" in page.text
    assert order.status_code == 401
