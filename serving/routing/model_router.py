"""Which backend answers: a route per language, with its live version, the one before, and the moves between them.

All of it runs in the gateway's event loop: a move of traffic is one assignment, so that no request falls between.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

from multiner.pipeline.core.errors import NerError
from multiner.serving.backends.backend import Backend, BackendGone, ServedModel
from multiner.serving.routing.queue import CallQueue

log = logging.getLogger("serving")
Launch = Callable[[ServedModel], Awaitable[Backend]]
T = TypeVar("T")
RESTART_PAUSES = (0, 1, 2, 5, 10, 30, 60)  # seconds before each attempt to bring a lost version back
ATTEMPTS = 3  # backends that may be lost over one request before its caller is told


class NoModel(Exception):
    """No version of a language answers right now."""

    def __init__(self, language: str, state: str) -> None:
        super().__init__(f"no model for {language!r} is live ({state})")
        self.language = language
        self.state = state


class ModelRouter:
    """One language's traffic.

    Args:
        language: its code.
        launch: brings up a backend for a version, or raises and leaves nothing behind.
        keep: whether a version that is no longer live stays warm; asked at each switch and by :meth:`relieve`.
        drain_seconds: how long requests in flight may go on in a version that is stopped.
        queue: where calls wait for the live version, whichever that is when their turn comes.
    """

    def __init__(
        self,
        language: str,
        launch: Launch,
        *,
        keep: Callable[[Backend], bool] = lambda backend: True,
        drain_seconds: float = 60,
        queue: CallQueue | None = None,
    ) -> None:
        self.language = language
        self.queue = queue or CallQueue(at_once=4, places=64)
        self.live: Backend | None = None
        self.previous: Backend | None = None
        self.since: datetime | None = None
        self.state = "starting"  # starting, live, restarting, absent (no champion), failed
        self.error: str | None = None
        self.restarting: str | None = None  # the version that was lost and is being brought up again
        self._launch = launch
        self._keep = keep
        self._drain_seconds = drain_seconds
        self._lock = asyncio.Lock()  # one launch at a time
        self._orders = 0  # given so far
        self._carried_out = 0  # the latest that was
        self._tasks: set[asyncio.Task] = set()
        self._backends: set[Backend] = set()  # every one not yet closed, whatever its part
        self._closing = False

    @property
    def answering(self) -> Backend | None:
        """What answers now: the live version or, while that is being started again, the warm one before it."""
        return self._candidate(())

    def _candidate(self, tried: tuple[Backend, ...]) -> Backend | None:
        backends = (self.live, self.previous)
        return next(
            (backend for backend in backends if backend is not None and backend.alive and backend not in tried), None
        )

    async def ask(
        self, call: Callable[[Backend], Coroutine[Any, Any, T]], *, patient: bool = False, large: bool = False
    ) -> tuple[ServedModel, T]:
        """The version that answers and its answer to ``call``, all of it one version's; waits for its turn.

        A call whose backend is lost over it is asked again of what answers then.

        Args:
            call: asks a backend.
            patient, large: as in :meth:`CallQueue.run`.

        Raises:
            NoModel: nothing is live.
            CallsFull: too many wait already.
            BackendGone, BackendTimeout, ModelFailed: as in :meth:`.Backend.predict`.
        """
        if self.answering is None:
            raise self._nothing()
        return await self.queue.run(lambda: self._ask(call), patient=patient, large=large)

    async def _ask(self, call: Callable[[Backend], Coroutine[Any, Any, T]]) -> tuple[ServedModel, T]:
        tried: tuple[Backend, ...] = ()
        gone: BackendGone | None = None
        while len(tried) < ATTEMPTS and (backend := self._candidate(tried)):
            try:
                with backend.lease():
                    return backend.model, await call(backend)
            except BackendGone as error:
                tried, gone = (*tried, backend), error
        raise gone or self._nothing()

    def _nothing(self) -> NoModel:
        return NoModel(self.language, "restarting" if self.state == "live" else self.state)

    def order(self) -> int:
        """A number for an order that is about to be given: it yields to those with higher ones."""
        self._orders += 1
        return self._orders

    async def switch(self, model: ServedModel, order: int | None = None) -> str:
        """Bring ``model`` live; the version before answers until the new one is ready.

        What is warm goes live at once, also while another version is being started; launches take turns.

        Args:
            model: the version.
            order: from :meth:`order`, where the order was given before ``model`` was known.

        Returns:
            ``nothing to do``, ``rolled back`` (it was warm), ``switched``, or ``overtaken`` (a later order was carried
            out meanwhile).

        Raises:
            NerError: the new version does not come up or fails its probe; nothing has changed then.
        """
        order = order or self.order()
        if done := self._at_once(model, order):
            return done
        async with self._lock:
            if done := self._at_once(model, order):
                return done
            if self.state in ("absent", "failed"):
                self.state = "starting"
            try:
                backend = await self._start(model)
            except NerError as error:
                self.mark_failed(error.message.splitlines()[0])
                raise
            if order < self._carried_out or self._closing:
                await backend.close()
                return "overtaken"
            self._carried_out = order
            self._take_in(backend)
            return "switched"

    async def _start(self, model: ServedModel) -> Backend:
        """A backend for ``model``.

        Raises:
            NerError: it does not come up, for whatever reason.
        """
        try:
            return await self._launch(model)
        except NerError:
            raise
        except Exception as error:  # a full disk, too many open files, no process to be had
            log.exception("launch failed", extra={"fields": {"language": self.language, "version": model.version}})
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise NerError(f"{model.name} version {model.version} cannot be started: {reason}") from error

    def _at_once(self, model: ServedModel, order: int) -> str | None:
        """Carry out an order that needs no launch; None where it does."""
        if order < self._carried_out:
            return "overtaken"
        for backend, action in ((self.live, "nothing to do"), (self.previous, "rolled back")):
            if backend is not None and backend.alive and backend.model.version == model.version:
                self._carried_out = order
                if backend is not self.live:
                    self._go_live(backend)
                return action
        return None

    def rollback(self) -> ServedModel:
        """Swap the live version with the warm previous one, and return what is live then.

        Raises:
            NerError: there is none.
        """
        if self.previous is None or not self.previous.alive:
            raise NerError(
                f"no previous version of {self.language!r} is warm",
                remedy=f"Run: ner rollback {self.language} (it asks the registry for the champion before).",
            )
        model = self.previous.model
        self._at_once(model, self.order())
        return model

    def mark_absent(self, reason: str) -> None:
        """There is no champion to serve; what is live goes on."""
        if self.live is None and self.state != "restarting":
            self.state, self.error = "absent", reason

    def mark_failed(self, reason: str) -> None:
        """The champion does not come up; a deployment may still bring a version live."""
        if self.live is None and self.state != "restarting":
            self.state, self.error = "failed", reason

    def relieve(self) -> None:
        """Stop the warm version if it may no longer be kept, unless it stands in for the live one."""
        warm = self.previous
        if warm is not None and self.live is not None and self.live.alive and not self._may_stay(warm):
            self.previous = None
            log.info("warm version stopped", extra={"fields": {"language": self.language, **_version(warm)}})
            self._spawn(self._retire(warm))

    def _take_in(self, backend: Backend) -> None:
        self._backends.add(backend)
        self._spawn(self._watch(backend))
        self._go_live(backend)

    def _go_live(self, backend: Backend) -> None:
        others = [other for other in (self.live, self.previous) if other is not None and other is not backend]
        warm = next((other for other in others if other.alive), None)
        self.live, self.previous = backend, warm if warm is not None and self._may_stay(warm) else None
        self.state, self.error, self.restarting, self.since = "live", None, None, datetime.now(UTC)
        log.info("live", extra={"fields": {"language": self.language, **_version(backend)}})
        for other in others:
            if other is not self.previous:
                self._spawn(self._retire(other))

    def _may_stay(self, warm: Backend) -> bool:
        try:
            return self._keep(warm)
        except Exception:  # no memory to be read is none to be had; and no reason to stop a switch half-way
            log.exception("memory unknown", extra={"fields": {"language": self.language}})
            return False

    async def _retire(self, backend: Backend) -> None:
        await backend.drain(self._drain_seconds)
        await backend.close()
        self._backends.discard(backend)

    async def _watch(self, backend: Backend) -> None:
        """When ``backend`` is lost: drop it if it was only warm, bring its version up again if it was live."""
        await backend.lost()
        if self._closing or backend not in (self.live, self.previous):
            return
        log.warning("backend lost", extra={"fields": {"language": self.language, **_version(backend)}})
        if backend is self.previous:
            self.previous = None
        else:
            self.live, self.state, self.restarting = None, "restarting", backend.model.version
            self._spawn(self._restart(backend.model))
        await backend.close()
        self._backends.discard(backend)

    async def _restart(self, model: ServedModel) -> None:
        attempt = 0
        while not self._closing:
            await asyncio.sleep(RESTART_PAUSES[min(attempt, len(RESTART_PAUSES) - 1)])
            attempt += 1
            async with self._lock:
                if self.live is not None:
                    return  # a switch has brought a version up meanwhile
                try:
                    backend = await self._start(model)
                except NerError as error:
                    self.error = error.message.splitlines()[0]
                    log.error("restart failed", extra={"fields": {"language": self.language, "error": str(error)}})
                    continue
                if self.live is not None or self._closing:  # what was warm has taken over meanwhile
                    await backend.close()
                else:
                    self._take_in(backend)
                return

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("background task failed", exc_info=error, extra={"fields": {"language": self.language}})

    async def close(self) -> None:
        """Let requests in flight end, then close every backend of the route."""
        self._closing = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.live = self.previous = None
        await asyncio.gather(*(self._retire(backend) for backend in list(self._backends)), return_exceptions=True)

    def describe(self) -> dict[str, Any]:
        """What /health and /v1/models say about the route."""
        backend, warm = self.answering, self.previous
        stands_in = backend is not None and backend is warm
        return {
            "language": self.language,
            "state": self.state,
            "name": backend.model.name if backend else None,
            "version": backend.model.version if backend else None,
            "since": self.since.isoformat(timespec="seconds") if backend and self.since else None,
            "previous": warm.model.version if warm and warm.alive and not stands_in else None,
            "detail": self.error or ("the version before stands in" if stands_in else None),
        }


def _version(backend: Backend) -> dict[str, str]:
    return {"name": backend.model.name, "version": backend.model.version}
