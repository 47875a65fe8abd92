"""The backends of a language that are open: how they are started, noticed when they are lost, and closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from multiner.pipeline.core.errors import NerError
from multiner.serving.backends.backend import Backend, ServedModel

log = logging.getLogger("serving")
Launch = Callable[[ServedModel], Awaitable[Backend]]
T = TypeVar("T")


class BackendPool:
    """The open backends of a language, and the background tasks that care for them.

    Args:
        language: its code.
        launch: brings up a backend for a version, or raises and leaves nothing behind.
        drain_seconds: the time for requests in flight in a backend that is retired.
    """

    def __init__(self, language: str, launch: Launch, drain_seconds: float) -> None:
        self.closing = False
        self._language = language
        self._launch = launch
        self._drain_seconds = drain_seconds
        self._open: set[Backend] = set()
        self._in_use: set[Backend] = set()  # those of the open ones that are not retired
        self._tasks: set[asyncio.Task] = set()

    async def start(self, model: ServedModel, launch: Launch | None = None) -> Backend:
        """A backend for ``model``, started by ``launch`` if given; any failure is raised as NerError."""
        try:
            return await (launch or self._launch)(model)
        except NerError:
            raise
        except Exception as error:  # a full disk, too many open files or processes
            log.exception("launch failed", extra={"fields": model.facts})
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise NerError(f"{model.name} version {model.version} cannot be started: {reason}") from error

    def add(self, backend: Backend, on_loss: Callable[[Backend], None]) -> None:
        """Take in a backend, if it is new. If it is lost before it is retired: call ``on_loss`` and close it."""
        if backend in self._open:
            return
        self._open.add(backend)
        self._in_use.add(backend)
        self.spawn(self._watch(backend, on_loss))

    async def _watch(self, backend: Backend, on_loss: Callable[[Backend], None]) -> None:
        await backend.lost()
        if self.closing or backend not in self._in_use:
            return
        self._in_use.discard(backend)
        log.warning("backend lost", extra={"fields": backend.model.facts})
        on_loss(backend)
        await backend.close()
        self._open.discard(backend)

    def retire(self, backend: Backend) -> asyncio.Task[None]:
        """Close a backend after its requests in flight."""
        self._in_use.discard(backend)
        return self.spawn(self._drain_and_close(backend))

    async def _drain_and_close(self, backend: Backend) -> None:
        await backend.drain(self._drain_seconds)
        await backend.close()
        self._open.discard(backend)

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run ``work`` in the background; an error goes to the log."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("background task failed", exc_info=error, extra={"fields": {"language": self._language}})

    async def close(self) -> None:
        """Stop the background tasks, wait for requests in flight, then close every backend."""
        self.closing = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(self.retire(backend) for backend in list(self._open)), return_exceptions=True)
