"""An endpoint elsewhere: asked as a process of ours is, lost and found again, and never started or ended by us."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from multiner.pipeline.config.settings import Workspace, load_params, overlay
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.processes import tree
from multiner.serving.answers import NoTokens
from multiner.serving.backends import health
from multiner.serving.backends.backend import ServedModel
from multiner.serving.backends.local_server import LocalServer, free_port
from multiner.serving.backends.remote_server import RemoteServer
from multiner.serving.gateway.app import create_app
from multiner.serving.gateway.config import UNKNOWN, workspace_config
from multiner.serving.routing.model_router import ModelRouter, NoModel
from multiner.serving.routing.queue import CallQueue
from tests.serving.configs import NoFacts

LONG = ("Ada saw Oslo and Bo. " * 5000)[:100_000]
RAISED = {"error_code": "BAD_REQUEST", "message": "Encountered an unexpected error while evaluating the model."}


class Endpoint:
    """A stand-in for ``mlflow models serve`` on a port of its own; a call with the text WAIT waits to be cancelled."""

    def __init__(self, *, knows_params: bool = True) -> None:
        self.knows_params = knows_params
        self.well = True
        self.cancelled: set[str] = set()
        self.waiting = asyncio.Event()
        self.cancellation = asyncio.Event()
        self.port = 0
        paths = [Route("/ping", self._ping), Route("/version", lambda _: PlainTextResponse("3.17.2"))]
        self._app = Starlette(routes=[*paths, Route("/invocations", self._invocations, methods=["POST"])])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Endpoint]:
        """Listen, on the same port each time."""
        server = uvicorn.Server(uvicorn.Config(self._app, log_config=None, lifespan="off"))
        with socket.create_server(("127.0.0.1", self.port)) as listener:
            self.port = listener.getsockname()[1]
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                yield self
            finally:
                server.should_exit = server.force_exit = True
                await serving

    async def _ping(self, request: Request) -> Response:
        return Response("\n", 200 if self.well else 503)

    async def _invocations(self, request: Request) -> Response:
        body = await request.json()
        texts = [row[0] for row in body["dataframe_split"]["data"]]
        params = body.get("params", {}) if self.knows_params else {}
        if call := params.get("cancel"):
            self.cancelled.add(call)
            self.cancellation.set()
            return JSONResponse({"predictions": []})
        if "WAIT" in texts:
            self.waiting.set()
            self.cancellation.clear()
            await self.cancellation.wait()
        if params.get("call") in self.cancelled:
            return JSONResponse(RAISED, 400)
        tokens = {"tokens": []} if params.get("tokens") else {}
        return JSONResponse({"predictions": [{"entities": []} | tokens for _ in texts]})


def served_at(url: str) -> ServedModel:
    return ServedModel("en", "ner-en", "7", url)


@contextlib.asynccontextmanager
async def reached(url: str) -> AsyncIterator[RemoteServer]:
    backend = RemoteServer(served_at(url), timeout=10)
    await backend.bring_up()
    try:
        yield backend
    finally:
        await backend.close()


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PAUSE", 0)


def test_an_endpoint_is_asked_cancelled_and_left_running() -> None:
    async def main() -> list[Any]:
        async with Endpoint().running() as endpoint, asyncio.timeout(20):
            async with reached(endpoint.url) as backend:
                assert (backend.address, backend.alive, backend.memory) == (endpoint.url, True, 0)
                assert await backend.answer(["Anna"], tokens=True) == [{"entities": [], "tokens": []}]
                call = asyncio.create_task(backend.predict(["WAIT"]))
                await endpoint.waiting.wait()
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
            assert not backend.alive
            await backend.close()
            async with reached(endpoint.url) as another:
                return await another.predict(["Anna"])

    assert asyncio.run(main()) == [[]]


def test_an_endpoint_whose_model_knows_no_parameters_is_asked_without() -> None:
    async def main() -> list[Any]:
        async with Endpoint(knows_params=False).running() as endpoint, reached(endpoint.url) as backend:
            with pytest.raises(NoTokens):
                await backend.answer(["Anna"], tokens=True)
            return await backend.predict(["Anna"])

    assert asyncio.run(main()) == [[]]


def test_an_endpoint_that_does_not_answer_is_named_and_may_be_asked_again() -> None:
    async def main(url: str) -> None:
        async with reached(url):
            pass

    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(NerError, match="ner-en version 7: the endpoint does not answer") as raised:
        asyncio.run(main(url))
    assert raised.value.transient
    assert raised.value.where == url


@pytest.mark.usefixtures("no_pauses")
def test_an_endpoint_that_says_it_is_not_well_is_lost() -> None:
    async def main() -> bool:
        async with Endpoint().running() as endpoint, reached(endpoint.url) as backend, asyncio.timeout(20):
            endpoint.well = False  # as a load balancer answers without a server behind it
            await backend.lost()
            return backend.alive

    assert asyncio.run(main()) is False


@pytest.mark.usefixtures("no_pauses")
def test_an_endpoint_that_goes_is_reached_again_when_it_is_back() -> None:
    """The router treats it as it does a process that died, and keeps it warm, since it takes no memory."""

    async def launch(model: ServedModel) -> RemoteServer:
        backend = RemoteServer(model, timeout=10)
        await backend.bring_up()
        return backend

    async def main() -> list[Any]:
        endpoint, states = Endpoint(), []
        router = ModelRouter("en", launch, keep=lambda backend: True, drain_seconds=60, queue=CallQueue(4, 64))
        async with asyncio.timeout(60):
            async with endpoint.running():
                await router.switch(served_at(endpoint.url))
                assert router._may_stay(router.live)
            while router.state == "live":
                await asyncio.sleep(0)
            states.append(router.state)
            with pytest.raises(NoModel):
                await router.ask(lambda backend: backend.predict(["Anna"]))
            async with endpoint.running():
                while router.state != "live":
                    await asyncio.sleep(0)
                states.append(router.state)
                states.append(await router.ask(lambda backend: backend.predict(["Anna"])))
                await router.close()
        return states

    restarting, live, (model, answer) = asyncio.run(main())
    assert (restarting, live, model.version, answer) == ("restarting", "live", "7", [[]])


def workspace_with(root: Path, home: Path, endpoint: dict[str, Any]) -> Workspace:
    """English alone, at an endpoint."""
    params = overlay(load_params(root, "cpu"), {"serving": {"endpoints": {"en": endpoint}}})
    return Workspace(home, params | {"languages": {"en": params["languages"]["en"]}})


def test_params_name_an_endpoint_and_the_version_there(tmp_path: Path, root: Path) -> None:
    for given, version in (({}, UNKNOWN), ({"version": "7"}, "7")):
        workspace = workspace_with(root, tmp_path, {"url": "http://10.0.0.7:9001", **given})
        model = workspace_config(workspace, "token").resolve("en", None)
        assert model == ServedModel("en", "ner-en", version, "http://10.0.0.7:9001")
    assert not workspace.paths.mlruns.exists(), "no registry is needed"


def test_what_the_registry_has_is_started_here_all_the_same(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator's order of a version, or a challenger to be shadowed."""
    kinds: list[type] = []

    async def bring_up(backend: Any, at_once: int) -> None:
        kinds.append(type(backend))

    for kind in (LocalServer, RemoteServer):
        monkeypatch.setattr(kind, "bring_up", bring_up)
    config = workspace_config(workspace_with(root, tmp_path, {"url": "http://10.0.0.7:9001"}), "token")

    async def main() -> None:
        for model in (config.resolve("en", None), ServedModel("en", "ner-en", "3", "models:/ner-en/3")):
            await config.launch(model)

    asyncio.run(main())
    assert kinds == [RemoteServer, LocalServer]


