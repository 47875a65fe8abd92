"""The calls of a canary: which ones it gets, and how its answers compare with those of the version before.

A call that the canary fails is answered by the version before, so that no caller notices. Of a call that it answers,
the version before gets a copy once the answer was sent, behind all calls that wait.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from hashlib import sha256
from statistics import fmean
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter

from multiner.serving.answers import ModelFailed, NoTokens
from multiner.serving.backends.backend import Backend, BackendGone, BackendTimeout, ServedModel
from multiner.serving.http import conversation
from multiner.serving.http.after_response import after_response
from multiner.serving.routing.answer_comparison import Entities
from multiner.serving.routing.canary.rule import CanaryCounts
from multiner.serving.routing.model_router import ModelRouter
from multiner.serving.routing.queue import CallQueue, CallsFull

log = logging.getLogger("serving")
T = TypeVar("T")
PLACES = 32  # copies that may wait
AGREEMENT = 0.5  # F1 of two answers from which they count as the same
SCORES = 0.1  # between the mean scores of two answers, from which they count as shifted
FLOOR = 0.005  # seconds by which a call must be slower, so that noise of fast ones does not count


@dataclass(frozen=True, slots=True)
class CanaryCall:
    """A call that the canary of this number answered in ``seconds``."""

    number: int
    texts: Sequence[str]
    answers: Sequence[Entities]
    seconds: float


class CanaryMetrics:
    """The counts of all canaries since the gateway's start, in its metrics registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, label: str) -> Counter:
            return Counter(f"ner_canary_{name}_total", text, ["language", label], registry=registry)

        self.calls = counter("calls", "Calls of canaries.", "outcome")
        self.compared = counter("compared", "Calls that the version before answered, too.", "outcome")
        self.ended = counter("ended", "Canaries that this gateway ended.", "outcome")


