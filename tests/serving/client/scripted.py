"""A transport that answers a client by a script, and answers in a gateway's form."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import httpx

from multiner import AsyncClient, Client
from multiner.serving.http.problems import Problem

NAMES = {"Ingrid Halvorsen": "PER", "Oslo": "LOC", "Анна Ветрова": "PER", "Архангельске": "LOC"}
MODEL = {"name": "ner", "version": "3"}
Answer = Callable[[httpx.Request], httpx.Response]


def findings(text: str) -> dict[str, Any]:
    matches = re.finditer("|".join(NAMES), text)
    entities = [
        {"start": m.start(), "end": m.end(), "text": m.group(), "label": NAMES[m.group()], "score": 0.5, "new": 1}
        for m in matches
    ]
    return {"language": "ru" if "А" in text else "en", "model": MODEL, "entities": entities, "flags": []}


def answer(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"results": [findings(text) for text in json.loads(request.content)["text"]]})


def problem(status: int, where: str | None = None, **headers: str) -> httpx.Response:
    body = Problem(status, "some", "Some problem", "It went wrong.", where=where).to_json("id-7")
    return httpx.Response(status, json=body, headers=headers)


class Script:
    """A transport that answers with what it was given, then as a gateway does; keeps the requests."""

    def __init__(self, *script: httpx.Response | Exception, then: Answer = answer) -> None:
        self.script = list(script)
        self.then = then
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        step = self.script.pop(0) if self.script else self.then(request)
        if isinstance(step, Exception):
            raise step
        return step

    async def later(self, request: httpx.Request) -> httpx.Response:
        return self(request)

    @property
    def sizes(self) -> list[int]:
        return [len(json.loads(request.content)["text"]) for request in self.requests]

    def client(self, **settings: Any) -> Client:
        return Client("http://gateway", http=httpx.Client(transport=httpx.MockTransport(self)), **settings)

    def async_client(self, **settings: Any) -> AsyncClient:
        http = httpx.AsyncClient(transport=httpx.MockTransport(self.later))
        return AsyncClient("http://gateway", http=http, **settings)
