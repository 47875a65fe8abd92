"""Requests that wait for a model together are asked together, and each gets what it would have got alone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable
from typing import Any

import httpx
import pytest

from multiner.serving.answers import ModelFailed
from multiner.serving.backends.backend import ServedModel
from multiner.serving.routing.micro_batching import CHARACTERS, TEXTS, MicroBatcher
from multiner.serving.routing.queue import CallQueue, CallsFull
from tests.serving.waiting import settle, until


class Model:
    """A backend that answers a text with itself, once it may."""

    def __init__(self) -> None:
        self.model = ServedModel("en", "ner-en", "1", "unused")
        self.calls: list[list[str]] = []
        self.free = asyncio.Event()

    async def answer(self, texts: list[str]) -> list[list[dict[str, Any]]]:
        self.calls.append(list(texts))
        await self.free.wait()
        if "BAD" in texts:
            raise ModelFailed("bad")
        return [[{"text": text}] for text in texts]


def gatherer(model: Model, queue: CallQueue, called: list[int]) -> MicroBatcher:
    return MicroBatcher(lambda call: queue.run(lambda: call(model)), called.append)


async def busy(gathered: MicroBatcher, texts: list[list[str]]) -> list[asyncio.Task[Any]]:
    """A call under way, and further requests that wait behind it."""
    tasks = []
    for each in [["first"], *texts]:
        tasks.append(asyncio.create_task(gathered.answer(each)))
        await settle(5)
    return tasks


def test_what_waits_is_asked_in_one_call_and_each_gets_its_own() -> None:
    async def main() -> None:
        model, called = Model(), []
        tasks = await busy(gatherer(model, CallQueue(1, 10), called), [["a"], ["b", "c"], ["d"]])
        model.free.set()
        answers = [found for _, found, _ in await asyncio.gather(*tasks)]
        assert answers == [[[{"text": text}] for text in texts] for texts in (["first"], ["a"], ["b", "c"], ["d"])]
        assert model.calls == [["first"], ["a", "b", "c", "d"]]
        assert called == [1, 4]

    asyncio.run(main())


def test_calls_stay_small_and_large_requests_go_alone() -> None:
    async def main() -> None:
        model, large = Model(), "x" * CHARACTERS
        waiting = [["a"], [large], ["b"], *([str(number)] for number in range(TEXTS))]
        tasks = await busy(gatherer(model, CallQueue(1, 30), []), waiting)
        model.free.set()
        await asyncio.gather(*tasks)
        numbers = [str(number) for number in range(TEXTS)]
        assert model.calls == [["first"], ["a", "b", *numbers[:-2]], [large], numbers[-2:]]

    asyncio.run(main())


def test_only_the_request_that_the_model_fails_over_bears_it() -> None:
    async def main() -> None:
        model = Model()
        tasks = await busy(gatherer(model, CallQueue(1, 10), []), [["a"], ["BAD"], ["c"]])
        model.free.set()
        first, a, bad, c = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(bad, ModelFailed)
        assert [found for _, found, _ in (first, a, c)] == [[[{"text": text}]] for text in ("first", "a", "c")]

    asyncio.run(main())


def test_who_leaves_is_not_asked_and_takes_nobody_along() -> None:
    async def main() -> None:
        model, queue = Model(), CallQueue(1, 10)
        gathered = gatherer(model, queue, [])
        first, gone, stays = await busy(gathered, [["gone"], ["stays"]])
        gone.cancel()
        await settle(5)
        assert queue.waiting == 1
        first.cancel()  # its call is under way; the others must not lose their turns
        model.free.set()
        assert (await stays)[1] == [[{"text": "stays"}]]
        assert model.calls == [["first"], ["stays"]]
        with pytest.raises(asyncio.CancelledError):
            await gone

    asyncio.run(main())


def test_who_asked_first_may_leave_a_call_that_carries_others() -> None:
    async def main() -> None:
        model = Model()
        first, leader, other = await busy(gatherer(model, CallQueue(1, 10), []), [["leader"], ["other"]])
        model.free.set()
        await first
        model.free.clear()
        await settle(5)
        assert model.calls[-1] == ["leader", "other"]
        leader.cancel()
        await settle(5)
        model.free.set()
        assert (await other)[1] == [[{"text": "other"}]]

    asyncio.run(main())


def test_a_full_queue_refuses_only_whom_it_has_no_place_for() -> None:
    async def main() -> None:
        model = Model()
        tasks = await busy(gatherer(model, CallQueue(1, 2), []), [["a"], ["b"], ["c"]])
        with pytest.raises(CallsFull):
            await tasks.pop()
        model.free.set()
        assert [found[0][0]["text"] for _, found, _ in await asyncio.gather(*tasks)] == ["first", "a", "b"]

    asyncio.run(main())


def test_the_gateway_gathers(harness: Any) -> None:
    async def main() -> tuple[list[httpx.Response], list[list[str]], str]:
        made = harness(concurrency=1)
        async with made.client() as client:
            backend = made.backend("en")

            def post(text: str) -> Awaitable[httpx.Response]:
                return client.post("/v1/entities", json={"text": text, "language": "en"})

            first = asyncio.create_task(post("WAIT"))
            await until(lambda: backend.seen)
            rest = [asyncio.create_task(post(text)) for text in ("Anna", "CRASH", "Boris")]
            await until(lambda: made.service.routes["en"].queue.waiting)
            await settle()
            backend.held = False
            await first
            return await asyncio.gather(*rest), backend.seen, (await client.get("/metrics")).text

    (anna, crash, boris), seen, metrics = asyncio.run(main())
    assert [each.status_code for each in (anna, crash, boris)] == [200, 502, 200]
    assert boris.json()["results"][0]["entities"][0]["text"] == "Boris"
    assert seen == [["WAIT"], ["Anna", "CRASH", "Boris"], ["Anna"], ["CRASH"], ["Boris"]]
    assert 'ner_texts_total{language="en"} 3' in metrics


@pytest.mark.parametrize("at_once", [1, 2, 4])
def test_nobody_is_left_behind_however_calls_and_requests_fall_together(at_once: int) -> None:
    """A turn whose own request was answered on another's leaves in the very moment in which it comes."""
    chance = random.Random(at_once)

    async def ticks(most: int) -> None:
        for _ in range(chance.randrange(most)):
            await asyncio.sleep(0)

    class Quick(Model):
        async def answer(self, texts: list[str]) -> list[list[dict[str, Any]]]:
            await ticks(12)
            return [[{"text": text}] for text in texts]

    async def request(gathered: MicroBatcher, number: int) -> None:
        await ticks(200)
        task = asyncio.create_task(gathered.answer([str(number)]))
        if number % 7 == 0:
            await ticks(12)
            task.cancel()
        try:
            async with asyncio.timeout(5):
                assert (await task)[1] == [[{"text": str(number)}]]
        except asyncio.CancelledError:
            assert number % 7 == 0

    async def main() -> None:
        for _ in range(20):
            gathered = gatherer(Quick(), CallQueue(at_once, 1000), [])
            await asyncio.gather(*(request(gathered, number) for number in range(100)))

    asyncio.run(main())
