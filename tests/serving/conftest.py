"""Gateways for tests: real code throughout, with a small web application in place of ``mlflow models serve``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from multiner.pipeline.config.settings import Workspace, overlay
from multiner.serving.airflow import environment as airflow_setup
from multiner.serving.backends.backend import ServedModel
from multiner.serving.backends.local_server import LocalServer
from multiner.serving.gateway.app import create_app
from multiner.serving.http.payload import Limits
from multiner.serving.operator.facts_reader import FactsReader
from tests.serving.configs import NoFacts, gateway_config

if TYPE_CHECKING:
    from tests.serving.airflow.fake_airflow import FakeAirflow
    from tests.serving.page.browser import Browser

TOKEN = "a-token-for-tests"
CAPITALISED = re.compile(r"[A-ZА-ЯЁ][\w-]+(?: [A-ZА-ЯЁ][\w-]+)*")


def find(text: str) -> list[dict[str, Any]]:
    """Capitalised words as entities, in the form of a served model."""
    legs = {"transformer": {"label": "PER", "score": 0.9}, "spacy": {"label": None, "score": None}}
    return [
        {"start": m.start(), "end": m.end(), "text": m.group(), "label": "PER", "score": 0.875, "legs": legs}
        for m in CAPITALISED.finditer(text)
    ]


def tokens_of(text: str) -> list[dict[str, Any]]:
    """Words as tokens, capitalised ones as persons, in the form of a served model."""
    return [
        {"start": m.start(), "end": m.end(), "text": m.group(), "probabilities": {"O": 1.0 - chance, "PER": chance}}
        for m in re.finditer(r"\w+", text)
        for chance in [0.875 if m.group()[0].isupper() else 0.0]
    ]


async def invocations(request: Request) -> Response:
    """MLflow's endpoint; some texts make it misbehave as the real one does."""
    try:
        body = await request.body()
        texts = list(read_texts(body))
    except (KeyError, IndexError, TypeError):
        return JSONResponse({"error_code": "INVALID_PARAMETER_VALUE", "message": "Failed to enforce schema"}, 400)
    backend: StandIn = request.app.state.backend
    backend.params = json.loads(body).get("params", {})
    params = backend.params if backend.knows_params else {}
    if cancelled := params.get("cancel"):
        backend.cancelled.add(cancelled)
        return JSONResponse({"predictions": []})
    backend.seen.append(texts)
    backend.at_once.append(len(backend.seen) - backend.ended)
    try:
        if "CRASH" in texts or params.get("call") in backend.cancelled:
            return JSONResponse(RAISED | {"stack_trace": "Traceback: /srv/model.py"}, 400)
        if not all(isinstance(text, str) for text in texts):
            return JSONResponse({"error_code": "INVALID_PARAMETER_VALUE", "message": f"cannot take {texts}"}, 400)
        if "SLOW" in texts:
            return PlainTextResponse("Request processing time exceeded limit", 504)
        if "DEAD" in texts:
            raise httpx.ReadError("connection reset")
        if "WRONG" in texts:
            wrong = {"start": 0, "end": 99, "text": "WRONG", "label": "PER"}
            return JSONResponse({"predictions": [{"entities": [wrong]}]})
        while "WAIT" in texts and backend.held:
            await asyncio.sleep(0.001)
        extra = {"tokens": tokens_of} if params.get("tokens") else {}
        return JSONResponse(
            {
                "predictions": [
                    {"entities": backend.find(text)} | {key: of(text) for key, of in extra.items()} for text in texts
                ]
            }
        )
    finally:
        backend.ended += 1


RAISED = {"error_code": "BAD_REQUEST", "message": "Encountered an unexpected error while evaluating the model. Verify"}


def read_texts(body: bytes) -> list[Any]:
    """The texts of a body in one of MLflow's shapes."""
    value = json.loads(body)
    if "dataframe_split" in value:
        return [row[0] for row in value["dataframe_split"]["data"]]
    return value["inputs"] if "inputs" in value else [row["text"] for row in value["dataframe_records"]]


