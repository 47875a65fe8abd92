"""The queue in front of a model."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from multiner.serving.gateway.routes import entities as routes
from multiner.serving.http.payload import Limits
from multiner.serving.routing import inference_service
from multiner.serving.routing.queue import CallQueue, CallsFull, Cores
from tests.serving.waiting import settle, until

JSON = "application/json"


def ask(harness: Any, use: Callable[[httpx.AsyncClient, Any], Awaitable[Any]], **settings: Any) -> Any:
    async def main() -> Any:
        made = harness(**settings)
        async with made.client() as client:
            return await use(client, made)

    return asyncio.run(main())


def test_calls_take_turns_in_their_order() -> None:
    async def main() -> tuple[list[int], int]:
        queue, begun, most = CallQueue(at_once=2, places=10), [], 0

        async def call(number: int) -> int:
            nonlocal most
            begun.append(number)
            most = max(most, queue.in_flight)
            await asyncio.sleep(0.01)
            return number

        def make(number: int) -> Callable[[], Any]:
            return lambda: call(number)

        assert await asyncio.gather(*(queue.run(make(number)) for number in range(10))) == list(range(10))
        return begun, most

    assert asyncio.run(main()) == (list(range(10)), 2)


def test_what_finds_no_place_is_refused_unless_it_is_patient() -> None:
    async def main() -> list[Any]:
        queue, open_ = CallQueue(at_once=1, places=1), asyncio.Event()

        async def call() -> str:
            await open_.wait()
            return "answered"

        first, second = (asyncio.create_task(queue.run(call)) for _ in range(2))
        await settle(5)
        with pytest.raises(CallsFull, match="1 requests"):
            await queue.run(call)
        patient = asyncio.create_task(queue.run(call, patient=True))
        await settle(5)
        open_.set()
        return [await first, await second, await patient, queue.waiting, queue.in_flight, await queue.run(call)]

    assert asyncio.run(main()) == ["answered", "answered", "answered", 0, 0, "answered"]


def test_a_call_under_way_is_called_off_and_holds_its_turn_until_it_has_ended() -> None:
    async def main() -> tuple[list[str], int]:
        queue, log, finish = CallQueue(at_once=1, places=5), [], asyncio.Event()

        async def call(name: str) -> None:
            log.append(f"{name} begins")
            try:
                await asyncio.sleep(0 if finish.is_set() else 60)
            except asyncio.CancelledError:
                log.append(f"{name} is called off")
                await finish.wait()
            log.append(f"{name} ends")
            raise ValueError(name)  # of the first, nobody is left to hear

        gone = asyncio.create_task(queue.run(lambda: call("first")))
        await settle(5)
        dropped = asyncio.create_task(queue.run(lambda: call("second")))
        last = asyncio.create_task(queue.run(lambda: call("third")))
        await settle(5)
        gone.cancel()
        dropped.cancel()
        await asyncio.wait({gone, dropped}, timeout=5)  # who goes away does not wait for the model
        assert gone.cancelled()
        assert dropped.cancelled()
        assert (queue.in_flight, queue.waiting) == (1, 1)
        finish.set()
        with pytest.raises(ValueError, match="third"):
            await last
        return log, queue.waiting

    log, waiting = asyncio.run(main())
    assert log == ["first begins", "first is called off", "first ends", "third begins", "third ends"]
    assert waiting == 0


class Calls:
    """Calls to a queue that end when told to, each by its name; ``begun`` has the names in order."""

    def __init__(self, at_once: int, places: int = 100, cores: Cores | None = None) -> None:
        self.queue = CallQueue(at_once, places, cores)
        self.begun: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def arrive(self, *names: str) -> None:
        """``L…`` is large, ``P…`` patient, ``PL…`` both; others are short."""
        for name in names:
            kind = {"patient": name.startswith("P"), "large": "L" in name}
            self.tasks[name] = asyncio.create_task(self.queue.run(lambda name=name: self._call(name), **kind))
            await settle(5)

    async def _call(self, name: str) -> None:
        self.begun.append(name)
        self.ends[name] = asyncio.Event()
        await self.ends[name].wait()

    async def end(self, *names: str) -> None:
        for name in names:
            self.ends[name].set()
            await self.tasks[name]
            await settle(5)


def test_large_calls_leave_a_place_to_short_ones() -> None:
    async def main() -> None:
        calls = Calls(at_once=2)
        await calls.arrive("L1", "L2", "L3", "a", "b")
        assert calls.begun == ["L1", "a"]
        await calls.end("a")
        assert calls.begun == ["L1", "a", "b"], "short calls overtake large ones that may not begin"
        await calls.end("b")
        assert (calls.queue.in_flight, calls.queue.waiting) == (1, 2), "the place stays free"
        await calls.arrive("c", "d")
        await calls.end("L1")
        assert calls.begun[3:] == ["c", "L2"], "and their order is kept where both may"
        await calls.end("L2", "c", "d", "L3")
        assert (calls.queue.in_flight, calls.queue.waiting) == (0, 0)

    asyncio.run(main())


def test_languages_share_the_cores_and_take_turns() -> None:
    async def main() -> None:
        cores = Cores(2)
        en, ru, de = (Calls(at_once=2, cores=cores) for _ in range(3))
        await en.arrive("a", "b", "c", "d")
        await ru.arrive("e", "f")
        await de.arrive("g")
        assert (en.begun, ru.begun, de.begun) == (["a", "b"], [], [])
        await en.end("a")
        await en.end("b")
        assert (en.begun, ru.begun, de.begun) == (["a", "b"], ["e"], ["g"]), "not the earlier c and d"
        await ru.end("e")
        assert (en.begun, ru.begun) == (["a", "b", "c"], ["e"])
        ru.tasks["f"].cancel()
        await de.end("g")
        assert en.begun == ["a", "b", "c", "d"], "one that has left the queue takes no place"
        await en.end("c", "d")
        assert cores.in_flight == 0

    asyncio.run(main())


def test_bulk_of_all_languages_leaves_a_core_to_short_calls() -> None:
    async def main() -> None:
        cores = Cores(2)
        en, ru = (Calls(at_once=2, cores=cores) for _ in range(2))
        await en.arrive("L1")
        await ru.arrive("L2", "PL3", "P4")
        assert (en.begun, ru.begun) == (["L1"], []), "large calls wait for each other, over all languages"
        await en.arrive("a")
        assert en.begun == ["L1", "a"]
        await en.arrive("b")
        await ru.arrive("c")
        await en.end("a")
        assert (en.begun, ru.begun) == (["L1", "a"], ["c"])
        await ru.end("c")
        assert (en.begun, ru.begun) == (["L1", "a", "b"], ["c"]), "short calls of any language go first"
        await en.end("L1")
        assert ru.begun == ["c", "L2"]
        await en.end("b")
        await ru.end("L2", "PL3", "P4")
        assert (cores.in_flight, cores.bulk_in_flight) == (0, 0)

    asyncio.run(main())


def test_a_queue_works_on_no_more_calls_than_there_are_cores() -> None:
    async def main() -> None:
        en, ru = (Calls(at_once=4, cores=cores) for cores in [Cores(1)] for _ in range(2))
        await en.arrive("L1", "a", "L2")
        await ru.arrive("b")
        assert (en.begun, ru.begun) == (["L1"], [])
        await en.end("L1")
        assert ru.begun == ["b"]
        await ru.end("b")
        assert en.begun == ["L1", "a"], "short calls and bulk take turns"
        await en.end("a", "L2")

    asyncio.run(main())


def test_endpoints_elsewhere_take_no_core_of_this_host(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, made: Any) -> list[int]:
        languages = ("en", "ru")
        bodies = [  # with tokens, since such requests are not joined
            {"text": "WAIT", "language": language, "tokens": True} for language in languages for _ in range(2)
        ]
        tasks = [asyncio.create_task(client.post("/v1/entities", json=body)) for body in bodies]
        queues = [made.service.routes[language].queue for language in languages]
        await until(lambda: sum(queue.in_flight + queue.waiting for queue in queues) == 4)
        counts = [queue.in_flight for queue in queues]
        for language in languages:
            made.backend(language).held = False
        await asyncio.gather(*tasks)
        return counts

    assert ask(harness, use, cores=1, endpoints=["ru"]) == [1, 2]
    assert sum(ask(harness, use, cores=1)) == 1


def test_streams_take_what_nobody_else_wants() -> None:
    async def main() -> None:
        calls = Calls(at_once=2, places=1)
        await calls.arrive("P1", "P2", "P3", "P4", "a")
        assert calls.begun == ["P1", "P2"], "small batches use both places"
        await calls.end("P1")
        assert calls.begun[2:] == ["a"], "those that wait take no place from callers, and let them go first"
        await calls.end("a", "P2", "P3", "P4")
        await calls.arrive("PL1", "P5", "PL2", "P6", "b")
        assert calls.begun[5:] == ["PL1", "P5"]
        await calls.end("P5", "b")
        assert calls.begun[7:] == ["b"], "a large batch leaves the last place to others"

    asyncio.run(main())


def test_one_at_a_time_short_and_large_calls_take_turns() -> None:
    async def main() -> None:
        calls = Calls(at_once=1)
        await calls.arrive("L1", "L2", "L3", "a", "b")
        await calls.end("L1", "a", "L2", "b", "L3")
        assert calls.begun == ["L1", "a", "L2", "b", "L3"]

    asyncio.run(main())


def test_a_large_call_that_leaves_the_queue_lets_on_what_it_held_up() -> None:
    async def main() -> None:
        calls = Calls(at_once=2)
        await calls.arrive("L1", "L2", "P1")
        calls.tasks["L2"].cancel()
        await settle(5)
        assert calls.begun == ["L1", "P1"]
        await calls.arrive("a", "b")
        calls.tasks["a"].cancel()
        calls.ends["P1"].set()  # the turn comes in the very moment in which the caller goes
        await settle(5)
        assert calls.begun == ["L1", "P1", "b"]
        await calls.end("L1", "b")
        assert (calls.queue.in_flight, calls.queue.waiting) == (0, 0)
        await calls.arrive("c", "d", "e")
        for name in ("c", "e"):  # one of them has begun, the other has its turn but not begun once both have gone
            calls.tasks[name].cancel()
        await settle(5)
        await calls.end("d")
        assert (calls.queue.in_flight, calls.queue.waiting) == (0, 0)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/entities", {"text": "Long", "language": "en"}),
        ("/v1/en/invocations", {"inputs": ["Long"]}),
        ("/v1/entities/stream", {"text": "Long", "language": "en"}),
    ],
)
def test_long_texts_leave_a_place_to_short_ones_in_the_gateway(
    harness: Any, monkeypatch: pytest.MonkeyPatch, path: str, body: dict[str, Any]
) -> None:
    """Whichever way they come: three are sent, one is worked on, a short text is answered meanwhile."""
    for module in (routes, inference_service):
        monkeypatch.setattr(module, "LONG", 3)

    async def use(client: httpx.AsyncClient, made: Any) -> None:
        queue, backend, free = made.service.routes["en"].queue, made.backend("en"), asyncio.Event()
        post = backend._post

        async def held(body: bytes, **how: Any) -> httpx.Response:
            if b"Long" in body:
                await free.wait()
            return await post(body, **how)

        backend._post = held
        kind = {"content-type": "application/jsonl"} if path.endswith("stream") else {}
        long = [asyncio.create_task(client.post(path, json=body, headers=kind)) for _ in range(3)]
        async with asyncio.timeout(10):
            while queue.in_flight + queue.waiting < 3:
                await asyncio.sleep(0)
        short = await client.post("/v1/entities", json={"text": "Bo", "language": "en"})
        assert (short.status_code, queue.in_flight, queue.waiting) == (200, 1, 2)
        free.set()
        assert [answer.status_code for answer in await asyncio.gather(*long)] == [200] * 3

    ask(harness, use, concurrency=2)


def test_a_full_queue_refuses_and_says_when_to_come_again(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, made: Any) -> list[httpx.Response]:
        backend = made.backend("en")
        waiting = [asyncio.create_task(client.post("/v1/entities", json={"text": "WAIT"})) for _ in range(3)]
        queue = made.service.routes["en"].queue
        await until(lambda: queue.in_flight + queue.waiting == 3)
        refused = await client.post("/v1/entities", json={"text": "Anna"})
        other = await client.post("/v1/entities", json={"text": "Анна"})
        backend.held = False
        answers = await asyncio.gather(*waiting)
        assert max(backend.at_once) == 1
        return [refused, other, *answers, await client.post("/v1/entities", json={"text": "Anna"})]

    refused, *answered = ask(harness, use, queue=2, concurrency=1)
    assert refused.status_code == 429
    assert refused.json()["type"] == "urn:ner:problem:busy"
    assert int(refused.headers["retry-after"]) > 0
    assert [response.status_code for response in answered] == [200] * 5


def test_who_goes_away_while_waiting_never_reaches_the_model(harness: Any, exchange: Any) -> None:
    async def use(client: httpx.AsyncClient, made: Any) -> tuple[int, int, list[list[str]]]:
        backend, queue = made.backend("en"), made.service.routes["en"].queue
        first = asyncio.create_task(client.post("/v1/entities", json={"text": "WAIT"}))
        await until(lambda: backend.seen)
        asked = exchange(made.app, "/v1/entities", JSON)
        asked.send(b'{"text": "Gone"}', more=False)
        await until(lambda: queue.waiting)
        before = queue.waiting
        asked.leave()
        await asyncio.wait_for(asked.task, 2)
        after = queue.waiting
        backend.held = False
        await first
        await client.post("/v1/entities", json={"text": "Anna"})
        return before, after, backend.seen

    assert ask(harness, use, concurrency=1) == (1, 0, [["WAIT"], ["Anna"]])


def test_what_waits_too_long_is_told_so_and_never_reaches_the_model(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, made: Any) -> tuple[httpx.Response, list[list[str]]]:
        backend = made.backend("en")
        first = asyncio.create_task(client.post("/v1/entities", json={"text": "WAIT"}))
        await until(lambda: backend.seen)
        late = await client.post("/v1/entities", json={"text": "Late"})
        backend.held = False
        await first
        await settle()
        return late, backend.seen

    late, seen = ask(harness, use, concurrency=1, limits=Limits(4, 1000, 0.15))
    assert late.status_code == 504
    assert late.json()["type"] == "urn:ner:problem:timeout"
    assert seen == [["WAIT"]]


@pytest.mark.faults("clients that hang up while they wait")
def test_over_a_real_connection_who_hangs_up_is_dropped(served: tuple[Any, tuple[str, int]]) -> None:
    made, (host, port) = served
    backend = made.backend("en")

    async def main() -> list[int]:
        async with httpx.AsyncClient(base_url=f"http://{host}:{port}", trust_env=False) as client:
            first = asyncio.create_task(client.post("/v1/entities", json={"text": "WAIT"}))
            await until(lambda: backend.seen)
            with pytest.raises(httpx.ReadTimeout):
                await client.post("/v1/entities", json={"text": "Gone"}, timeout=0.05)
            await until(lambda: not made.service.routes["en"].queue.waiting)
            backend.held = False
            again = [await client.post("/v1/entities", json={"text": f"Anna{number}"}) for number in range(3)]
            return [(await first).status_code, *(response.status_code for response in again)]

    assert asyncio.run(main()) == [200] * 4
    assert backend.seen == [["WAIT"], ["Anna0"], ["Anna1"], ["Anna2"]]
