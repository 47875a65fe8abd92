"""What the tests of canaries share: a registry, a gateway that follows it, and requests to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from multiner.pipeline.core.errors import NerError
from multiner.serving.http.payload import Limits
from multiner.serving.routing.canary.course import CanaryConfig
from multiner.serving.routing.canary.rule import CanaryRule
from tests.serving import waiting
from tests.serving.routing.twins import entity
from tests.serving.stand_in import find
from tests.serving.waiting import settle

OPERATOR = {"authorization": "Bearer a-token-for-tests"}
TICK = 0.02  # seconds between looks at the registry
RULE = CanaryRule(calls=20, seconds=3600.0, different=0.3)
ENDLESS = CanaryRule(calls=10**6, seconds=3600.0, different=0.3)
TEXT = "Anna met Maria Keller in Oslo"


class Registry:
    """The alias of English, as the gateway moves it back."""

    def __init__(self) -> None:
        self.champions: dict[str, str | None] = {"en": "1", "ru": "1"}
        self.reasons: list[str] = []
        self.notices: list[str] = []
        self.refusals: list[NerError] = []  # raised by the next attempts to move the alias

    def roll_back(self, language: str, version: str, target: str, reason: str) -> str:
        if self.refusals:
            raise self.refusals.pop()
        assert self.champions[language] == version
        self.champions[language] = target
        self.reasons.append(reason)
        return target

    def notify(self, text: str, **facts: str) -> None:
        self.notices.append(f"{facts['verdict']} {text}")

    def settings(self, rule: CanaryRule = RULE, slowdown: float = 1e6) -> dict[str, Any]:
        """A gateway's settings; the clock matters only to tests that set ``slowdown``."""
        return {
            "canary": CanaryConfig(0.75, rule, slowdown, self.roll_back, self.notify),
            "reconcile_seconds": TICK,
            "champions": self.champions,
            "limits": Limits(4, 1000, 60),
        }


Use = Callable[[httpx.AsyncClient, Any, Registry], Awaitable[Any]]


async def until(condition: Callable[[], Any]) -> None:
    """Wait for a condition, however busy the machine is."""
    await waiting.until(condition, 60)


def run(harness: Any, use: Use, rule: CanaryRule = RULE, slowdown: float = 1e6, **settings: Any) -> Any:
    registry = Registry()

    async def main() -> Any:
        gateway = harness(**registry.settings(rule, slowdown) | settings)
        async with gateway.client() as client:
            await until(lambda: gateway.service.canaries["en"].record.adopted == "1")
            return await use(client, gateway, registry)

    return asyncio.run(main())


def live(gateway: Any) -> str | None:
    backend = gateway.service.routes["en"].live
    return backend.model.version if backend else None


def record(gateway: Any) -> Any:
    return gateway.service.canaries["en"].record


async def begin(gateway: Any, registry: Registry, version: str = "2") -> None:
    """Make a version champion, and wait until it gets calls."""
    registry.champions["en"] = version
    await until(lambda: gateway.service.canaries["en"].calls._number is not None)
    assert gateway.service.routes["en"].canary.model.version == version


async def ask(client: httpx.AsyncClient, conversation: str) -> str:
    """The version that answers a request; its comparison has ended."""
    headers = {"X-Conversation-ID": conversation}
    response = await client.post("/v1/entities", json={"text": TEXT, "language": "en"}, headers=headers)
    assert response.status_code == 200, response.text
    await settle(60)
    return response.json()["results"][0]["model"]["version"]


async def ask_until(client: httpx.AsyncClient, condition: Callable[[], Any]) -> set[str]:
    """Ask in ever new conversations until the condition holds; the versions that answered."""
    versions = set()
    for number in range(2000):
        if condition():
            return versions
        versions.add(await ask(client, str(number)))
    raise AssertionError("the condition never held")


async def order(client: httpx.AsyncClient, kind: str, **value: Any) -> dict[str, Any]:
    answer = await client.post(f"/admin/{kind}", json={"language": "en", **value}, headers=OPERATOR)
    return answer.json() | {"status": answer.status_code}


def wrong(text: str) -> list[dict[str, Any]]:
    """An answer with impossible offsets, to the text of this test alone: the probe is answered."""
    return [entity(0, 999, "PER")] if text == TEXT else find(text)