class StandIn(LocalServer):
    """A backend whose process is the application above."""

    knows_params = True  # False: as a version registered before there were any

    def __init__(self, model: ServedModel, find: Callable[[str], list[dict[str, Any]]] = find) -> None:
        super().__init__(model, Path("unused.log"), timeout=5)
        self.find = find
        self.seen: list[list[Any]] = []  # the texts of each call
        self.at_once: list[int] = []  # calls under way when each began, itself included
        self.ended = 0
        self.held = True  # the text WAIT is not answered until the test lets it go
        self.params: dict[str, Any] = {}  # of the latest call
        self.cancelled: set[str] = set()  # names of calls
        self._dead = asyncio.Event()

    @property
    def alive(self) -> bool:
        return not self._dead.is_set()

    async def start(self) -> None:
        app = Starlette(routes=[Route("/invocations", invocations, methods=["POST"])])
        app.state.backend = self
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://model")

    async def lost(self) -> None:
        await self._dead.wait()

    async def close(self) -> None:
        self._dead.set()
        await super().close()

    def mark_lost(self) -> None:
        self._dead.set()

    def kill(self) -> None:
        self._dead.set()


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


@pytest.fixture(scope="session")
def exchange() -> type[Exchange]:
    """Makes requests that are sent and read piece by piece: ``exchange(app, path, content_type)``."""
    return Exchange


@pytest.fixture(scope="session")
def harness() -> type[Harness]:
    """Makes gateways: ``harness(champions={"en": "1"}, keep_previous=False, …)``."""
    return Harness


class Live:
    """A gateway behind a real server, ready; use it as a context manager."""

    def __init__(self, harness: Harness) -> None:
        from multiner.serving.gateway.app import listen
        from multiner.serving.http.server import make_server

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


@contextmanager
def running(gateway_app: Harness) -> Iterator[tuple[str, int]]:
    """A gateway that is ready behind the real server, in a thread; gives its address."""
    with Live(gateway_app) as live:
        yield live.address


@pytest.fixture(scope="session")
def behind_server() -> Callable[[Harness], AbstractContextManager[tuple[str, int]]]:
    """Runs gateways on a socket: ``with behind_server(harness()) as (host, port): …``."""
    return running


@pytest.fixture
def served(harness: type[Harness]) -> Iterator[tuple[Harness, tuple[str, int]]]:
    """A gateway that is ready behind a real server, and its address; its model takes one call at a time."""
    with Live(harness(concurrency=1)) as live:
        yield live.harness, live.address


@pytest.fixture(scope="module")
def live(harness: type[Harness]) -> Iterator[Live]:
    """A gateway for a module's browser tests: ``live.url``, ``live.harness``."""
    with Live(harness()) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def serving() -> type[Live]:
    """Puts a gateway behind a real server: ``with serving(harness(…)) as live``."""
    return Live


@pytest.fixture(scope="module")
def _browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("no chromium: apt-get install chromium chromium-driver")
    from tests.serving.page.browser import Browser

    started = Browser(tmp_path_factory.mktemp("downloads"))
    yield started
    started.driver.quit()


@pytest.fixture
def browser(_browser: Browser) -> Browser:
    """Debian's Chromium, one for a module; each test finds it in its usual size and scheme."""
    _browser.reset()
    return _browser


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Workspace:
    """A workspace with a small registry, made once: its database's migrations take seconds."""
    from tests.serving import registry

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        workspace = registry.make_workspace(tmp_path_factory.mktemp("registry") / "home", root)
        registry.fill(workspace)
    return workspace


@pytest.fixture
def stocked(filled: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace with a small registry that a test may change; see :mod:`tests.serving.registry`."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copytree(filled.root, tmp_path / "stocked")
    return replace(filled, root=tmp_path / "stocked")


@pytest.fixture
def airflow(stocked: Workspace) -> Iterator[FakeAirflow]:
    """Airflow as the workspace has it; ``airflow.workspace`` knows its port."""
    from tests.serving.airflow.fake_airflow import FakeAirflow

    with FakeAirflow() as fake:
        ports = {"serving": {"airflow_port": fake.port}}
        fake.workspace = replace(stocked, params=overlay(stocked.params, ports))
        fake.password = airflow_setup.password(fake.workspace)
        yield fake
