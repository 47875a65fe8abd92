"""Challengers for tests of shadow mode: backends without a process, and settings of a gateway that shadows them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from multiner.pipeline.core.errors import NerError
from multiner.serving.backends.backend import ServedModel
from multiner.serving.backends.local_server import LocalServer
from multiner.serving.routing.config import ShadowConfig


def entity(start: int, end: int, label: str) -> dict[str, Any]:
    """An entity of an answer, as far as it is compared."""
    return {"start": start, "end": end, "label": label}


class Twin(LocalServer):
    """A challenger's backend without a process; ``answer`` is what it makes of a text."""

    def __init__(self, model: ServedModel, answer: Callable[[str], list[dict[str, Any]]]) -> None:
        super().__init__(model, Path("unused.log"))
        self.answer = answer
        self.asked: list[str] = []
        self.open = asyncio.Event()  # cleared: it does not answer
        self.open.set()
        self.dead = asyncio.Event()

    @property
    def alive(self) -> bool:
        return not self.dead.is_set()

    async def predict(self, texts: Any) -> list[list[dict[str, Any]]]:
        self.asked += texts
        await self.open.wait()
        return [self.answer(text) for text in texts]

    async def lost(self) -> None:
        await self.dead.wait()

    async def close(self) -> None:
        self.dead.set()


class Shadowed:
    """Settings of a gateway whose English has a challenger, and what was launched for it."""

    def __init__(self, answer: Callable[[str], list[dict[str, Any]]] = lambda text: [], share: float = 1.0) -> None:
        self.challengers: dict[str, str | None] = {"en": "7"}
        self.answer = answer
        self.twins: list[Twin] = []
        self.refusal: NerError | None = None
        self.refused = 0  # launches so far
        self.settings = {"shadow": ShadowConfig(self.challenger, self.launch, share), "reconcile_seconds": 0.02}

    def challenger(self, language: str) -> ServedModel | None:
        version = self.challengers.get(language)
        return ServedModel(language, f"ner-{language}", version, "unused") if version else None

    async def launch(self, model: ServedModel) -> LocalServer:
        if self.refusal:
            self.refused += 1
            raise self.refusal
        self.twins.append(Twin(model, self.answer))
        return self.twins[-1]
