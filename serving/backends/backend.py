"""The interface of what answers for a model version; routing knows no more of it than this.

:mod:`.local_server` starts a process of ``mlflow models serve``; :mod:`.remote_server` calls an endpoint elsewhere.
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
    """The backend did not take the call, or died during it."""


class BackendTimeout(Exception):
    """The answer did not come in time."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model version. ``uri`` is what ``mlflow models serve -m`` takes (a folder, or models:/…), or an endpoint."""

    language: str
    name: str
    version: str
    uri: str

    @property
    def is_endpoint(self) -> bool:
        """Whether others serve it, elsewhere."""
        return self.uri.startswith(("http://", "https://"))

    @property
    def facts(self) -> dict[str, str]:
        """What the log says of it."""
        return {"language": self.language, "name": self.name, "version": self.version}


class Backend(ABC):
    """What answers for one model version: brought up once, called, and closed once.

    ``in_flight`` is the number of requests that lease it.
    """

    def __init__(self, model: ServedModel) -> None:
        self.model = model
        self.in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    @abstractmethod
    def address(self) -> str:
        """The URL of the server."""

    @property
    @abstractmethod
    def alive(self) -> bool:
        """Whether it may be called: it is up, not closed, and not lost."""

    @property
    @abstractmethod
    def memory(self) -> int:
        """Bytes of this machine's memory that closing it would free; 0 where it runs elsewhere."""

    @abstractmethod
    async def bring_up(self, at_once: int = 1) -> None:
        """Start it, ask it the golden texts, and warm it up for ``at_once`` simultaneous calls.

        Raises:
            NerError: it does not come up, and nothing is left behind; transient where trying again soon may help.
        """

    @abstractmethod
    async def call(self, body: bytes, params: Mapping[str, Any] | None = None) -> httpx.Response:
        """The response of ``/invocations`` to a body, whatever its status but 504.

        If the caller is cancelled or the time is up, the model is told to stop, and waited for.

        Args:
            body: JSON in one of MLflow's shapes, without ``params`` of its own.
            params: for the model.

        Raises:
            BackendGone: the backend was lost; another one may answer.
            BackendTimeout: MLflow gave the model up (status 504).
        """

    @abstractmethod
    async def cancel(self, call: str) -> None:
        """Tell the model to stop working on the call of this name; an older model takes no notice."""

    @abstractmethod
    async def answer(self, texts: Sequence[str], *, tokens: bool = False) -> list[dict[str, Any]]:
        """The model's answer to each text: ``entities`` and, on request, ``tokens``.

        Raises:
            NoTokens: this version has no tokens.
            BackendGone, BackendTimeout: as in :meth:`call`.
            ModelFailed: the model raised an error, or its answer is not valid.
        """

    async def predict(self, texts: Sequence[str]) -> list[list[dict[str, Any]]]:
        """The entities of each text; raises as :meth:`answer`."""
        return [answer["entities"] for answer in await self.answer(texts)]

    @abstractmethod
    async def lost(self) -> None:
        """Return once it no longer answers: it has ended, hangs, or cannot be reached."""

    @abstractmethod
    async def close(self) -> None:
        """Release what it holds and end a process that was started here. May be called twice."""

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
        """Wait until no request is in flight, at most ``timeout`` seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), timeout)
