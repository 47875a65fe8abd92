"""The queue in front of a model: so many calls at once, so many waiting, the rest refused.

A model works a call to its end, so a place that a large one holds is lost to the short ones for long. One place is
therefore kept from large calls, and from streams while anybody else waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar

T = TypeVar("T")


class CallsFull(Exception):
    """As many calls as may wait are waiting."""


@dataclass(eq=False, frozen=True, slots=True)
class Waiting:
    """A call that waits: its number in the order of arrival, and what tells it that its turn has come."""

    number: int
    patient: bool
    large: bool
    turn: asyncio.Future[None]

    @property
    def bulk(self) -> bool:
        """Whether it may have to stand back for others."""
        return self.patient or self.large


class CallQueue:
    """First come, first served, among short calls and among others, which are called bulk.

    Both begin in the order of arrival until bulk holds all places but one. That one is for short calls; a patient call
    that is not large takes it while none waits. Where the model works on one call at a time, the two take turns.
    Whoever is cancelled while waiting leaves the queue, and its call is never begun.

    Args:
        at_once: calls that the model works on at the same time.
        places: calls that may wait, patient ones aside.
    """

    def __init__(self, at_once: int, places: int) -> None:
        self.at_once = at_once
        self.places = places
        self.in_flight = 0
        self._bulk_in_flight = 0
        self._bulk_was_last = False  # of the calls that began
        self._short: deque[Waiting] = deque()
        self._bulk: deque[Waiting] = deque()
        self._numbers = count()

    @property
    def waiting(self) -> int:
        """Calls that wait, patient ones included."""
        return len(self._short) + len(self._bulk)

    async def run(self, call: Callable[[], Coroutine[Any, Any, T]], *, patient: bool = False, large: bool = False) -> T:
        """The outcome of ``call``, begun when its turn comes.

        Where its caller is cancelled, a call that has begun is cancelled, too. It holds its place at the model until it
        has ended: it sees to it that the model stops, and waits for that.

        Args:
            call: makes the coroutine.
            patient: never refused, however many wait; for calls without end, such as a stream's.
            large: it will hold its place for long.

        Raises:
            CallsFull: every place is taken.
        """
        bulk = await self._turn(patient, large)
        task = asyncio.create_task(call())
        task.add_done_callback(lambda task: self._ended(task, bulk))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.cancel()
            raise

    async def _turn(self, patient: bool, large: bool) -> bool:
        """Wait for a turn, and hold a place from then on; whether it is one of bulk."""
        waiting = Waiting(next(self._numbers), patient, large, asyncio.get_running_loop().create_future())
        line = self._bulk if waiting.bulk else self._short
        line.append(waiting)
        self._advance()
        others = self._impatient() - 1
        if not waiting.turn.done() and not patient and others >= self.places:
            line.remove(waiting)
            raise CallsFull(f"{others} requests are waiting")
        try:
            await waiting.turn
        except asyncio.CancelledError:
            if not waiting.turn.cancelled():  # it had just come
                self._leave(waiting.bulk)
            elif waiting in line:
                line.remove(waiting)
                self._advance()  # what stood behind it may take a place that it could not
            raise
        return waiting.bulk

    def _impatient(self) -> int:
        return len(self._short) + sum(not waiting.patient for waiting in self._bulk)

    def _advance(self) -> None:
        """Give the free places to those whose turn it is."""
        while self.in_flight < self.at_once and (waiting := self._next()):
            (self._bulk if waiting.bulk else self._short).remove(waiting)
            if waiting.turn.cancelled():
                continue
            self.in_flight += 1
            self._bulk_in_flight += waiting.bulk
            self._bulk_was_last = waiting.bulk
            waiting.turn.set_result(None)

    def _next(self) -> Waiting | None:
        """Who is to have a place that is free."""
        short, bulk = (line[0] if line else None for line in (self._short, self._bulk))
        if short and bulk and self.at_once == 1:
            return short if self._bulk_was_last or short.number < bulk.number else bulk
        if bulk and self._bulk_in_flight < max(1, self.at_once - 1):
            return short if short and short.number < bulk.number else bulk
        return short or (bulk if bulk and not bulk.large else None)

    def _ended(self, task: asyncio.Task[Any], bulk: bool) -> None:
        self._leave(bulk)
        if not task.cancelled():
            task.exception()  # asked for here, in case that nobody else is left to ask

    def _leave(self, bulk: bool) -> None:
        self.in_flight -= 1
        self._bulk_in_flight -= bulk
        self._advance()
