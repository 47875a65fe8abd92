"""Gateways for tests: real code throughout, in front of stand-ins for ``mlflow models serve``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from multiner.serving.backends.backend import ServedModel
from multiner.serving.backends.local_server import LocalServer
from multiner.serving.gateway.app import create_app, listen
from multiner.serving.http.payload import Limits
from multiner.serving.http.server import make_server
from multiner.serving.operator.facts_reader import FactsReader
from tests.serving.configs import NoFacts, gateway_config
from tests.serving.sending import TOKEN
from tests.serving.stand_in import StandIn, find


class Harness:
    """A gateway and what it launched."""

    def __init__(self, **settings: Any) -> None:
        self.launched: list[StandIn] = []
        self.champions: dict[str, str | None] = settings.pop("champions", {"en": "1", "ru": "1"})
        self.find = settings.pop("find", find)
        self.finders: dict[str, Callable[[str], list[dict[str, Any]]]] = settings.pop("finders", {})  # by version
        self.refuse: Callable[[ServedModel], Exception | None] = settings.pop("refuse", lambda model: None)
        self.old_versions: set[str] = settings.pop("old_versions", set())
        self.config = gateway_config(
            languages=["en", "ru"],
            limits=settings.pop("limits", Limits(4, 1000, 5)),
            token=TOKEN,
            launch=self.launch,
            resolve=self.resolve,
            types=settings.pop("types", {"en": ["PER", "LOC", "ORG", "MISC"], "ru": ["PER", "LOC", "ORG"]}),
            **settings,
        )
        facts = FactsReader(self.config.workspace) if "workspace" in settings else NoFacts()
        self.app = create_app(self.config, facts)
        self.service = self.app.state.service

    async def launch(self, model: ServedModel) -> LocalServer:
        await asyncio.sleep(0.01)
        if error := self.refuse(model):
            raise error
        backend = StandIn(model, self.finders.get(model.version, self.find))
        backend.knows_params = model.version not in self.old_versions
        await backend.start()
        await backend.probe()
        self.launched.append(backend)
        return backend

    def resolve(self, language: str, version: str | None) -> ServedModel | None:
        version = version or self.champions.get(language)
        return ServedModel(language, f"ner-{language}", version, "unused") if version else None

    @asynccontextmanager
    async def client(self, *, settle: bool = True) -> AsyncIterator[httpx.AsyncClient]:
        async with self.app.router.lifespan_context(self.app):
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                while settle and any(route.state == "starting" for route in self.service.routes.values()):
                    await asyncio.sleep(0.01)
                yield client

    def backend(self, language: str) -> StandIn:
        """The backend that serves a language; its record without the probe."""
        backend = self.service.routes[language].live
        backend.seen, backend.at_once, backend.ended = [], [], 0
        return backend


class Live:
    """A gateway behind a real server, ready; use it as a context manager."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        listener = listen("127.0.0.1", 0)
        self.address: tuple[str, int] = listener.getsockname()
        self.url = f"http://{self.address[0]}:{self.address[1]}/"
        self._server = make_server(harness.app, harness.config.connections, harness.config.proxies)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve(sockets=[listener])))

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._server.server_state.connections)

    @property
    def requests(self) -> int:
        """How many are under way."""
        return len(self._server.server_state.tasks)

    def __enter__(self) -> Live:
        self._thread.start()
        host = min(self.harness.config.hosts or [self.address[0]])  # other names are refused
        with httpx.Client(base_url=self.url, headers={"Host": host}, trust_env=False) as client:
            for _ in range(500):
                with contextlib.suppress(httpx.TransportError):  # on a busy machine the server gives idle callers up
                    if client.get("/ready").status_code == 200:
                        break
                time.sleep(0.02)
        return self

    def __exit__(self, *error: object) -> None:
        self._server.should_exit = True
        self._thread.join(20)


class Exchange:
    """A request to an application whose body is sent, and whose answer is read, piece by piece."""

    def __init__(self, app: Any, path: str, content_type: str) -> None:
        self._incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._outgoing: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._rest: list[bytes] = []
        self.taking = asyncio.Event()  # cleared: the caller does not read
        self.taking.set()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "scheme": "http",
            "query_string": b"",
            "headers": [(b"content-type", content_type.encode())],
        }
        self.task = asyncio.create_task(app(scope, self._incoming.get, self._send))

    async def _send(self, message: dict[str, Any]) -> None:
        await self.taking.wait()
        self._outgoing.put_nowait(message)

    def send(self, body: bytes, *, more: bool = True) -> None:
        """Send a piece of the body."""
        self._incoming.put_nowait({"type": "http.request", "body": body, "more_body": more})

    @property
    def unread(self) -> int:
        """Pieces of the body that the application has not asked for."""
        return self._incoming.qsize()

    def leave(self) -> None:
        """Go away."""
        self._incoming.put_nowait({"type": "http.disconnect"})

    async def status(self) -> int:
        """The status of the answer."""
        return (await asyncio.wait_for(self._outgoing.get(), 5))["status"]

    async def line(self) -> dict[str, Any] | None:
        """The next line of the answer; None at its end."""
        while not self._rest:
            message = await asyncio.wait_for(self._outgoing.get(), 5)
            if not message["body"] and not message.get("more_body"):
                return None
            self._rest = message["body"].splitlines()
        return json.loads(self._rest.pop(0))
