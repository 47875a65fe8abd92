"""Shadow mode: a challenger answers copies of live traffic; its answers are compared, counted, and never returned.

A copy is taken once the live answer has been sent. Whatever becomes of the shadow, live traffic does not notice.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter as Tally
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pipeline.document import Span
from pipeline.errors import NerError
from pipeline.evaluation.mistakes import BOUNDARY, MISSED, SPURIOUS, TYPE, mistakes
from serving.afterwards import afterwards
from serving.metrics import SECONDS, Counter, Gauge, Histogram
from serving.slots import ServedModel, Slot

log = logging.getLogger("serving")
Entities = Sequence[Mapping[str, Any]]
KINDS = {MISSED: "only_live", SPURIOUS: "only_shadow", TYPE: "other_type", BOUNDARY: "other_boundaries"}
PLACES = 32  # calls of which copies may wait
PAUSES = (60, 300, 900, 3600)  # seconds before a shadow that failed or died is started again


def differences(live: Entities, shadow: Entities) -> Iterator[tuple[str, str]]:
    """How two answers to a text differ: kind (a value of KINDS) and type, the live one's where it has one.

    An entity that only one of them has, has no counterpart that overlaps; of overlapping ones, another type counts
    whatever the boundaries.
    """
    for each in mistakes(_spans(live), _spans(shadow)):
        yield KINDS[each.kind], (each.gold or each.predicted).label


def _spans(entities: Entities) -> list[Span]:
    return [Span(each["start"], each["end"], each["label"]) for each in entities]


@dataclass(frozen=True, slots=True)
class Copy:
    """A call as the live version answered it, in ``seconds``."""

    texts: Sequence[str]
    answers: Sequence[Entities]
    version: str
    seconds: float


@dataclass
class Comparison:
    """What came of one challenger beside one live version, ``against``."""

    against: str | None = None
    texts: int = 0
    different: int = 0
    calls: int = 0
    dropped: int = 0
    failures: int = 0
    live_seconds: float = 0.0
    shadow_seconds: float = 0.0
    kinds: Tally[tuple[str, str]] = field(default_factory=Tally)

    def describe(self) -> dict[str, Any]:
        """For ``/v1/models``; mean times are of the same calls, in milliseconds."""
        table: dict[str, dict[str, int]] = {kind: {} for kind in KINDS.values()}
        for (kind, label), number in sorted(self.kinds.items()):
            table[kind][label] = number
        live, shadow = (
            round(1000 * total / self.calls, 1) if self.calls else None
            for total in (self.live_seconds, self.shadow_seconds)
        )
        return {
            "against": self.against,
            "texts": self.texts,
            "different": self.different,
            "differences": table,
            "dropped_calls": self.dropped,
            "failed_calls": self.failures,
            "mean_ms": {"live": live, "shadow": shadow},
        }


class ShadowMetrics:
    """What all shadows of a gateway count since its start."""

    def __init__(self) -> None:
        self.texts = Counter("ner_shadow_texts_total", "Texts that a shadow answered too.", ["language", "outcome"])
        self.differences = Counter(
            "ner_shadow_differences_total", "Entities that differ.", ["language", "kind", "type"]
        )
        self.dropped = Counter("ner_shadow_dropped_total", "Calls left out, the queue being full.", ["language"])
        self.failures = Counter("ner_shadow_failures_total", "Calls that a shadow did not answer.", ["language"])
        self.seconds = Histogram(
            "ner_shadow_call_seconds", "Seconds of the calls that both answered.", ["language", "side"], SECONDS
        )

    def all(self, shadows: Mapping[str, Shadow]) -> list[Counter | Histogram | Gauge]:
        """The counts, and which shadows run."""
        running = {
            (code, shadow.model.name, shadow.model.version): 1.0
            for code, shadow in shadows.items()
            if shadow.model and shadow.state == "live"
        }
        info = Gauge("ner_shadow_info", "The running shadows.", ["language", "name", "version"], running)
        return [self.texts, self.differences, self.dropped, self.failures, self.seconds, info]


class Shadow:
    """The shadow of one language.

    Args:
        language: its code.
        launch: starts a slot for a version, or raises NerError and leaves nothing behind.
        share: share of the live calls that are copied, 0 to 1.
        metrics: where to count.
    """

    def __init__(
        self, language: str, launch: Callable[[ServedModel], Awaitable[Slot]], share: float, metrics: ShadowMetrics
    ) -> None:
        self.language = language
        self.share = share
        self.metrics = metrics
        self.model: ServedModel | None = None
        self.state = "off"  # off, starting, live, failed
        self.since: datetime | None = None
        self.found = Comparison()
        self._launch = launch
        self._queue: asyncio.Queue[Copy] = asyncio.Queue()
        self._waiting = 0  # copies taken and not yet asked, those of answers still being sent included
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
        """Take a copy of a call, if it falls into the share and there is room; it is asked after the live answer."""
        if self.state != "live" or random.random() >= self.share:
            return
        if self.found.against != version:
            self.found = Comparison(against=version)
        if self._waiting >= PLACES:
            self.found.dropped += 1
            self.metrics.dropped.add(self.language)
            return
        self._waiting += 1
        copy = Copy(texts, answers, version, seconds)
        afterwards(lambda: self._queue.put_nowait(copy))

    async def _run(self, model: ServedModel | None, before: asyncio.Task[None] | None) -> None:
        """Keep a process of ``model`` up until cancelled, once the task before has ended."""
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

    async def _serve(self, slot: Slot) -> None:
        """Answer copies with ``slot`` until it dies."""
        worker = asyncio.create_task(self._work(slot))
        self.state, self.since = "live", datetime.now(UTC)
        log.info("shadow live", extra={"fields": self._fields(slot.model)})
        try:
            await slot.died()
            self.state = "failed"
        finally:
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)
            await slot.stop()

    async def _work(self, slot: Slot) -> None:
        while True:
            copy = await self._queue.get()
            self._waiting -= 1
            tally, begun = self.found, time.perf_counter()
            if copy.version != tally.against:  # of a live version that is so no more
                continue
            try:
                answers = await slot.predict(copy.texts)
                self._compare(tally, copy, answers, time.perf_counter() - begun)
            except Exception as error:
                tally.failures += 1
                self.metrics.failures.add(self.language)
                kind = type(error).__name__  # its message may quote a text
                log.warning("shadow call failed", extra={"fields": self._fields(slot.model) | {"kind": kind}})

    def _compare(self, tally: Comparison, copy: Copy, answers: Sequence[Entities], seconds: float) -> None:
        different, kinds = 0, Tally[tuple[str, str]]()
        for live, shadow in zip(copy.answers, answers, strict=True):
            found = list(differences(live, shadow))
            different += bool(found)
            kinds.update(found)
        tally.calls += 1
        tally.texts += len(answers)
        tally.different += different
        tally.live_seconds += copy.seconds
        tally.shadow_seconds += seconds
        tally.kinds.update(kinds)
        self.metrics.texts.add(self.language, "different", amount=different)
        self.metrics.texts.add(self.language, "same", amount=len(answers) - different)
        for (kind, label), number in kinds.items():
            self.metrics.differences.add(self.language, kind, label, amount=number)
        self.metrics.seconds.observe(copy.seconds, self.language, "live")
        self.metrics.seconds.observe(seconds, self.language, "shadow")
        if different:
            counts = {f"{kind} {label}": number for (kind, label), number in sorted(kinds.items())}
            fields = {"against": copy.version, "texts": len(answers), "different": different, "differences": counts}
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
