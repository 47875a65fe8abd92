"""A small web application in place of ``mlflow models serve``, and the backend whose process it is."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from multiner.serving.backends.backend import ServedModel
from multiner.serving.backends.local_server import LocalServer

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