@contextlib.contextmanager
def mlflow_models_serve(model: str, port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """MLflow's server as anybody starts it."""
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", model, "--env-manager", "local"]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)
    with (folder / "mlflow.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "-h", "127.0.0.1", "-p", str(port)],
            stdout=log,
            stderr=log,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        family = tree(process.pid)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        psutil.wait_procs(family, 20)


@pytest.mark.faults("an endpoint elsewhere goes away")
@pytest.mark.slow
def test_a_gateway_in_front_of_mlflows_server_elsewhere(
    saved: Callable[..., ServedModel], tmp_path: Path, root: Path, exchange: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers, cancels without a shared disk, notices that the server has gone, and that it is back."""
    monkeypatch.setattr(health, "PAUSE", 0.1)
    port, model = free_port(), saved("elsewhere", "tokens", "call", "cancel").uri
    workspace = workspace_with(root, tmp_path, {"url": f"http://127.0.0.1:{port}", "version": "7"})
    settings = {"concurrency": 1, "reconcile_seconds": 0.2}
    workspace = replace(workspace, params=overlay(workspace.params, {"serving": settings}))
    body = {"text": "Ada saw Oslo.", "tokens": True}

    async def main() -> None:
        app = create_app(replace(workspace_config(workspace, "token"), hosts=None), NoFacts())
        route = app.state.service.routes["en"]

        async def until(state: str) -> None:
            while route.state != state:
                await asyncio.sleep(0.01)

        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway")
        async with app.router.lifespan_context(app), client, asyncio.timeout(240):
            await until("failed")
            with mlflow_models_serve(model, port, tmp_path) as process:
                await until("live")
                (before,) = (await client.post("/v1/entities", json=body)).json()["results"]
                assert before["model"] == {"name": "ner-en", "version": "7"}
                assert [entity["text"] for entity in before["entities"]] == ["Ada", "Oslo"]
                asked = exchange(app, "/v1/entities", "application/json")
                asked.send(json.dumps({"text": LONG}).encode(), more=False)
                while not route.queue.in_flight:
                    await asyncio.sleep(0.01)
                start = computed(process.pid)
                while computed(process.pid) - start < 0.5:  # the model is at work
                    await asyncio.sleep(0.01)
                asked.leave()
                while route.queue.in_flight:
                    await asyncio.sleep(0.01)
                assert computed(process.pid) - start < 4, "of some twenty seconds that the whole text takes"
                (after,) = (await client.post("/v1/entities", json=body)).json()["results"]
                assert after == before
            await until("restarting")
            assert (await client.post("/v1/entities", json=body)).status_code == 503
            with mlflow_models_serve(model, port, tmp_path) as process:
                await until("live")
                (again,) = (await client.post("/v1/entities", json=body)).json()["results"]
                assert again == before

    asyncio.run(main())


def computed(pid: int) -> float:
    """Seconds of computing that a process has done, with all it started."""
    return sum(sum(process.cpu_times()[:2]) for process in tree(pid))
