"""The queue in front of a model: so many calls at once, so many waiting, the rest refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class CallsFull(Exception):
    """As many calls as may wait are waiting."""


class CallQueue:
    """First come, first served. Whoever is cancelled while waiting leaves the queue, and its call is never begun.

    Args:
        at_once: calls that the model works on at the same time.
        places: calls that may wait.
    """

    def __init__(self, at_once: int, places: int) -> None:
        self.places = places
        self.waiting = 0
        self._room = asyncio.Semaphore(at_once + places)
        self._turns = asyncio.Semaphore(at_once)
        self._calls: set[asyncio.Task[Any]] = set()

    @property
    def in_flight(self) -> int:
        """Calls that the model works on."""
        return len(self._calls)

    async def run(self, call: Callable[[], Coroutine[Any, Any, T]], *, patient: bool = False) -> T:
        """The outcome of ``call``, begun when its turn comes.

        Where its caller is cancelled, a call that has begun is cancelled, too. It holds its place at the model until it
        has ended: it sees to it that the model stops, and waits for that.

        Args:
            call: makes the coroutine.
            patient: wait for a place in the queue, too, in place of being refused.

        Raises:
            CallsFull: every place is taken.
        """
        if self._room.locked() and not patient:
            raise CallsFull(f"{self.waiting} requests are waiting")
        await self._room.acquire()
        self.waiting += 1
        try:
            await self._turns.acquire()
        except BaseException:
            self._room.release()
            raise
        finally:
            self.waiting -= 1
        task = asyncio.create_task(call())
        self._calls.add(task)
        task.add_done_callback(self._ended)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.cancel()
            raise

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._calls.discard(task)
        self._turns.release()
        self._room.release()
        if not task.cancelled():
            task.exception()  # asked for here, in case that nobody else is left to ask
