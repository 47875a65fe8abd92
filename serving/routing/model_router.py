"""Which backend answers: each language has a router with the live version, the previous one, and the switches.

Everything runs in the gateway's event loop: a switch is one assignment, so no request is lost between versions.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

from multiner.pipeline.core.errors import NerError
from multiner.serving.backends.backend import Backend, BackendGone, ServedModel
from multiner.serving.routing.backend_pool import BackendPool, Launch
from multiner.serving.routing.memory_budget import OutOfMemory
from multiner.serving.routing.queue import CallQueue, CallsFull

log = logging.getLogger("serving")
T = TypeVar("T")
RESTART_PAUSES = (0, 1, 2, 5, 10, 30, 60)  # seconds before each attempt to bring a lost version back
ATTEMPTS = 3  # backends that one request may lose before it fails


class NoModel(Exception):
    """No version of a language is live."""

    def __init__(self, language: str, state: str) -> None:
        super().__init__(f"no model for {language!r} is live ({state})")
        self.state = state


class ModelRouter:
    """One language's traffic.

    Args:
        language: its code.
        launch: brings up a backend for a version, or raises and leaves nothing behind.
        keep: whether the previous version stays warm, asked at each switch and by :meth:`relieve`.
        drain_seconds: the time for requests in flight in a version that is stopped.
        queue: where calls wait for the version that is live when their turn comes.
    """

    def __init__(
        self, language: str, launch: Launch, *, keep: Callable[[Backend], bool], drain_seconds: float, queue: CallQueue
    ) -> None:
        self.language = language
        self.queue = queue
        self.live: Backend | None = None
        self.previous: Backend | None = None
        self.canary: Backend | None = None  # tried out beside the live version
        self.since: datetime | None = None
        self.state = (
            "starting"  # starting, live, restarting, unloaded (for lack of memory), absent (no champion), failed
        )
        self.unloaded: ServedModel | None = None  # the version that the next request brings back
        self.last_use = 0.0  # on the event loop's clock
        self.error: str | None = None
        self.restarting: str | None = None  # the version that was lost and is started again
        self._keep = keep
        self._pool = BackendPool(language, launch, drain_seconds)
        self._lock = asyncio.Lock()  # one launch at a time
        self._orders = 0  # the number of the latest order
        self._latest_done = 0  # the number of the latest order that was carried out
        self._wake_task: asyncio.Task[NerError | None] | None = None
        self._sleepers = 0  # calls that wait for the unloaded version
        self._canary_losses = 0  # processes of canaries that were lost

    @property
    def answering(self) -> Backend | None:
        """The backend that answers: the live one or, while that is started again, the previous one or the canary."""
        return self._candidate(())

    @property
    def ready(self) -> bool:
        """Whether requests are answered, if need be once the version is loaded again."""
        return self.answering is not None or self.state == "unloaded"

    @property
    def in_demand(self) -> bool:
        """Whether its version is live, is started again, or is waited for."""
        return self.live is not None or self.state == "restarting" or self._sleepers > 0

    def _candidate(self, tried: tuple[Backend, ...]) -> Backend | None:
        for backend in (self.live, self.previous, self.canary):
            if backend is not None and backend.alive and backend not in tried:
                return backend
        return None

    async def ask(
        self, call: Callable[[Backend], Coroutine[Any, Any, T]], *, patient: bool = False, large: bool = False
    ) -> tuple[ServedModel, T]:
        """Wait in the queue, apply ``call`` to a backend, and return its version and the result.

        A call whose backend is lost is repeated with the backend that answers then. An unloaded version is loaded
        first.

        Args:
            call: calls a backend.
            patient, large: as in :meth:`CallQueue.run`.

        Raises:
            NoModel: no version is live.
            CallsFull: too many calls wait.
            BackendGone, BackendTimeout, ModelFailed: as in :meth:`.Backend.predict`.
        """
        self.last_use = asyncio.get_running_loop().time()
        while self.state == "unloaded":
            await self._woken(patient)
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

    async def _woken(self, patient: bool) -> None:
        """Wait until the unloaded version is live again; all calls wait for one launch."""
        if self._sleepers > self.queue.places and not patient:
            raise CallsFull(f"{self._sleepers} requests are waiting")
        if self._wake_task is None:
            self._wake_task = self._pool.spawn(self._wake())
        self._sleepers += 1
        try:
            error = await asyncio.shield(self._wake_task)
        finally:
            self._sleepers -= 1
        if error is not None:
            raise NoModel(self.language, self.state)

    async def _wake(self) -> NerError | None:
        """Load the unloaded version; returns the error if it does not come up."""
        async with self._lock:
            try:
                if self.unloaded is None:
                    return None  # a switch has brought a version live meanwhile
                backend = await self._pool.start(self.unloaded)
            except OutOfMemory as error:
                return error
            except NerError as error:
                self.state, self.error, self.unloaded = "failed", error.message.splitlines()[0], None
                log.error("loading failed", extra={"fields": {"language": self.language, "error": str(error)}})
                return error
            finally:
                self._wake_task = None
            self._go_live(backend)
            return None

    async def unload(self) -> bool:
        """Stop the live version, and the warm one, until the next request; returns whether that freed memory.

        Nothing happens while a request uses them or waits.
        """
        live = self.live
        busy = self._sleepers or self.queue.in_flight or self.queue.waiting or (self.canary and self.canary.in_flight)
        if live is None or not live.alive or live.model.is_endpoint or busy or live.in_flight:
            return False
        stopped = [backend for backend in (live, self.previous, self.canary) if backend is not None]
        self.live, self.previous, self.canary, self.since = None, None, None, None
        self.state, self.unloaded = "unloaded", live.model
        log.info("unloaded", extra={"fields": live.model.facts})
        await asyncio.gather(*(self._pool.retire(backend) for backend in stopped))
        return True

    async def drop_warm(self) -> bool:
        """Stop the warm version or the canary; whether that freed memory. Not while a request uses it."""
        warm = self.previous or self.canary
        if warm is None or warm.model.is_endpoint or warm.in_flight or self.live is None or not self.live.alive:
            return False
        if warm is self.canary:
            self.canary = None
        else:
            self.previous = None
        log.info("warm version stopped", extra={"fields": warm.model.facts})
        await self._pool.retire(warm)
        return True

    def _nothing(self) -> NoModel:
        return NoModel(self.language, "restarting" if self.state == "live" else self.state)

    def order(self) -> int:
        """A number for a new order; orders with higher numbers overtake it."""
        self._orders += 1
        return self._orders

    async def switch(self, model: ServedModel, order: int | None = None) -> str:
        """Bring ``model`` live; the version before answers until the new one is ready.

        A warm version goes live at once, even while another one starts; launches take turns.

        Args:
            model: the version.
            order: from :meth:`order`, if the order came before ``model`` was known.

        Returns:
            ``nothing to do``, ``rolled back`` (it was warm), ``switched``, ``unloaded`` (memory is short, so that the
            next request brings it live), or ``overtaken`` (by a later order, or the router is closing).

        Raises:
            OutOfMemory: it does not fit beside the models in use; nothing has changed then.
            NerError: the new version does not come up or fails its probe; nothing has changed then.
        """
        order = order or self.order()
        if action := self._at_once(model, order):
            return action
        async with self._lock:
            if action := self._at_once(model, order):
                return action
            if self.state in ("absent", "failed"):
                self.state = "starting"
            try:
                backend = await self._pool.start(model)
            except OutOfMemory:
                if self.in_demand:
                    raise
                if order < self._latest_done:
                    return "overtaken"
                self._latest_done = order
                self.state, self.error, self.unloaded = "unloaded", None, model
                return "unloaded"
            except NerError as error:
                self.mark("failed", error.message.splitlines()[0])
                raise
            if order < self._latest_done or self._pool.closing:
                await backend.close()
                return "overtaken"
            self._latest_done = order
            self._go_live(backend)
            return "switched"

    async def try_out(self, model: ServedModel, launch: Launch) -> str:
        """Start ``model`` beside the live version, unless it runs already; it answers what is sent to :attr:`canary`.

        Returns:
            ``canary``, ``nothing to do``, or ``overtaken`` (the router is closing).

        Raises:
            OutOfMemory: it does not fit beside the models in use.
            NerError: it does not come up; nothing has changed then.
        """
        async with self._lock:
            if self.canary is not None and self.canary.alive and self.canary.model.version == model.version:
                return "nothing to do"
            backend = await self._pool.start(model, launch)
            if self._pool.closing:
                await backend.close()
                return "overtaken"
            self.end_canary()
            self._pool.add(backend, self._lost)
            self.canary = backend
            log.info("canary", extra={"fields": backend.model.facts})
            return "canary"

    def end_canary(self) -> None:
        """Stop the canary after its requests in flight, if there is one."""
        backend, self.canary = self.canary, None
        if backend is not None:
            self._pool.retire(backend)

    def take_canary_losses(self) -> int:
        """The number of canaries' processes that were lost since this was last called."""
        losses, self._canary_losses = self._canary_losses, 0
        return losses

    def _at_once(self, model: ServedModel, order: int) -> str | None:
        """Carry out an order that needs no launch, and return the action; None if it needs one."""
        if order < self._latest_done:
            return "overtaken"
        ready = (self.live, "nothing to do"), (self.previous, "rolled back"), (self.canary, "switched")
        for backend, action in ready:
            if backend is not None and backend.alive and backend.model.version == model.version:
                self._latest_done = order
                if backend is not self.live:
                    self._go_live(backend)
                return action
        if self.unloaded is not None and self.unloaded.version == model.version:
            self._latest_done = order
            return "nothing to do"
        return None

    def rollback(self) -> ServedModel:
        """Swap the live version with the warm previous one, and return the latter.

        Raises:
            NerError: no previous version is warm.
        """
        if self.previous is None or not self.previous.alive:
            raise NerError(
                f"no previous version of {self.language!r} is warm",
                remedy=f"Run: ner rollback {self.language} (it asks the registry for the champion before).",
            )
        model = self.previous.model
        self._at_once(model, self.order())
        return model

    def mark(self, state: str, reason: str) -> None:
        """Set the state ``absent`` (no champion) or ``failed`` (it does not come up), unless there is a version."""
        if self.live is None and self.state not in ("restarting", "unloaded"):
            self.state, self.error = state, reason

    def relieve(self) -> None:
        """Stop the warm version if it may no longer stay, unless it stands in for the live one."""
        warm = self.previous
        if warm is not None and self.live is not None and self.live.alive and not self._may_stay(warm):
            self.previous = None
            log.info("warm version stopped", extra={"fields": warm.model.facts})
            self._pool.retire(warm)

    def _go_live(self, backend: Backend) -> None:
        self._pool.add(backend, self._lost)
        if backend is self.canary:
            self.canary = None
        others = [other for other in (self.live, self.previous) if other is not None and other is not backend]
        warm = next((other for other in others if other.alive), None)
        self.live, self.previous = backend, warm if warm is not None and self._may_stay(warm) else None
        self.state, self.error, self.restarting, self.since = "live", None, None, datetime.now(UTC)
        self.unloaded = None
        log.info("live", extra={"fields": backend.model.facts})
        for other in others:
            if other is not self.previous:
                self._pool.retire(other)

    def _may_stay(self, warm: Backend) -> bool:
        try:
            return self._keep(warm)
        except Exception:  # unknown memory counts as none, and must not stop a switch half-way
            log.exception("memory unknown", extra={"fields": {"language": self.language}})
            return False

    def _lost(self, backend: Backend) -> None:
        """Start the version again if it was live, else drop it."""
        if backend is self.previous:
            self.previous = None
        elif backend is self.canary:
            self.canary = None
            self._canary_losses += 1
        else:
            self.live, self.state, self.restarting = None, "restarting", backend.model.version
            self._pool.spawn(self._restart(backend.model))

    async def _restart(self, model: ServedModel) -> None:
        attempt = 0
        while not self._pool.closing:
            await asyncio.sleep(RESTART_PAUSES[min(attempt, len(RESTART_PAUSES) - 1)])
            attempt += 1
            async with self._lock:
                if self.live is not None:
                    return  # a switch has brought another version live
                try:
                    backend = await self._pool.start(model)
                except NerError as error:
                    self.error = error.message.splitlines()[0]
                    log.error("restart failed", extra={"fields": {"language": self.language, "error": str(error)}})
                    continue
                if self.live is not None or self._pool.closing:  # the warm version went live meanwhile
                    await backend.close()
                else:
                    self._go_live(backend)
                return

    async def close(self) -> None:
        """Wait for requests in flight, then close every backend."""
        self.live = self.previous = self.canary = None
        await self._pool.close()

    def describe(self) -> dict[str, Any]:
        """The language's entry in ``/health`` and ``/v1/models``."""
        backend, warm = self.answering, self.previous
        model = backend.model if backend else self.unloaded
        stands_in = backend is not None and backend is not self.live
        detail = f"the {'version before' if backend is warm else 'canary'} stands in" if stands_in else None
        return {
            "language": self.language,
            "state": self.state,
            "name": model.name if model else None,
            "version": model.version if model else None,
            "since": self.since.isoformat(timespec="seconds") if backend and self.since else None,
            "previous": warm.model.version if warm and warm.alive and not stands_in else None,
            "detail": self.error or ("the next request loads it" if self.unloaded else detail),
        }
