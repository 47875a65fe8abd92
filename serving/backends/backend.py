"""The interface of what answers for a model version, wherever it runs; routing knows no more of it than this.

There are two: a process of ``mlflow models serve`` that is started here (:mod:`.local_server`), and an endpoint that
others keep up (:mod:`.remote_server`). Which backend takes the traffic is decided in
:mod:`multiner.serving.routing.model_router`.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import httpx


class BackendGone(Exception):
    """The backend did not take the call, or died over it."""


class BackendTimeout(Exception):
    """No answer within the time allowed."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model version: ``uri`` is what ``mlflow models serve -m`` takes (a folder, or models:/…), or its endpoint."""

    language: str
    name: str
    version: str
    uri: str


class Backend(ABC):
    """What answers for one model version: brought up once, called, and closed once.

    ``model`` is the version, ``in_flight`` the number of requests that lease it.
    """

    def __init__(self, model: ServedModel) -> None:
        self.model = model
        self.in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    @abstractmethod
    def address(self) -> str:
        """The URL that it is called at."""

    @property
    @abstractmethod
    def alive(self) -> bool:
        """Whether it may be called: it was brought up, is not closed, and was not found lost."""

    @property
    @abstractmethod
    def memory(self) -> int:
        """Bytes of this machine's memory that closing it would free; 0 where it runs elsewhere."""

    @abstractmethod
    async def bring_up(self, at_once: int = 1) -> None:
        """Have it ready for calls: it answers the golden texts; where it does not, nothing is left behind.

        Args:
            at_once: calls that it will have to answer at the same time.

        Raises:
            NerError: it does not come up; transient where trying again soon costs little and may help.
        """

    @abstractmethod
    async def call(self, body: bytes, params: Mapping[str, Any] | None = None) -> httpx.Response:
        """What it answers to a body at ``/invocations``, whatever the status.

        Where the caller is cancelled, or the time is up, the model is told to stop, and waited for.

        Args:
            body: JSON in one of MLflow's shapes, without ``params`` of its own.
            params: for the model.

        Raises:
            BackendGone, BackendTimeout: see there.
        """

    @abstractmethod
    async def cancel(self, call: str) -> None:
        """Tell the model to stop working on the call of this name; an older model takes no notice."""

    @abstractmethod
    async def answer(self, texts: Sequence[str], *, tokens: bool = False) -> list[dict[str, Any]]:
        """What the model answers to each text: its ``entities``, and its ``tokens`` if asked for.

        Raises:
            NoTokens: this version cannot tell tokens.
            BackendGone, BackendTimeout, ModelFailed: see there.
        """

    async def predict(self, texts: Sequence[str]) -> list[list[dict[str, Any]]]:
        """Entities of each text, as the model answers them.

        Raises:
            BackendGone, BackendTimeout, ModelFailed: see there.
        """
        return [answer["entities"] for answer in await self.answer(texts)]

    @abstractmethod
    async def lost(self) -> None:
        """Return once it answers no more: it has ended, hangs, or is not to be reached."""

    @abstractmethod
    async def close(self) -> None:
        """Give back what it holds; a process that was started here is ended. May be called twice."""

    @contextlib.contextmanager
    def lease(self) -> Iterator[Self]:
        """Count a request as in flight; :meth:`drain` waits for it."""
        self.in_flight += 1
        self._idle.clear()
        try:
            yield self
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self._idle.set()

    async def drain(self, timeout: float) -> None:
        """Wait until no request is in flight, ``timeout`` seconds at most."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), timeout)
