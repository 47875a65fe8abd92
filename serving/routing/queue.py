"""The queue in front of a model. It limits the calls that run and that wait, and refuses the rest.

The models of a host share its cores: a call begins when its model and the host have a place for it.

A model works on a call to its end, so a large call holds its place for long. One place is therefore closed to large
calls, and to streams while another call waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar

from multiner.serving import tracing

T = TypeVar("T")


class CallsFull(Exception):
    """No more calls may wait."""


@dataclass(eq=False, frozen=True, slots=True)
class Waiting:
    """A call that waits: its number in the order of arrival, and the future that is set when its turn comes."""

    number: int
    patient: bool
    large: bool
    turn: asyncio.Future[None]

    @property
    def bulk(self) -> bool:
        """Whether short calls may overtake it."""
        return self.patient or self.large


class Cores:
    """The places of a host, for calls to the models of all languages; languages with waiting calls take turns.

    Args:
        number: calls that all models together work on at the same time.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.in_flight = 0
        self.bulk_in_flight = 0
        self._queues: deque[CallQueue] = deque()  # the one whose call began last at the end

    def join(self, queue: CallQueue) -> None:
        """Let a queue take places."""
        self._queues.append(queue)

    @property
    def short_waits(self) -> bool:
        """Whether a short call waits for a place here alone."""
        return any(queue.short_waits for queue in self._queues)

    def advance(self) -> None:
        """Give the free places to the next calls."""
        while self.in_flight < self.number and (queue := next((each for each in self._queues if each.begin()), None)):
            self._queues.remove(queue)
            self._queues.append(queue)

    def count(self, change: int, bulk: bool) -> None:
        """Take a place (1) or give it back (-1)."""
        self.in_flight += change
        self.bulk_in_flight += change * bulk


class CallQueue:
    """A queue of short calls and of bulk: large and patient calls.

    Calls begin in the order of arrival until bulk holds all places but one. The last place is for short calls; a
    patient call that is not large may take it while no short call waits. The same holds for the places of the host. If
    the model works on one call at a time, short calls and bulk take turns. A call whose caller is cancelled while it
    waits leaves the queue.

    Args:
        at_once: calls that the model works on at the same time.
        places: calls that may wait, without patient ones.
        cores: the places that the queue shares with others; None: as many as the model has.
    """

    def __init__(self, at_once: int, places: int, cores: Cores | None = None) -> None:
        self._cores = cores or Cores(at_once)
        self._cores.join(self)
        self.at_once = min(at_once, self._cores.number)
        self.places = places
        self.in_flight = 0
        self._bulk_in_flight = 0
        self._bulk_was_last = False  # of the calls that began
        self._short: deque[Waiting] = deque()
        self._bulk: deque[Waiting] = deque()
        self._numbers = count()

    @property
    def waiting(self) -> int:
        """Number of calls that wait, with patient ones."""
        return len(self._short) + len(self._bulk)

    async def run(self, call: Callable[[], Coroutine[Any, Any, T]], *, patient: bool = False, large: bool = False) -> T:
        """Start ``call`` when its turn comes, and return its result.

        If the caller is cancelled, so is a running call. The call keeps its place until it ends, since it stops the
        model and waits for that.

        Args:
            call: makes the coroutine.
            patient: the call is never refused, however many wait; for a stream's calls.
            large: the call takes long.

        Raises:
            CallsFull: as many calls wait as may.
        """
        with tracing.span("queue"):
            bulk = await self._turn(patient, large)
        task = asyncio.create_task(call())
        task.add_done_callback(lambda task: self._ended(task, bulk))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.cancel()
            raise

    async def _turn(self, patient: bool, large: bool) -> bool:
        """Wait for a turn and take a place; returns whether the call is bulk."""
        waiting = Waiting(next(self._numbers), patient, large, asyncio.get_running_loop().create_future())
        line = self._bulk if waiting.bulk else self._short
        line.append(waiting)
        self._cores.advance()
        others = self._impatient() - 1
        if not waiting.turn.done() and not patient and others >= self.places:
            line.remove(waiting)
            raise CallsFull(f"{others} requests are waiting")
        try:
            await waiting.turn
        except asyncio.CancelledError:
            if not waiting.turn.cancelled():  # the turn had just come
                self._leave(waiting.bulk)
            elif waiting in line:
                line.remove(waiting)
                self._cores.advance()  # the call behind it may be allowed a place that this one was not
            raise
        return waiting.bulk

    def _impatient(self) -> int:
        return len(self._short) + sum(not waiting.patient for waiting in self._bulk)

    @property
    def short_waits(self) -> bool:
        """Whether a short call waits although the model has a place for it."""
        return bool(self._short) and self.in_flight < self.at_once

    def begin(self) -> bool:
        """Give a free place of the host to the next call; False where none may begin."""
        while self.in_flight < self.at_once and (waiting := self._next()):
            (self._bulk if waiting.bulk else self._short).remove(waiting)
            if waiting.turn.cancelled():
                continue
            self._count(1, waiting.bulk)
            self._bulk_was_last = waiting.bulk
            waiting.turn.set_result(None)
            return True
        return False

    def _next(self) -> Waiting | None:
        """The call that gets a free place."""
        short, bulk = (line[0] if line else None for line in (self._short, self._bulk))
        if short and bulk and self.at_once == 1:
            return short if self._bulk_was_last or short.number < bulk.number else bulk
        cores = self._cores
        if bulk and self._bulk_in_flight < max(1, self.at_once - 1) and cores.bulk_in_flight < max(1, cores.number - 1):
            return short if short and short.number < bulk.number else bulk
        return short or (bulk if bulk and not bulk.large and not cores.short_waits else None)

    def _ended(self, task: asyncio.Task[Any], bulk: bool) -> None:
        self._leave(bulk)
        if not task.cancelled():
            task.exception()  # else asyncio logs that it was never retrieved

    def _leave(self, bulk: bool) -> None:
        self._count(-1, bulk)
        self._cores.advance()

    def _count(self, change: int, bulk: bool) -> None:
        self.in_flight += change
        self._bulk_in_flight += change * bulk
        self._cores.count(change, bulk)
