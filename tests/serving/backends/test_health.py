"""Served processes that hang, or whose server has died, are found out and ended; busy ones, and our own faults, not."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from multiner.serving.backends import health
from multiner.serving.backends.backend import BackendGone, BackendTimeout, ServedModel
from multiner.serving.backends.local_server import LocalServer, free_port
from tests.serving.waiting import until

Answer = Callable[[httpx.Request], Awaitable[httpx.Response]]


class Scripted(LocalServer):
    """A backend whose process answers pings and calls as told."""

    def __init__(self, *, ping: Answer | None = None, call: Answer | None = None, port: int = 0) -> None:
        super().__init__(ServedModel("en", "ner-en", "1", "unused"), Path("unused.log"), timeout=60)
        self.port, self.pings = port or free_port(), 0
        self._ping, self._call = ping or silence, call or silence
        self._client = httpx.AsyncClient(transport=httpx.MockTransport(self._handle), base_url="http://model")

    @property
    def alive(self) -> bool:
        return not self._lost.is_set()

    async def ended(self) -> None:
        await self._lost.wait()

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        if request.url.path == "/ping":
            self.pings += 1
            return await self._ping(request)
        return await self._call(request)

    async def pinged(self, times: int) -> None:
        """Wait until ``times`` more pings were judged, or the process was ended."""
        until = self.pings + times + 1
        async with asyncio.timeout(10):
            while self.pings < until and self.alive:
                await asyncio.sleep(0)


async def silence(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("nothing")


async def fine(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"predictions": [{"entities": []}]})


async def refusal(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("all connection attempts failed")


async def too_many_files(request: httpx.Request) -> httpx.Response:
    raise OSError(errno.EMFILE, "Too many open files")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PAUSE", 0)


@pytest.fixture
def listening() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextlib.asynccontextmanager
async def watched(backend: LocalServer) -> Any:
    watching = asyncio.create_task(backend.lost())
    yield watching
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


def test_a_process_that_answers_no_pings_is_ended_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> tuple[bool, int]:
        backend = Scripted()
        await asyncio.wait_for(backend.lost(), 10)
        return backend.alive, backend.pings

    assert asyncio.run(main()) == (False, health.PINGS)
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "model server does not answer")
    assert record.fields["version"] == "1"
    assert "3 pings" in record.fields["reason"]


def test_single_pings_may_be_missed() -> None:
    async def main() -> bool:
        async def now_and_then(request: httpx.Request) -> httpx.Response:
            return await (fine if backend.pings % health.PINGS == 0 else silence)(request)

        backend = Scripted(ping=now_and_then)
        async with watched(backend):
            await backend.pinged(10 * health.PINGS)
        return backend.alive

    assert asyncio.run(main())


def test_a_busy_process_is_given_time_and_its_answer_counts() -> None:
    async def main() -> list[bool]:
        free = asyncio.Event()

        async def at_last(request: httpx.Request) -> httpx.Response:
            await free.wait()
            return await fine(request)

        backend, observations = Scripted(call=at_last), []
        working = asyncio.create_task(backend.predict(["Anna"]))
        async with watched(backend):
            await backend.pinged(health.PINGS_BUSY - 2)
            observations.append(backend.alive)
            free.set()
            await working
            observations.append(backend.alive)  # though more pings were missed than an idle one may miss
            backend._call = silence
            free.clear()
            backend._call = at_last
            hanging = asyncio.create_task(backend.predict(["Anna"]))
            await backend.pinged(health.PINGS_BUSY + 1)
            observations.append(backend.alive)
            hanging.cancel()
            free.set()
            await asyncio.gather(hanging, return_exceptions=True)
        return observations

    assert asyncio.run(main()) == [True, True, False]


@pytest.mark.parametrize("fault", [too_many_files, refusal])
def test_faults_of_the_gateways_own_end_no_process(listening: int, fault: Answer) -> None:
    async def main() -> bool:
        backend = Scripted(ping=fault, call=refusal, port=listening)
        async with watched(backend):
            await backend.pinged(2 * health.PINGS_BUSY)
            with pytest.raises(BackendGone):
                await backend.predict(["Anna"])
        return backend.alive

    assert asyncio.run(main())


def test_a_process_that_listens_no_more_is_ended_at_the_first_ping_or_call() -> None:
    async def main() -> list[bool]:
        pinged, called = Scripted(ping=refusal), Scripted(call=refusal)
        await asyncio.wait_for(pinged.lost(), 10)
        with pytest.raises(BackendGone):
            await called.predict(["Anna"])
        return [pinged.alive, called.alive]

    assert asyncio.run(main()) == [False, False]


def test_a_model_that_no_call_can_stop_is_ended() -> None:
    """Its server answers pings, and MLflow gives up on each call in the model's place."""

    async def main() -> list[bool]:
        async def given_up(request: httpx.Request) -> httpx.Response:
            return httpx.Response(504)

        backend, observations = Scripted(ping=fine), []
        backend._cancellable = True
        for call in (given_up, given_up, fine, given_up, given_up, given_up):
            backend._call = call
            with contextlib.suppress(BackendTimeout):
                await backend.predict(["Anna"])
            observations.append(backend.alive)
        return observations

    assert asyncio.run(main()) == [True] * 5 + [False]


@pytest.mark.parametrize("first", ["the time is up", "the caller goes"])
def test_a_second_cancellation_does_not_free_the_place_before_the_model(
    first: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> list[bool]:
        free, observations, requests = asyncio.Event(), [], []

        async def at_last(request: httpx.Request) -> httpx.Response:
            requests.append(request)
            await free.wait()
            raise httpx.ReadTimeout("an error that nobody asks for")

        backend = Scripted(call=at_last)
        backend._cancellable = True
        backend.timeout = 0.01 if first == "the time is up" else 60
        call = asyncio.create_task(backend.predict(["Anna"]))
        # the call, and once the time is up that it shall stop
        await until(lambda: len(requests) == (2 if first == "the time is up" else 1))
        for _ in range(3):
            call.cancel()
            for _ in range(5):
                await asyncio.sleep(0)
            observations.append(call.done())
        free.set()
        with pytest.raises(asyncio.CancelledError):
            await call
        return observations

    assert asyncio.run(main()) == [False] * 3
    assert not caplog.records, "no exception that was never retrieved"
