"""Canaries of several gateways, and over restarts: all count together, and a conversation stays with one version."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from multiner.pipeline.core.errors import NerError
from multiner.serving.backends.backend import ServedModel
from multiner.serving.routing.canary.rule import CanaryRule
from multiner.serving.routing.state_store import StateStore
from tests.serving.routing.canary.trials import (
    ENDLESS,
    RULE,
    TEXT,
    Registry,
    ask,
    ask_until,
    begin,
    live,
    record,
    until,
    wrong,
)


def test_a_conversation_stays_with_one_version_at_all_gateways(harness: Any, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    registry = Registry()

    async def version(client: httpx.AsyncClient, headers: dict[str, str]) -> str:
        response = await client.post("/v1/entities", json={"text": TEXT, "language": "en"}, headers=headers)
        return response.json()["results"][0]["model"]["version"]

    async def main() -> None:
        async with AsyncExitStack() as stack:
            gateways = [harness(**registry.settings(ENDLESS) | {"state": StateStore(url)}) for _ in range(2)]
            clients = [await stack.enter_async_context(gateway.client()) for gateway in gateways]
            await until(lambda: all(record(gateway).adopted == "1" for gateway in gateways))
            for gateway in gateways:
                await begin(gateway, registry)
            seen = {}
            for name in map(str, range(12)):
                seen[name] = {await version(client, {"X-Conversation-ID": name}) for client in clients}
                seen[name] |= {await version(client, {"X-Request-ID": f"{name}.7"}) for client in clients}
                seen[name] |= {await version(clients[0], {"X-Conversation-ID": name, "X-Request-ID": "other"})}
            assert all(len(versions) == 1 for versions in seen.values())
            assert {version for versions in seen.values() for version in versions} == {"1", "2"}
            invoked = {}
            for name in seen:
                body, headers = {"inputs": [TEXT]}, {"X-Conversation-ID": name}
                response = await clients[0].post("/v1/en/invocations", json=body, headers=headers)
                invoked[name] = {response.headers["x-model"].removeprefix("ner-en/")}
            assert invoked == seen

    asyncio.run(main())


def test_gateways_count_together_and_end_together(harness: Any, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    registry = Registry()

    async def main() -> None:
        async with AsyncExitStack() as stack:
            gateways = [harness(**registry.settings() | {"state": StateStore(url)}) for _ in range(2)]
            clients = [await stack.enter_async_context(gateway.client()) for gateway in gateways]
            await until(lambda: all(record(gateway).adopted == "1" for gateway in gateways))
            for gateway in gateways:
                await begin(gateway, registry)
            half = RULE.calls // 2
            await ask_until(clients[0], lambda: record(gateways[0]).counts.calls >= half)
            await ask_until(clients[1], lambda: live(gateways[1]) == "2")
            await until(lambda: live(gateways[0]) == "2")
            assert record(gateways[0]).number == record(gateways[1]).number == 1
            registry.champions["en"] = "3"
            for gateway in gateways:
                gateway.finders["3"] = wrong
            await until(lambda: all(gateway.service.routes["en"].canary for gateway in gateways))
            await ask_until(clients[0], lambda: registry.champions["en"] == "2")
            await until(lambda: not any(gateway.service.routes["en"].canary for gateway in gateways))
            assert [live(gateway) for gateway in gateways] == ["2", "2"]
            assert len(registry.reasons) == 1

    asyncio.run(main())


def test_a_restart_goes_on_with_the_canary(harness: Any, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    registry = Registry()

    def gateway(rule: CanaryRule) -> Any:
        return harness(**registry.settings(rule) | {"state": StateStore(url)})

    async def main() -> None:
        first = gateway(ENDLESS)
        async with first.client() as client:
            await until(lambda: record(first).adopted == "1")
            await begin(first, registry)
            await ask_until(client, lambda: record(first).counts.calls >= 5)
        second = gateway(ENDLESS)
        async with second.client() as client:
            await until(lambda: second.service.routes["en"].canary)
            assert [each.model.version for each in second.launched if each.model.language == "en"] == ["1", "2"]
            assert live(second) == "1"
            assert record(second).counts.calls >= 5
            assert record(second).number == 1
        third = gateway(replace(RULE, seconds=0.001))
        async with third.client() as client:
            await until(lambda: live(third) == "2")
        async with gateway(ENDLESS).client() as client:
            assert await ask(client, "a") == "2", "a canary that has passed is not repeated"

    asyncio.run(main())


def test_a_restart_without_the_version_before_brings_the_champion_live(harness: Any, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    registry = Registry()

    def gone(model: ServedModel) -> Exception | None:
        return NerError("its files are gone") if model.version == "1" and model.language == "en" else None

    async def main() -> None:
        first = harness(**registry.settings(ENDLESS) | {"state": StateStore(url)})
        async with first.client():
            await until(lambda: record(first).adopted == "1")
            await begin(first, registry)
        second = harness(**registry.settings(ENDLESS) | {"state": StateStore(url), "refuse": gone})
        async with second.client():
            await until(lambda: live(second) == "2")
            await until(lambda: record(second).state == "ended")

    asyncio.run(main())


def test_records_are_forgotten_where_canaries_are_off(harness: Any, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    registry = Registry()

    async def main() -> None:
        first = harness(**registry.settings(ENDLESS) | {"state": StateStore(url)})
        async with first.client():
            await until(lambda: record(first).adopted == "1")
        registry.champions["en"] = "2"
        without = harness(champions=registry.champions, state=StateStore(url))
        async with without.client() as client:
            assert await ask(client, "a") == "2"
            assert (await client.get("/health")).json()["languages"]["en"]["canary"] is None
            await without.service._tasks[-1]
        again = harness(**registry.settings(ENDLESS) | {"state": StateStore(url)})
        async with again.client() as client:
            assert await ask(client, "a") == "2"
            await until(lambda: record(again).adopted == "2")

    asyncio.run(main())
