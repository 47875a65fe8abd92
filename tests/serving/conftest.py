"""Gateways for tests: real code throughout, with a small web application in place of ``mlflow models serve``."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from serving.gateway import create_app
from serving.payload import Limits
from serving.slots import ServedModel, Slot
from serving.switchboard import GatewayConfig

TOKEN = "a-token-for-tests"
CAPITALISED = re.compile(r"[A-ZА-ЯЁ][\w-]+(?: [A-ZА-ЯЁ][\w-]+)*")


def find(text: str) -> list[dict[str, Any]]:
    """Capitalised words as entities, in the form of a served model."""
    legs = {"transformer": {"label": "PER", "score": 0.9}, "spacy": {"label": None, "score": None}}
    return [
        {"start": m.start(), "end": m.end(), "text": m.group(), "label": "PER", "score": 0.875, "legs": legs}
        for m in CAPITALISED.finditer(text)
    ]


async def invocations(request: Request) -> Response:
    """MLflow's endpoint; some texts make it misbehave as the real one does."""
    texts = [row[0] for row in (await request.json())["dataframe_split"]["data"]]
    if "CRASH" in texts:
        return JSONResponse({"error_code": "BAD_REQUEST", "stack_trace": "Traceback: /srv/model.py"}, 400)
    if "SLOW" in texts:
        return PlainTextResponse("Request processing time exceeded limit", 504)
    if "DEAD" in texts:
        raise httpx.ReadError("connection reset")
    if "WRONG" in texts:
        return JSONResponse({"predictions": [{"entities": [{"start": 0, "end": 99, "text": "WRONG", "label": "PER"}]}]})
    if "WAIT" in texts:
        await asyncio.sleep(0.3)
    return JSONResponse({"predictions": [{"entities": find(text)} for text in texts]})


class StandIn(Slot):
    """A slot whose process is the application above."""

    def __init__(self, model: ServedModel) -> None:
        super().__init__(model, Path("unused.log"), timeout=5)
        self._dead = asyncio.Event()

    @property
    def alive(self) -> bool:
        return not self._dead.is_set()

    async def start(self, timeout: float = 1) -> None:
        app = Starlette(routes=[Route("/invocations", invocations, methods=["POST"])])
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://slot")

    async def died(self) -> None:
        await self._dead.wait()

    async def stop(self, grace: float = 0) -> None:
        self._dead.set()
        await super().stop(grace)

    def kill(self) -> None:
        self._dead.set()


class Harness:
    """A gateway and what it launched."""

    def __init__(self, **settings: Any) -> None:
        self.launched: list[StandIn] = []
        self.champions: dict[str, str | None] = settings.pop("champions", {"en": "1", "ru": "1"})
        self.refuse: Callable[[ServedModel], Exception | None] = settings.pop("refuse", lambda model: None)
        self.config = GatewayConfig(
            languages=["en", "ru"],
            limits=settings.pop("limits", Limits(4, 1000, 5)),
            token=TOKEN,
            launch=self.launch,
            resolve=self.resolve,
            **settings,
        )
        self.app = create_app(self.config)
        self.board = self.app.state.board

    async def launch(self, model: ServedModel) -> Slot:
        await asyncio.sleep(0.01)
        if error := self.refuse(model):
            raise error
        slot = StandIn(model)
        await slot.start()
        await slot.probe()
        self.launched.append(slot)
        return slot

    def resolve(self, language: str, version: str | None) -> ServedModel | None:
        version = version or self.champions.get(language)
        return ServedModel(language, f"ner-{language}", version, "unused") if version else None

    @asynccontextmanager
    async def client(self, *, settle: bool = True) -> AsyncIterator[httpx.AsyncClient]:
        async with self.app.router.lifespan_context(self.app):
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                while settle and any(route.state == "starting" for route in self.board.routes.values()):
                    await asyncio.sleep(0.01)
                yield client


@pytest.fixture
def harness() -> type[Harness]:
    """Makes gateways: ``harness(champions={"en": "1"}, keep_previous=False, …)``."""
    return Harness
