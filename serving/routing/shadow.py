"""Shadow mode: a challenger answers copies of live traffic; its answers are compared, counted, and never returned.

A copy is asked once the live answer has been sent, of a stream's answer the next part. Whatever becomes of the shadow,
live traffic does not notice.
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
from multiner.serving.routing.answer_comparison import Comparison, Copy, Entities, Finding, ShadowMetrics

log = logging.getLogger("serving")
PLACES = 32  # calls of which copies may wait
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
        self.found = Comparison()
        self._launch = launch
        self._queue: asyncio.Queue[Copy] = asyncio.Queue(PLACES)
        self._task: asyncio.Task[None] | None = None

    def follow(self, model: ServedModel | None) -> None:
        """Shadow with ``model`` from now on, or not at all; the change itself happens in the background."""
        if (model and model.version) == (self.model and self.model.version):
            return
        before, self.model = self._task, model
        if before is not None:
            before.cancel()
        self.state, self.found = "starting" if model else "off", Comparison()
        self._task = asyncio.create_task(self._run(model, before))

    async def close(self) -> None:
        """End it."""
        self.follow(None)
        if self._task is not None:
            await self._task

    def offer(self, texts: Sequence[str], answers: Sequence[Entities], version: str, seconds: float) -> None:
        """Take a copy of a call, if it falls into the share; it is asked after the live answer, if there is room."""
        if self.state != "live" or random.random() >= self.share:
            return
        if self.found.against != version:
            self.found = Comparison(against=version)
        copy = Copy(texts, answers, version, seconds)
        after_response(lambda: self._put(copy))

    def _put(self, copy: Copy) -> None:
        try:
            self._queue.put_nowait(copy)
        except asyncio.QueueFull:
            self.found.dropped += 1
            self.metrics.dropped.labels(self.language).inc()

    async def _run(self, model: ServedModel | None, before: asyncio.Task[None] | None) -> None:
        """Keep a backend of ``model`` up until cancelled, once the task before has ended."""
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
        worker = asyncio.create_task(self._work(backend))
        self.state, self.since = "live", datetime.now(UTC)
        log.info("shadow live", extra={"fields": self._fields(backend.model)})
        try:
            await backend.lost()
            self.state = "failed"
        finally:
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)
            await backend.close()

    async def _work(self, backend: Backend) -> None:
        while True:
            copy = await self._queue.get()
            tally, begun = self.found, time.perf_counter()
            if copy.version != tally.against:  # of a live version that is so no more
                continue
            try:
                answers = await backend.predict(copy.texts)
                seconds = time.perf_counter() - begun
                finding = tally.add(copy, answers, seconds)
                self.metrics.add(self.language, finding, copy.seconds, seconds)
                self._tell(finding, copy.version)
            except Exception as error:
                tally.failures += 1
                self.metrics.failures.labels(self.language).inc()
                kind = type(error).__name__  # its message may quote a text
                log.warning("shadow call failed", extra={"fields": self._fields(backend.model) | {"kind": kind}})

    def _tell(self, finding: Finding, against: str) -> None:
        if finding.different:
            counts = {f"{kind} {label}": number for (kind, label), number in sorted(finding.kinds.items())}
            fields = {"against": against, "texts": finding.texts, "different": finding.different, "differences": counts}
            log.info("shadow differs", extra={"fields": self._fields() | fields})

    def _fields(self, model: ServedModel | None = None) -> dict[str, Any]:
        model = model or self.model
        return {"language": self.language, "shadow": model.version if model else None}

    def describe(self) -> dict[str, Any] | None:
        """What /v1/models says of it; None where there is no challenger."""
        if self.model is None:
            return None
        since = self.since.isoformat(timespec="seconds") if self.since and self.state == "live" else None
        named = {"name": self.model.name, "version": self.model.version, "state": self.state, "since": since}
        return named | self.found.describe()
