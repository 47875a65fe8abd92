"""Shadow mode: what is counted, and that live traffic does not notice."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from multiner.pipeline.core.errors import NerError
from multiner.serving.answers import ModelFailed
from multiner.serving.backends.backend import BackendGone
from multiner.serving.http.middleware import JsonFormatter
from multiner.serving.routing import shadow as shadow_module
from multiner.serving.routing.answer_comparison import differences
from multiner.serving.routing.shadow import PLACES
from tests.serving.routing.twins import Shadowed, entity
from tests.serving.waiting import settle, until

TEXT = "Anna met Maria Keller in Oslo"
NOTHING = {"only_live": {}, "only_shadow": {}, "other_type": {}, "other_boundaries": {}}


@pytest.mark.parametrize(
    ("live", "shadow", "expected"),
    [
        ([], [], []),
        ([entity(0, 4, "PER")], [entity(0, 4, "PER")], []),
        ([entity(0, 4, "PER")], [], [("only_live", "PER")]),
        ([], [entity(0, 4, "LOC")], [("only_shadow", "LOC")]),
        ([entity(0, 4, "PER")], [entity(0, 4, "LOC")], [("other_type", "PER")]),
        ([entity(0, 9, "PER")], [entity(5, 9, "PER")], [("other_boundaries", "PER")]),
        ([entity(0, 4, "PER")], [entity(4, 8, "PER")], [("only_live", "PER"), ("only_shadow", "PER")]),
    ],
)
def test_kinds_of_difference(live: list, shadow: list, expected: list[tuple[str, str]]) -> None:
    assert sorted(differences(live, shadow)) == expected


def run(harness: Any, shadowed: Shadowed, use: Callable[[httpx.AsyncClient, Any], Awaitable[Any]], **more: Any) -> Any:
    async def main() -> Any:
        made = harness(**shadowed.settings, **more)
        async with made.client() as client:
            await until(lambda: made.service.shadows["en"].state != "starting" and made.service.shadows["en"].model)
            return await use(client, made)

    return asyncio.run(main())


async def entities(client: httpx.AsyncClient, text: Any = TEXT) -> dict[str, Any]:
    response = await client.post("/v1/entities", json={"text": text, "language": "en"})
    assert response.status_code == 200
    return response.json()["results"][0]


def test_differences_are_counted_and_logged_without_text(harness: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "serving")
    shadowed = Shadowed(lambda text: [entity(0, 4, "PER"), entity(9, 14, "PER"), entity(25, 29, "LOC")])

    async def use(client: httpx.AsyncClient, made: Any) -> tuple[Any, ...]:
        answer = await entities(client)
        assert answer["model"]["version"] == "1"
        assert {each["label"] for each in answer["entities"]} == {"PER"}, "the shadow's answer is never returned"
        found = made.service.shadows["en"].comparison
        await until(lambda: found.calls == 1)
        models = (await client.get("/v1/models")).json()["models"]
        return models, (await client.get("/metrics")).text

    (english, russian), metrics = run(harness, shadowed, use)
    assert russian["shadow"] is None
    counts = english["shadow"]
    assert (counts["name"], counts["version"], counts["state"], counts["against"]) == ("ner-en", "7", "live", "1")
    assert (counts["calls"], counts["different_calls"], counts["counted_since"] >= counts["since"]) == (1, 1, True)
    assert (counts["texts"], counts["different"], counts["dropped_calls"], counts["failed_calls"]) == (1, 1, 0, 0)
    assert counts["differences"] == NOTHING | {"other_boundaries": {"PER": 1}, "other_type": {"PER": 1}}
    assert counts["mean_ms"]["live"] > 0
    assert counts["mean_ms"]["shadow"] >= 0
    for line in (
        'ner_shadow_texts_total{language="en",outcome="different"} 1',
        'ner_shadow_differences_total{kind="other_type",language="en",type="PER"} 1',
        'ner_shadow_call_seconds_count{language="en",side="shadow"} 1',
        'ner_shadow_info{language="en",name="ner-en",version="7"} 1.0',
    ):
        assert line in metrics
    logged = [JsonFormatter().format(record) for record in caplog.records]
    (line,) = [json.loads(line) for line in logged if "shadow differs" in line]
    assert line["differences"] == {"other_boundaries PER": 1, "other_type PER": 1}
    assert not any(word in "\n".join(logged) for word in ("Anna", "Keller", "Oslo"))


def test_a_copy_is_asked_only_after_the_answer_was_sent(harness: Any, exchange: Any) -> None:
    shadowed = Shadowed()

    async def use(client: httpx.AsyncClient, made: Any) -> tuple[list[str], list[str]]:
        (twin,) = shadowed.twins
        asking = exchange(made.app, "/v1/entities", "application/json")
        asking.taking.clear()  # the caller does not read its answer yet
        backend = made.backend("en")
        asking.send(json.dumps({"text": TEXT}).encode(), more=False)
        await until(lambda: backend.ended == 1)
        await settle()
        before = list(twin.asked)
        asking.taking.set()
        await until(lambda: twin.asked)
        return before, twin.asked

    assert run(harness, shadowed, use) == ([], [TEXT])


def test_a_full_queue_drops_copies_and_delays_nobody(harness: Any) -> None:
    shadowed = Shadowed()

    async def use(client: httpx.AsyncClient, made: Any) -> tuple[int, int]:
        (twin,) = shadowed.twins
        twin.open.clear()
        await entities(client)
        await until(lambda: twin.asked)  # one is being asked, which takes no place
        for _ in range(PLACES + 3):
            await entities(client)
        dropped = made.service.shadows["en"].comparison.dropped
        twin.open.set()
        await until(lambda: made.service.shadows["en"].comparison.calls == PLACES + 1)
        return dropped, len(twin.asked)

    assert run(harness, shadowed, use) == (3, PLACES + 1)


def test_a_stream_that_goes_on_keeps_no_copy_and_no_place(harness: Any, exchange: Any) -> None:
    shadowed, lines = Shadowed(), PLACES + 3

    async def use(client: httpx.AsyncClient, made: Any) -> tuple[int, int]:
        shadow = made.service.shadows["en"]
        stream = exchange(made.app, "/v1/entities/stream", "application/jsonl")
        for number in range(1, lines + 1):
            stream.send(json.dumps({"text": TEXT, "language": "en"}).encode() + b"\n")
            if number == 1:
                assert await stream.status() == 200
            assert (await stream.line())["line"] == number
            await until(lambda number=number: shadow.comparison.calls == number)
        stalled = [exchange(made.app, "/v1/entities", "application/json") for _ in range(PLACES)]
        for each in stalled:  # nor do callers that do not take their answers
            each.taking.clear()
            each.send(json.dumps({"text": TEXT, "language": "en"}).encode(), more=False)
        await entities(client)
        await until(lambda: shadow.comparison.calls == lines + 1)
        stream.send(b"", more=False)
        for each in stalled:
            each.taking.set()
        await until(lambda: shadow.comparison.calls + shadow.comparison.dropped == lines + 1 + PLACES)
        return shadow.comparison.dropped, shadow.comparison.failures

    assert run(harness, shadowed, use, queue=PLACES + 1) == (0, 0)


@pytest.mark.parametrize("error", [ModelFailed("it quoted Anna"), BackendGone("gone"), ValueError("Anna")])
def test_a_shadow_that_fails_touches_nothing_else(
    harness: Any, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(text: str) -> list[dict[str, Any]]:
        raise error

    async def use(client: httpx.AsyncClient, made: Any) -> None:
        for number in (1, 2):
            await entities(client)
            await until(lambda number=number: made.service.shadows["en"].comparison.failures == number)

    run(harness, Shadowed(fail), use)
    assert "Anna" not in "\n".join(JsonFormatter().format(record) for record in caplog.records)


def test_a_shadow_that_dies_or_does_not_start_is_started_again_after_a_pause(
    harness: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow_module, "PAUSES", (0.05,))
    shadowed = Shadowed()

    async def use(client: httpx.AsyncClient, made: Any) -> None:
        shadow = made.service.shadows["en"]
        shadowed.refusal = NerError("it does not come up")
        shadowed.twins[0].dead.set()
        await until(lambda: shadow.state == "failed")
        await entities(client)
        assert (await client.get("/health")).json()["status"] == "ok"
        await until(lambda: shadowed.refused >= 2)
        assert len(shadowed.twins) == 1
        shadowed.refusal = None
        await until(lambda: shadow.state == "live" and len(shadowed.twins) == 2)
        await entities(client)
        await until(lambda: shadow.comparison.texts == 1)

    run(harness, shadowed, use)


def test_the_shadow_follows_the_aliases(harness: Any) -> None:
    shadowed = Shadowed()

    async def use(client: httpx.AsyncClient, made: Any) -> list[bool]:
        shadow = made.service.shadows["en"]
        await entities(client)
        await until(lambda: shadow.comparison.texts == 1)
        shadowed.challengers["en"] = "8"
        await until(lambda: shadow.state == "live" and shadow.model.version == "8")
        assert shadow.comparison.texts == 0, "another challenger is counted anew"
        made.champions["en"] = "2"
        await until(lambda: made.service.routes["en"].live.model.version == "2")
        await entities(client)
        await until(lambda: shadow.comparison.texts == 1)
        assert shadow.comparison.against == "2"
        made.champions["en"] = "8"  # the challenger is promoted
        await until(lambda: shadow.state == "off")
        await until(lambda: not shadowed.twins[-1].alive)
        assert (await client.get("/v1/models")).json()["models"][0]["shadow"] is None
        return [twin.alive for twin in shadowed.twins]

    assert run(harness, shadowed, use) == [False, False]


def test_only_a_share_is_copied(harness: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    draws = iter([0.1, 0.3, 0.249])
    monkeypatch.setattr(shadow_module.random, "random", lambda: next(draws))
    shadowed = Shadowed(share=0.25)

    async def use(client: httpx.AsyncClient, made: Any) -> int:
        for _ in range(3):
            await entities(client)
        await until(lambda: made.service.shadows["en"].comparison.calls == 2)
        return len(shadowed.twins[0].asked)

    assert run(harness, shadowed, use) == 2


def test_everything_ends_with_the_gateway(harness: Any) -> None:
    shadowed = Shadowed()

    async def use(client: httpx.AsyncClient, made: Any) -> None:
        shadowed.twins[0].open.clear()
        await entities(client)

    run(harness, shadowed, use)
    assert not shadowed.twins[0].alive


def test_the_page_shows_what_was_counted(harness: Any) -> None:
    answers = iter([[entity(0, 4, "PER"), entity(9, 14, "PER"), entity(25, 29, "PER")], None])
    shadowed = Shadowed(lambda text: next(answers))

    async def use(client: httpx.AsyncClient, made: Any) -> list[str]:
        pages = [(await client.get("/models")).text]
        for _ in range(2):  # another boundary; then a failure
            await entities(client)
        found = made.service.shadows["en"].comparison
        await until(lambda: (found.calls, found.failures) == (1, 1))
        pages.append((await client.get("/models")).text)
        shadowed.challengers["en"] = None
        await until(lambda: made.service.shadows["en"].model is None)
        return [*pages, (await client.get("/models")).text]

    fresh, counted, over = (page.split('id="shadow-ru"')[0] for page in run(harness, shadowed, use))
    assert "running since" in fresh
    assert "no call yet" in fresh
    assert "0, 0 differ" in fresh
    for text in ("Version 7", "version 1, since", "1, 1 differ", '<dd class="shadow-failed bad">1</dd>', "PER 1"):
        assert text in counted, text
    assert "no version waits as challenger" in over


def test_without_shadow_mode_the_page_says_nothing_of_it(harness: Any) -> None:
    async def main() -> str:
        async with harness().client() as client:
            return (await client.get("/models")).text

    assert "hallenger" not in asyncio.run(main())