class CanaryCalls:
    """The calls of one language's canary.

    Args:
        route: its router.
        share: share of the conversations that the canary gets, 0 to 1.
        slowdown: how many times as long as the version before a call may take.
        patience: seconds after which a call of the canary is given up.
        queue: where calls wait for the canary.
        metrics: where to count.
    """

    def __init__(
        self,
        route: ModelRouter,
        share: float,
        *,
        slowdown: float,
        patience: float,
        queue: CallQueue,
        metrics: CanaryMetrics,
    ) -> None:
        self.share = share
        self._route, self._slowdown, self._patience, self._queue = route, slowdown, patience, queue
        self._metrics = metrics
        self._number: int | None = None  # of the canary that gets calls
        self._counts = CanaryCounts()  # since they were last taken
        self._copies: asyncio.Queue[CanaryCall] = asyncio.Queue(PLACES)
        self._worker: asyncio.Task[None] | None = None

    def begin(self, number: int) -> None:
        """Give calls to the canary of this number."""
        if self._number != number:
            self._number, self._counts = number, CanaryCounts()
        if self._worker is None:
            self._worker = asyncio.create_task(self._compare_copies())

    def end(self) -> None:
        """Give the canary no more calls."""
        self._number = None

    async def close(self) -> None:
        """End the comparisons."""
        self.end()
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)

    def take_counts(self) -> CanaryCounts:
        """The counts since this was last called."""
        counts, self._counts = self._counts, CanaryCounts()
        return counts

    def give_back(self, counts: CanaryCounts) -> None:
        """Count again what could not be put on record."""
        self._counts += counts

    def chosen(self) -> Backend | None:
        """The canary's backend if the current request's conversation belongs to it."""
        backend, key = self._route.canary, conversation.current.get()
        if self._number is None or backend is None or not backend.alive or key is None:
            return None
        digest = sha256(f"{self._route.language}/{backend.model.version}/{key}".encode()).digest()
        return backend if int.from_bytes(digest[:8]) < self.share * 2**64 else None

    async def call(
        self,
        call: Callable[[Backend], Coroutine[Any, Any, T]],
        by_live: Callable[[], Awaitable[tuple[ServedModel, T]]],
        *,
        large: bool = False,
    ) -> tuple[ServedModel, T]:
        """The version that answers and its result: the canary if the conversation is its own and it does not fail.

        Args:
            call: calls a backend.
            by_live: asks the live version.
            large: as in :meth:`.CallQueue.run`.
        """
        backend, number = self.chosen(), self._number
        if backend is None:
            return await by_live()
        has_begun = False

        async def attempt() -> T:
            nonlocal has_begun
            has_begun = True
            with backend.lease():
                return await call(backend)

        try:
            async with asyncio.timeout(self._patience):
                result = await self._queue.run(attempt, large=large)
        except (BackendGone, BackendTimeout, ModelFailed, TimeoutError) as error:
            answer = await by_live()  # only a call that the version before answers counts against the canary
            if has_begun and number == self._number:
                self._counts += CanaryCounts(calls=1, failures=1)
                self._metrics.calls.labels(self._route.language, "failed").inc()
                fields = {"language": self._route.language, "version": backend.model.version}
                log.warning("canary call failed", extra={"fields": fields | {"kind": type(error).__name__}})
            return answer
        except (CallsFull, NoTokens):
            return await by_live()
        if number == self._number:
            self._counts += CanaryCounts(calls=1)
            self._metrics.calls.labels(self._route.language, "answered").inc()
        return backend.model, result

    def compare(self, texts: Sequence[str], answers: Sequence[Entities], seconds: float) -> None:
        """Compare the canary's answers with the version before, once the answer to the caller was sent."""
        if self._number is not None:
            call = CanaryCall(self._number, texts, answers, seconds)
            after_response(lambda: self._put(call))

    def _put(self, call: CanaryCall) -> None:
        if self._copies.full():
            self._metrics.compared.labels(self._route.language, "dropped").inc()
        else:
            self._copies.put_nowait(call)

    async def _compare_copies(self) -> None:
        while True:
            call = await self._copies.get()
            if call.number != self._number:
                continue
            try:
                counts = await self._compared(call)
            except Exception as error:  # a fault of the version before, or no version is live
                fields = {
                    "language": self._route.language,
                    "kind": type(error).__name__,
                }  # its message may quote a text
                log.warning("canary copy not answered", extra={"fields": fields})
                continue
            if call.number == self._number:
                self._counts += counts
                for outcome in ("slower", "different", "shifted"):
                    self._metrics.compared.labels(self._route.language, outcome).inc(getattr(counts, outcome))
                self._metrics.compared.labels(self._route.language, "all").inc()

    async def _compared(self, call: CanaryCall) -> CanaryCounts:
        """The counts of one call, after the version before has answered it."""

        async def ask(backend: Backend) -> tuple[list[list[dict[str, Any]]], float]:
            start = time.perf_counter()
            return await backend.predict(call.texts), time.perf_counter() - start

        model, (answers, seconds) = await self._route.ask(ask, patient=True)
        base = self._route.live
        if base is None or model.version != base.model.version:  # another one stands in for the version before
            return CanaryCounts()
        tried, live = _mean_score(call.answers), _mean_score(answers)
        shift = None if tried is None or live is None else abs(tried - live)
        return CanaryCounts(
            compared=1,
            slower=call.seconds > self._slowdown * seconds + FLOOR,
            different=agreement(call.answers, answers) < AGREEMENT,
            scored=shift is not None,
            shifted=shift is not None and shift > SCORES,
        )


def agreement(canary: Sequence[Entities], live: Sequence[Entities]) -> float:
    """F1 of two answers to the same texts, by exact boundaries and type; 1 if both found nothing."""
    first, second = (
        {(text, each["start"], each["end"], each["label"]) for text, found in enumerate(answers) for each in found}
        for answers in (canary, live)
    )
    total = len(first) + len(second)
    return 2 * len(first & second) / total if total else 1.0


def _mean_score(answers: Sequence[Entities]) -> float | None:
    scores = [each["score"] for found in answers for each in found if each.get("score") is not None]
    return fmean(scores) if scores else None
