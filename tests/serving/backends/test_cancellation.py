"""Calls that nobody waits for: the served process stops, the place at the model is free, the next answer is right."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from multiner.pipeline.core.processes import tree
from multiner.serving.answers import NoTokens
from multiner.serving.backends.backend import BackendTimeout, ServedModel
from multiner.serving.backends.local_server import LocalServer
from multiner.serving.backends.model_server import with_params
from multiner.serving.gateway.app import create_app
from multiner.serving.http.payload import Limits
from tests.serving.configs import NoFacts, gateway_config

SHORT = "Ada saw Oslo, and Bo saw Lima."
LONG = ("Ada saw Oslo and Bo. " * 5000)[:100_000]
SECONDS = 2.0  # of computing, the next answer included; the whole long text takes ten times that, and more
IDLE = 0.2  # seconds of computing in a second in which nothing is asked


class Seen(NamedTuple):
    """A long text called off: whether the model was at work on it; seconds, by its pace, until its place was free;
    of computing until the next answer; of computing in the second after that."""

    working: bool
    freed: float
    answered: float
    idle: float


def computed(backend: LocalServer) -> float:
    """Seconds of computing that the served process has done: unlike the clock's, no busy machine changes them."""
    return sum(sum(process.cpu_times()[:2]) for process in tree(backend.pid))


def test_parameters_are_put_into_a_body_however_it_is_written() -> None:
    for body in (b'{"inputs": ["{"]}', b'\xef\xbb\xbf \n{\n"inputs":["{"]}'):
        value = json.loads(with_params(body, {"call": "ab"}).decode("utf-8-sig"))
        assert value == {"params": {"call": "ab"}, "inputs": ["{"]}
    assert with_params(b'{"inputs": []}', {}) == b'{"inputs": []}'


class Cancellable(LocalServer):
    """A backend whose model works on a call until it may stop, and notes what is cancelled."""

    def __init__(self) -> None:
        super().__init__(ServedModel("en", "ner-en", "1", "unused"), Path("unused.log"), timeout=5)
        self._client = httpx.AsyncClient(transport=httpx.MockTransport(self._handle), base_url="http://model")
        self._cancellable = True
        self.calls: list[str] = []
        self.cancels: list[str] = []
        self.begun, self.heard, self.may_stop = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        params = json.loads(request.content)["params"]
        if call := params.get("cancel"):
            self.cancels.append(call)
            self.heard.set()
            return httpx.Response(200, json={"predictions": []})
        self.calls.append(params["call"])
        self.begun.set()
        await self.may_stop.wait()
        return httpx.Response(200, json={"predictions": [{"entities": []}]})


@pytest.mark.parametrize("late", [False, True])
def test_a_call_is_cancelled_by_its_name_and_the_model_waited_for(late: bool) -> None:
    """Whether the caller goes or the time is up."""

    async def main() -> Cancellable:
        backend = Cancellable()
        backend.timeout = 0.01 if late else 60
        call = asyncio.create_task(backend.predict(["Anna"]))
        async with asyncio.timeout(10):
            await backend.begun.wait()
            if not late:
                call.cancel()
            await backend.heard.wait()
            assert not call.done(), "the place at the model is free once the model is"
            backend.may_stop.set()
            with pytest.raises(BackendTimeout if late else asyncio.CancelledError):
                await call
        return backend

    backend = asyncio.run(main())
    assert backend.cancels == backend.calls
    assert len(backend.calls) == 1


def test_a_call_that_ends_well_is_not_cancelled() -> None:
    async def main() -> Cancellable:
        backend = Cancellable()
        backend.may_stop.set()
        assert await backend.predict(["Anna"]) == [[]]
        assert await backend.predict(["Anna"]) == [[]]
        return backend

    backend = asyncio.run(main())
    assert backend.cancels == []
    assert len(set(backend.calls)) == 2, "each call has a name of its own"


