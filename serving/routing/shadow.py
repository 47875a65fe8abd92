"""Shadow mode: a challenger answers copies of live calls; its answers are compared and counted, never returned.

The challenger gets a copy after the live answer (or the next part of a stream) was sent. No fault of the challenger
affects live traffic.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from multiner.pipeline.core.errors import NerError
from multiner.serving.backends.backend import Backend, ServedModel
from multiner.serving.http.after_response import after_response
from multiner.serving.routing.answer_comparison import (
    CallDifferences,
    Entities,
    LiveCall,
    ShadowComparison,
    ShadowMetrics,
)

log = logging.getLogger("serving")
PLACES = 32  # copies that may wait
PAUSES = (60, 300, 900, 3600)  # seconds before a shadow that failed or died is started again


class Shadow:
    """The shadow of one language.

    Args:
        language: its code.
        launch: brings up a backend for a version, or raises NerError and leaves nothing behind.
        share: share of the live calls that are copied, 0 to 1.
        metrics: where to count.
    """

    def __init__(
        self, language: str, launch: Callable[[ServedModel], Awaitable[Backend]], share: float, metrics: ShadowMetrics
    ) -> None:
        self.language = language
        self.share = share
        self.metrics = metrics
        self.model: ServedModel | None = None
        self.state = "off"  # off, starting, live, failed
        self.since: datetime | None = None
        self.comparison = ShadowComparison()
        self._launch = launch
        self._queue: asyncio.Queue[LiveCall] = asyncio.Queue(PLACES)
        self._task: asyncio.Task[None] | None = None

    def follow(self, model: ServedModel | None) -> None:
        """Change the challenger to ``model``, or to none; the change happens in the background."""
        if (model and model.version) == (self.model and self.model.version):
            return
        before, self.model = self._task, model
        if before is not None:
            before.cancel()
        self.state, self.comparison = "starting" if model else "off", ShadowComparison()
        self._task = asyncio.create_task(self._run(model, before))

    async def close(self) -> None:
        """End the shadow."""
        self.follow(None)
        if self._task is not None:
            await self._task

    def offer(self, texts: Sequence[str], answers: Sequence[Entities], version: str, seconds: float) -> None:
        """Copy a live call if it falls into the share; the copy waits until the live answer was sent."""
        if self.state != "live" or random.random() >= self.share:
            return
        if self.comparison.against != version:
            self.comparison = ShadowComparison(against=version)
        call = LiveCall(texts, answers, version, seconds)
        after_response(lambda: self._put(call))

    def _put(self, call: LiveCall) -> None:
        try:
            self._queue.put_nowait(call)
        except asyncio.QueueFull:
            self.comparison.dropped += 1
            self.metrics.dropped.labels(self.language).inc()

    async def _run(self, model: ServedModel | None, before: asyncio.Task[None] | None) -> None:
        """Once the task before has ended, keep a backend of ``model`` up until cancelled."""
        if before is not None:
            await asyncio.gather(before, return_exceptions=True)
        attempt = 0
        while model is not None:
            try:
                await self._serve(await self._launch(model))
                log.warning("shadow died", extra={"fields": self._fields(model)})
            except NerError as error:
                log.error("shadow failed", extra={"fields": self._fields(model) | {"error": str(error)}})
            except Exception:
                log.exception("shadow failed", extra={"fields": self._fields(model)})
            self.state = "failed"
            await asyncio.sleep(PAUSES[min(attempt, len(PAUSES) - 1)])
            attempt += 1

    async def _serve(self, backend: Backend) -> None:
        """Answer copies with ``backend`` until it is lost."""
        worker = asyncio.create_task(self._answer_copies(backend))
        self.state, self.since = "live", datetime.now(UTC)
        log.info("shadow live", extra={"fields": self._fields(backend.model)})
        try:
            await backend.lost()
            self.state = "failed"
        finally:
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)
            await backend.close()

    async def _answer_copies(self, backend: Backend) -> None:
        while True:
            call = await self._queue.get()
            comparison, start = self.comparison, time.perf_counter()
            if call.version != comparison.against:  # a version that is no longer live gave the answer
                continue
            try:
                answers = await backend.predict(call.texts)
                seconds = time.perf_counter() - start
                result = comparison.add(call, answers, seconds)
                self.metrics.add(self.language, result, call.seconds, seconds)
                self._log(result, backend.model, call.version)
            except Exception as error:
                comparison.failures += 1
                self.metrics.failures.labels(self.language).inc()
                kind = type(error).__name__  # without its message, which may quote a text
                log.warning("shadow call failed", extra={"fields": self._fields(backend.model) | {"kind": kind}})

    def _log(self, result: CallDifferences, model: ServedModel, against: str) -> None:
        if result.different:
            counts = {f"{kind} {label}": number for (kind, label), number in sorted(result.kinds.items())}
            fields = {"against": against, "texts": result.texts, "different": result.different, "differences": counts}
            log.info("shadow differs", extra={"fields": self._fields(model) | fields})

    def _fields(self, model: ServedModel) -> dict[str, Any]:
        return {"language": self.language, "shadow": model.version}

    def describe(self) -> dict[str, Any] | None:
        """The shadow's state and counts for ``/v1/models``; None without a challenger."""
        if self.model is None:
            return None
        since = self.since.isoformat(timespec="seconds") if self.since and self.state == "live" else None
        state = {"name": self.model.name, "version": self.model.version, "state": self.state, "since": since}
        return state | self.comparison.describe()
