"""Canaries: a new champion gets a share of the calls, and takes over or is rolled back; no call is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from multiner.pipeline.config.settings import Workspace, overlay
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry.failures import RegistryUnavailable
from multiner.pipeline.registry.journal import switches
from multiner.pipeline.registry.journal.former_switches import ROLLED_BACK
from multiner.pipeline.registry.store import open_store
from multiner.serving.backends.backend import ServedModel
from multiner.serving.gateway.config import workspace_config
from multiner.serving.routing import inference_service
from multiner.serving.routing.canary import calls as canary_calls
from multiner.serving.routing.canary.calls import agreement
from multiner.serving.routing.canary.rule import LOSSES, CanaryCounts
from multiner.serving.routing.memory_budget import OutOfMemory
from tests.serving.routing.canary.trials import (
    ENDLESS,
    RULE,
    TEXT,
    Registry,
    ask,
    ask_until,
    begin,
    live,
    order,
    record,
    run,
    until,
    wrong,
)
from tests.serving.routing.twins import entity
from tests.serving.stand_in import find


def test_an_equal_version_takes_over(harness: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "serving")

    async def use(client: httpx.AsyncClient, gateway: Any, registry: Registry) -> tuple[Any, ...]:
        await begin(gateway, registry)
        assert (await order(client, "reconcile", insist=False))["action"] == "canary"
        versions = await ask_until(client, lambda: live(gateway) == "2")
        await until(lambda: record(gateway).state == "passed")
        (english, _) = (await client.get("/v1/models")).json()["models"]
        page = (await client.get("/models")).text
        await until(lambda: registry.notices)
        return versions, english["canary"], (await client.get("/metrics")).text, page, registry.notices

    versions, canary, metrics, page, notices = run(harness, use)
    assert versions == {"1", "2"}
    assert (canary["version"], canary["against"], canary["state"]) == ("2", "1", "passed")
    assert canary["counts"]["calls"] >= RULE.calls
    assert notices[0].startswith("passed ner-en version 2 takes over from version 1: ")
    assert 'ner_canary_ended_total{language="en",outcome="passed"} 1.0' in metrics
    assert 'ner_canary_calls_total{language="en",outcome="answered"}' in metrics
    assert "Version 2 took over" in page
    assert [each.getMessage() for each in caplog.records if "canary " in each.getMessage()] == [
        "canary begins",
        "canary passed",
    ]


def other(text: str) -> list[dict[str, Any]]:
    return [each | {"label": "LOC"} for each in find(text)]


def unsure(text: str) -> list[dict[str, Any]]:
    return [each | {"score": 0.5} for each in find(text)]


@pytest.mark.faults("a canary that fails")
@pytest.mark.parametrize(
    ("finder", "reason"), [(wrong, "calls failed"), (other, "had other entities"), (unsure, "had other scores")]
)
def test_a_worse_version_is_rolled_back_and_no_call_is_lost(
    harness: Any, caplog: pytest.LogCaptureFixture, finder: Any, reason: str
) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any, registry: Registry) -> tuple[set[str], list[str], dict, str]:
        await begin(gateway, registry)
        versions = await ask_until(client, lambda: registry.champions["en"] == "1")
        await until(lambda: record(gateway).state == "rolled_back")
        await until(lambda: registry.notices)
        assert registry.notices[0].startswith("failed ner-en version 2 is rolled back to version 1: ")
        assert live(gateway) == "1"
        assert gateway.service.routes["en"].canary is None
        assert await ask_until(client, lambda: record(gateway).adopted == "1") == set()
        health = (await client.get("/health")).json()["languages"]["en"]["canary"]
        return versions, registry.reasons, health, (await client.get("/models")).text

    versions, reasons, canary, page = run(harness, use, finders={"2": finder})
    assert versions == ({"1"} if finder is wrong else {"1", "2"})
    assert len(reasons) == 1
    assert reason in reasons[0]
    assert (canary["state"], reason in canary["reason"]) == ("rolled_back", True)
    assert reason in page
    assert any("canary failed" in each.getMessage() for each in caplog.records)


def test_a_slow_version_is_rolled_back(harness: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def taking(seconds: float) -> Callable[[str], list[dict[str, Any]]]:
        def finder(text: str) -> list[dict[str, Any]]:
            nonlocal now
            now += seconds
            return find(text)

        return finder

    clock = SimpleNamespace(perf_counter=lambda: now)
    monkeypatch.setattr(inference_service, "time", clock)
    monkeypatch.setattr(canary_calls, "time", clock)

    async def use(client: httpx.AsyncClient, gateway: Any, registry: Registry) -> list[str]:
        await begin(gateway, registry)
        await ask_until(client, lambda: registry.champions["en"] == "1")
        return registry.reasons

    (reason,) = run(harness, use, slowdown=3.0, finders={"1": taking(1.0), "2": taking(4.0)})
    assert "were slower" in reason


def test_a_version_that_fails_as_the_one_before_does_is_not_blamed(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any, registry: Registry) -> int:
        await begin(gateway, registry)
        for number in range(20):
            body = {"text": "CRASH", "language": "en"}
            response = await client.post("/v1/entities", json=body, headers={"X-Conversation-ID": str(number)})
            assert response.status_code == 502
        await ask_until(client, lambda: record(gateway).counts.compared)
        return record(gateway).counts.failures

    assert run(harness, use, ENDLESS) == 0


def test_a_canary_that_hangs_holds_nobody_up(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any, registry: Registry) -> None:
        await begin(gateway, registry)
        gateway.service.routes["en"].live.held = False
        calls = gateway.service.canaries["en"].calls
        calls._patience = 0.05
        body = {"text": "WAIT", "language": "en"}
        posts = (client.post("/v1/entities", json=body, headers={"X-Conversation-ID": str(i)}) for i in range(40))
        for response in await asyncio.gather(*posts):
            assert response.json()["results"][0]["model"]["version"] == "1"
        await until(lambda: record(gateway).counts.failures)
        gateway.service.routes["en"].canary.held = False

    run(harness, use, ENDLESS)


def test_a_canary_whose_process_dies_again_and_again_is_rolled_back(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any, registry: Registry) -> list[str]:
        await begin(gateway, registry)
        route = gateway.service.routes["en"]
        for losses in range(1, LOSSES + 1):
            route.canary.kill()
            assert await ask(client, "a") == "1"
            await until(lambda losses=losses: record(gateway).counts.losses == losses)
            await until(lambda: route.canary or registry.champions["en"] == "1")
        await until(lambda: record(gateway).state == "rolled_back")
        return registry.reasons

    assert run(harness, use, ENDLESS) == [f"canary: its process ended {LOSSES} times"]


def test_the_canary_stands_in_when_the_live_process_dies(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any, registry: Registry) -> None:
        await begin(gateway, registry)
        gateway.refuse = lambda model: NerError("it does not come up") if model.version == "1" else None
        gateway.service.routes["en"].live.kill()
        assert {await ask(client, str(number)) for number in range(10)} == {"2"}
        health = (await client.get("/health")).json()["languages"]["en"]
        assert (health["state"], health["version"]) == ("restarting", "2")

    run(harness, use, ENDLESS)


def test_a_warm_version_that_stands_in_is_no_measure_of_the_canary(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any, registry: Registry) -> tuple[set[str], CanaryCounts]:
        await order(client, "deploy", version="5")
        await until(lambda: record(gateway).adopted == "5")
        await begin(gateway, registry, "6")
        gateway.refuse = lambda model: NerError("it does not come up") if model.version == "5" else None
        gateway.service.routes["en"].live.kill()
        versions = {await ask(client, str(number)) for number in range(20)}
        await until(lambda: record(gateway).counts.calls)
        return versions, record(gateway).counts

    versions, counts = run(harness, use, ENDLESS, finders={"1": other}, keep_previous=True)
    assert versions == {"1", "6"}
    assert (counts.compared, counts.different) == (0, 0)


def test_with_too_little_traffic_it_takes_over_when_the_time_is_up(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any, registry: Registry) -> str:
        registry.champions["en"] = "2"
        await until(lambda: live(gateway) == "2")
        return record(gateway).reason

    assert "the time is up" in run(harness, use, replace(RULE, seconds=0.001))


def test_a_request_for_a_version_gets_the_live_one(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any, registry: Registry) -> set[int]:
        await begin(gateway, registry)
        body = {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": [TEXT]}]}
        responses = [await client.post("/v2/models/ner-en/versions/1/infer", json=body) for _ in range(20)]
        return {response.status_code for response in responses}

    assert run(harness, use, ENDLESS) == {200}


@pytest.mark.parametrize("way", ["alias", "no alias", "rollback", "deploy", "reconcile"])
def test_an_operator_ends_the_canary(harness: Any, way: str) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any, registry: Registry) -> str | None:
        await begin(gateway, registry)
        if way == "alias":  # as `ner rollback` moves it
            registry.champions["en"] = "1"
        elif way == "no alias":
            registry.champions["en"] = None
        else:
            answer = await order(client, way, **({"version": "3"} if way == "deploy" else {}))
            assert answer["status"] == 200, answer
        await until(lambda: record(gateway).state == "ended")
        assert gateway.service.routes["en"].canary is None
        versions = {await ask(client, str(number)) for number in range(20)}
        assert versions == {live(gateway)}
        assert registry.reasons == [], "the alias is the operator's"
        if way == "rollback":
            assert (await order(client, "reconcile", insist=False))["action"] == "held"
            assert (await order(client, "reconcile"))["version"] == "2", "an order needs no canary"
        return live(gateway)

    expected = {"alias": "1", "no alias": "1", "rollback": "2", "deploy": "3", "reconcile": "2"}[way]
    assert run(harness, use, ENDLESS) == expected


def test_after_a_hold_a_new_champion_is_compared_with_what_was_held(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any, registry: Registry) -> tuple[str, str]:
        await order(client, "deploy", version="5")
        await until(lambda: record(gateway).adopted == "5")
        registry.champions["en"] = "6"
        await until(lambda: record(gateway).state == "running")
        return record(gateway).version, record(gateway).against

    assert run(harness, use, ENDLESS) == ("6", "5")


def test_another_champion_in_mid_canary_begins_another_canary(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any, registry: Registry) -> tuple[str, int]:
        await begin(gateway, registry)
        await ask_until(client, lambda: record(gateway).counts.calls)
        registry.champions["en"] = "3"
        route = gateway.service.routes["en"]
        await until(lambda: route.canary and route.canary.model.version == "3")
        return record(gateway).against, record(gateway).counts.calls

    assert run(harness, use, ENDLESS) == ("1", 0)


def test_a_version_that_was_rolled_back_is_tried_again_once_it_is_champion_again(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any, registry: Registry) -> None:
        await begin(gateway, registry)
        await ask_until(client, lambda: registry.champions["en"] == "1")
        await until(lambda: record(gateway).state == "rolled_back")
        registry.champions["en"] = "2"
        await until(lambda: record(gateway).state == "running")
        assert record(gateway).number == 2

    run(harness, use, finders={"2": wrong})


def test_while_the_registry_fails_the_version_before_answers_all(
    harness: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any, registry: Registry) -> None:
        await begin(gateway, registry)
        registry.refusals = [RegistryUnavailable("database is locked", transient=True) for _ in range(3)]
        await ask_until(client, lambda: record(gateway).state == "failed")
        await until(lambda: gateway.service.routes["en"].canary is None)
        await until(lambda: registry.champions["en"] == "1")
        await until(lambda: record(gateway).state == "rolled_back")

    run(harness, use, finders={"2": wrong})
    assert sum("database is locked" in str(getattr(each, "fields", "")) for each in caplog.records) == 1


def test_where_it_does_not_fit_beside_the_others_it_takes_over_at_once(harness: Any) -> None:
    refusals = [OutOfMemory("it does not fit", transient=True)]

    def refuse(model: ServedModel) -> Exception | None:
        return refusals.pop() if model.version == "2" and refusals else None

    async def use(client: httpx.AsyncClient, gateway: Any, registry: Registry) -> None:
        registry.champions["en"] = "2"
        await until(lambda: live(gateway) == "2")
        await until(lambda: record(gateway).adopted == "2")

    run(harness, use, ENDLESS, refuse=refuse)


def test_a_canary_that_does_not_come_up_changes_nothing(harness: Any) -> None:
    launches = []

    def refuse(model: ServedModel) -> Exception | None:
        launches.append(model.version)
        return NerError("the probe failed") if model.version == "2" else None

    async def use(client: httpx.AsyncClient, gateway: Any, registry: Registry) -> None:
        registry.champions["en"] = "2"
        await until(lambda: "probe failed" in gateway.service.reconcilers["en"]._error)
        assert await ask(client, "a") == "1"
        assert launches.count("2") == 1

    run(harness, use, ENDLESS, refuse=refuse)


def test_agreement_of_answers() -> None:
    person, place = entity(0, 4, "PER"), entity(9, 14, "LOC")
    assert agreement([[]], [[]]) == 1.0
    assert agreement([[person]], [[]]) == 0.0
    assert agreement([[person, place]], [[person]]) == pytest.approx(2 / 3)
    assert agreement([[person], [place]], [[place], [person]]) == 0.0, "each text has its own entities"


@pytest.mark.slow  # a registry, real but small
def test_the_registry_goes_back_and_its_journal_says_why(stocked: Workspace) -> None:
    share = {"serving": {"canary_share": 0.1}}
    workspace = replace(stocked, params=overlay(stocked.params, share))
    config = workspace_config(workspace, "token")
    assert config.canary is not None
    with pytest.raises(NerError, match="version 2 is champion, not version 7"):
        config.canary.roll_back("en", "7", "1", "canary: 6 of 40 calls failed")
    config.canary.roll_back("en", "2", "1", "canary: 6 of 40 calls failed")
    client = open_store(workspace)
    latest = switches(client, "ner-en")[0]
    assert (latest.kind, latest.before, latest.version) == ("rollback", "2", "1")
    assert (latest.by, latest.reason) == ("the gateway's canary", "canary: 6 of 40 calls failed")
    assert ROLLED_BACK in client.get_model_version("ner-en", "2").tags, "the gate does not promote it again by itself"
