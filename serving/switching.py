"""Which slot answers: a route per language, with its live version, the one before, and the moves between them.

All of it runs in the gateway's event loop: a move of traffic is one assignment, so that no request falls between.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

from pipeline.errors import NerError
from serving.queueing import CallQueue
from serving.slots import ServedModel, Slot, SlotGone

log = logging.getLogger("serving")
Launch = Callable[[ServedModel], Awaitable[Slot]]
T = TypeVar("T")
RESTART_PAUSES = (0, 1, 2, 5, 10, 30, 60)  # seconds before each attempt to bring a dead version back


class NoModel(Exception):
    """No version of a language is live right now."""

    def __init__(self, language: str, state: str) -> None:
        super().__init__(f"no model for {language!r} is live ({state})")
        self.language = language
        self.state = state


class Route:
    """One language's traffic.

    Args:
        language: its code.
        launch: starts and probes a slot for a version, or raises NerError and leaves nothing behind.
        keep_previous: whether the version before stays warm.
        drain_seconds: how long requests in flight may go on in a version that is stopped.
        queue: where calls wait for the live version, whichever that is when their turn comes.
    """

    def __init__(
        self,
        language: str,
        launch: Launch,
        *,
        keep_previous: bool = True,
        drain_seconds: float = 60,
        queue: CallQueue | None = None,
    ) -> None:
        self.language = language
        self.queue = queue or CallQueue(at_once=4, places=64)
        self.live: Slot | None = None
        self.previous: Slot | None = None
        self.since: datetime | None = None
        self.state = "starting"  # starting, live, restarting, absent (no champion), failed
        self.error: str | None = None
        self._launch = launch
        self._keep_previous = keep_previous
        self._drain_seconds = drain_seconds
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task] = set()
        self._slots: set[Slot] = set()  # every process not yet stopped, whatever its part
        self._closing = False

    async def ask(
        self, call: Callable[[Slot], Coroutine[Any, Any, T]], *, patient: bool = False
    ) -> tuple[ServedModel, T]:
        """The live version and its answer to ``call``, which one version gives; waits for its turn.

        Args:
            call: asks a slot.
            patient: as in :meth:`CallQueue.run`.

        Raises:
            NoModel: nothing is live.
            CallsFull: too many wait already.
            SlotGone, SlotTimeout, ModelFailed: as in :meth:`Slot.predict`.
        """
        if self.live is None:
            raise NoModel(self.language, self.state)
        return await self.queue.run(lambda: self._ask(call), patient=patient)

    async def _ask(self, call: Callable[[Slot], Coroutine[Any, Any, T]]) -> tuple[ServedModel, T]:
        for last_try in (False, True):
            slot = self.live
            if slot is None:
                break
            try:
                with slot.lease():
                    return slot.model, await call(slot)
            except SlotGone:
                if last_try or self.live is slot:
                    raise
                # else the traffic has moved on meanwhile: ask there
        raise NoModel(self.language, self.state)

    async def switch(self, model: ServedModel) -> str:
        """Bring ``model`` live; returns ``nothing to do``, ``rolled back`` (it was warm), or ``switched``.

        One switch at a time; the version before answers until the new one is ready.

        Raises:
            NerError: the new version does not come up or fails its probe; nothing has changed then.
        """
        async with self._lock:
            if self.live is not None and self.live.alive and self.live.model.version == model.version:
                return "nothing to do"
            warm = self.previous
            if warm is not None and warm.alive and warm.model.version == model.version:
                self._go_live(warm)
                return "rolled back"
            try:
                slot = await self._launch(model)
            except NerError as error:
                if self.live is None:
                    self.state, self.error = "failed", error.message.splitlines()[0]
                raise
            self._take_in(slot)
            return "switched"

    async def rollback(self) -> ServedModel:
        """Swap the live version with the warm previous one, and return what is live then.

        Raises:
            NerError: there is none.
        """
        async with self._lock:
            if self.previous is None or not self.previous.alive:
                raise NerError(
                    f"no previous version of {self.language!r} is warm",
                    remedy=f"Run: ner rollback {self.language} (it asks the registry for the champion before).",
                )
            self._go_live(self.previous)
            return self.live.model

    def mark_absent(self, reason: str) -> None:
        """There is no champion to serve."""
        self.state, self.error = "absent", reason

    def mark_failed(self, reason: str) -> None:
        """The champion does not come up; a deployment may still bring a version live."""
        if self.live is None:
            self.state, self.error = "failed", reason

    def _take_in(self, slot: Slot) -> None:
        self._slots.add(slot)
        self._spawn(self._watch(slot))
        self._go_live(slot)

    def _go_live(self, slot: Slot) -> None:
        old, displaced = self.live, self.previous
        self.live, self.previous = slot, None
        self.state, self.error, self.since = "live", None, datetime.now(UTC)
        log.info("live", extra={"fields": {"language": self.language, "version": slot.model.version}})
        if displaced is slot:
            displaced = None
        if old is not None and old.alive and self._keep_previous:
            self.previous = old
        elif old is not None:
            self._spawn(self._retire(old))
        if displaced is not None:
            self._spawn(self._retire(displaced))

    async def _retire(self, slot: Slot) -> None:
        await slot.drain(self._drain_seconds)
        await slot.stop()
        self._slots.discard(slot)

    async def _watch(self, slot: Slot) -> None:
        """When ``slot`` dies unasked: drop it if it was only warm, start its version again if it was live."""
        await slot.died()
        if self._closing or slot not in (self.live, self.previous):
            return
        log.warning("slot died", extra={"fields": {"language": self.language, "version": slot.model.version}})
        if slot is self.previous:
            self.previous = None
        else:
            self.live, self.state = None, "restarting"
            self._spawn(self._restart(slot.model))
        await slot.stop()
        self._slots.discard(slot)

    async def _restart(self, model: ServedModel) -> None:
        attempt = 0
        while not self._closing:
            await asyncio.sleep(RESTART_PAUSES[min(attempt, len(RESTART_PAUSES) - 1)])
            attempt += 1
            async with self._lock:
                if self.live is not None or self._closing:
                    return  # a switch has brought a version up meanwhile
                try:
                    slot = await self._launch(model)
                except NerError as error:
                    self.error = error.message.splitlines()[0]
                    log.error("restart failed", extra={"fields": {"language": self.language, "error": str(error)}})
                    continue
                self._take_in(slot)
                return

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Let requests in flight end, then stop every process of the route."""
        self._closing = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.live = self.previous = None
        await asyncio.gather(*(self._retire(slot) for slot in list(self._slots)))

    def describe(self) -> dict[str, Any]:
        """What /health and /v1/models say about the route."""
        live, previous = self.live, self.previous
        return {
            "language": self.language,
            "state": self.state,
            "name": live.model.name if live else None,
            "version": live.model.version if live else None,
            "since": self.since.isoformat(timespec="seconds") if live and self.since else None,
            "previous": previous.model.version if previous and previous.alive else None,
            "detail": self.error,
        }