@pytest.mark.parametrize("old", [False, True])
def test_the_probe_sees_whether_a_version_can_cancel(harness: Any, old: bool) -> None:
    """One that cannot is never sent the name of a call."""

    async def main() -> set[str]:
        made = harness(old_versions={"1"} if old else set())
        backend = await made.launch(made.resolve("en", None))
        await backend.predict(["Anna"])
        return set(backend.params)

    assert asyncio.run(main()) == (set() if old else {"call"})


@pytest.mark.slow
def test_a_long_text_that_is_called_off_frees_the_process(
    saved: Callable[..., ServedModel], tmp_path: Path, exchange: Any
) -> None:
    model = saved("1", "tokens", "call", "cancel")

    async def launch(model: ServedModel) -> LocalServer:
        backend = LocalServer(model, tmp_path / "model.log", timeout=60)
        await backend.start()
        await backend.probe()
        return backend

    async def main() -> list[Seen]:
        app = create_app(
            gateway_config(limits=Limits(8, 200_000, 60), launch=launch, resolve=lambda *_: model, concurrency=1),
            NoFacts(),
        )
        route = app.state.service.routes["en"]
        async with app.router.lifespan_context(app):
            while route.state == "starting":
                await asyncio.sleep(0.05)
            assert route.state == "live", route.describe()
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
                body = {"text": SHORT, "tokens": True}
                (before,) = (await client.post("/v1/entities", json=body)).json()["results"]
                assert {entity["text"] for entity in before["entities"]} == {"Ada", "Oslo"}
                assert [token["text"] for token in before["tokens"]][:3] == ["Ada", "saw", "Oslo"]
                seen = []
                calls = [("/v1/entities", {"text": LONG}), ("/v1/en/invocations", {"inputs": [LONG]})]
                for (path, long), seconds in zip([*calls, calls[0]], (0.2, 1.0, 2.5), strict=True):
                    asked = exchange(app, path, "application/json")
                    asked.send(json.dumps(long).encode(), more=False)
                    while not route.queue.in_flight:
                        await asyncio.sleep(0.01)
                    begun, began = computed(route.live), time.monotonic()
                    await asyncio.sleep(seconds)
                    working = route.queue.in_flight == 1
                    asked.leave()
                    left, at = computed(route.live), time.monotonic()
                    pace = (left - begun) / (at - began)  # computing a second: the less, the busier the machine is
                    while route.queue.in_flight:
                        await asyncio.sleep(0.01)
                    freed = (time.monotonic() - at) * pace
                    (after,) = (await client.post("/v1/entities", json=body)).json()["results"]
                    answered = computed(route.live)
                    await asyncio.sleep(1)
                    seen.append(Seen(working, freed, answered - left, computed(route.live) - answered))
                    assert after == before
                return seen

    seen = asyncio.run(main())
    assert all(each.working for each in seen), f"not all long texts were still being answered: {seen}"
    assert max(each.freed for each in seen) < SECONDS, f"the place is free when the model is: {seen}"
    assert max(each.answered for each in seen) < SECONDS, seen
    assert max(each.idle for each in seen) < IDLE, f"the model works on behind the gateway's back: {seen}"


@pytest.mark.slow
@pytest.mark.parametrize("params", [(), ("tokens",)])
def test_versions_registered_before_there_were_parameters_answer_and_say_what_they_lack(
    saved: Callable[..., ServedModel], tmp_path: Path, params: tuple[str, ...]
) -> None:
    async def main() -> list[list[dict[str, Any]]]:
        backend = LocalServer(saved(f"old-{len(params)}", *params), tmp_path / "model.log")
        try:
            await backend.start()
            await backend.probe()
            assert not backend._cancellable
            if params:
                assert (await backend.answer([SHORT], tokens=True))[0]["tokens"]
            else:
                with pytest.raises(NoTokens, match="ner-en version old"):
                    await backend.answer([SHORT], tokens=True)
            return await backend.predict([SHORT])
        finally:
            await backend.close()

    (entities,) = asyncio.run(main())
    assert [entity["text"] for entity in entities] == ["Ada", "Oslo"]
