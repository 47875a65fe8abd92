"""What blocks has threads of its own: live traffic is answered whatever hangs, and in its time."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from multiner.serving.http.payload import Limits
from multiner.serving.operator import facts_reader, model_facts
from multiner.serving.operator.facts_reader import FactsReader
from multiner.serving.routing import inference_service

MANY = 40  # more than asyncio's own executor has threads, on any machine
OPERATOR = {"authorization": "Bearer a-token-for-tests"}


def test_a_long_text_is_answered_while_the_registry_and_the_facts_hang(
    harness: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    over, asked = threading.Event(), []

    def hang(*_: Any) -> None:
        asked.append(1)
        over.wait(20)

    async def main() -> tuple[httpx.Response, httpx.Response]:
        made = harness(reconcile_seconds=0)
        monkeypatch.setattr(facts_reader, "PATIENCE", 0)
        reader = FactsReader(SimpleNamespace())
        async with made.client() as client:
            monkeypatch.setattr(made.service.reconcilers["en"], "_resolve", hang)
            monkeypatch.setattr(model_facts, "read", hang)
            for _ in range(MANY):
                reader.forget()
                await reader.of("en", None)
            orders = [
                asyncio.create_task(client.post("/admin/reconcile", json={"language": "en"}, headers=OPERATOR))
                for _ in range(MANY)
            ]
            try:
                async with asyncio.timeout(10):
                    while len(asked) < 3:  # both threads for facts, and one of the registry's at least
                        await asyncio.sleep(0.005)
                    monkeypatch.setattr(inference_service, "LONG", 10)
                    long = await client.post("/v1/entities", json={"text": "Anna met Bertha. Анна видела Берту."})
                    short = await client.post("/v1/entities", json={"text": "Anna"})
            finally:
                over.set()
                await asyncio.gather(*orders)
            return long, short

    long, short = asyncio.run(main())
    assert (long.status_code, short.status_code) == (200, 200)
    assert [entity["text"] for entity in long.json()["results"][0]["entities"]] == ["Anna", "Bertha", "Анна", "Берту"]


def test_planning_counts_within_the_time(harness: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(inference_service, "LONG", 3)

    async def main() -> tuple[httpx.Response, list[list[str]]]:
        made = harness(limits=Limits(4, 1000, 0.3))
        async with made.client() as client:
            backend = made.backend("en")
            monkeypatch.setattr(made.service, "_plans", lambda items: over.wait(10))
            try:
                return await client.post("/v1/entities", json={"text": "Anna"}), backend.seen
            finally:
                over.set()

    response, seen = asyncio.run(main())
    assert (response.status_code, response.json()["type"]) == (504, "urn:ner:problem:timeout")
    assert seen == []


def test_the_model_has_the_time_that_planning_has_left(harness: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> httpx.Response:
        made = harness()
        async with made.client() as client:
            begun = asyncio.get_running_loop().time()
            monkeypatch.setattr(made.service, "_deadline", lambda patient: begun)  # all of it is gone
            return await client.post("/v1/entities", json={"text": "WAIT", "language": "en"})

    assert asyncio.run(main()).status_code == 504
