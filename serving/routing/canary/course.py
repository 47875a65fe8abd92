"""The canary of a language: a new champion gets a share of the calls for a while before it gets all of them.

The gate sets the registry's alias, as without a canary. The gateway starts the new champion beside the version that
answers, and ends the canary by the rule of :mod:`.rule`. If it passes, it takes over; if it fails, the gateway
moves the alias back to the version before, with the reason in the journal. The record in the shared store outlives the
gateway, and all gateways count together.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry.journal.entry import REASON_LENGTH
from multiner.serving import executors
from multiner.serving.backends.backend import ServedModel
from multiner.serving.routing.backend_pool import Launch
from multiner.serving.routing.canary.calls import CanaryCalls, CanaryMetrics
from multiner.serving.routing.canary.records import CanaryRecord, CanaryRecords
from multiner.serving.routing.canary.rule import CanaryCounts, CanaryRule, decide, measures
from multiner.serving.routing.memory_budget import OutOfMemory
from multiner.serving.routing.model_router import ModelRouter
from multiner.serving.routing.state_store import StateUnavailable

log = logging.getLogger("serving")
Attempt = Callable[[str, Awaitable[str]], Awaitable[str]]  # (version, its start): the action; see Reconciler._attempt
Notify = Callable[..., None]  # (text, facts by name); blocking, and raises nothing
RollBack = Callable[[str, str, str, str], str]  # (language, from version, to version, reason); blocking
ENDS = {"passed": "takes over from version {}", "failed": "is rolled back to version {}"}
TRIED = "canary"  # the action while a canary runs


@dataclass(frozen=True, slots=True)
class CanaryConfig:
    """How new champions are tried out: with which share, by which rule, and how the registry's alias is moved back.

    ``notify`` sends a notice of a canary's end. ``slowdown``: how many times as long as the version before a call may
    take.
    """

    share: float
    rule: CanaryRule
    slowdown: float
    roll_back: RollBack
    notify: Notify


class Canary:
    """The course of a language's canaries.

    Args:
        route: the router of the language.
        config: how champions are tried out.
        resolve: finds a version in the registry; blocking.
        launch: brings up a canary, or raises OutOfMemory if it does not fit beside the others.
        records: its record in the shared store.
        calls: its calls.
        metrics: where to count.
    """

    def __init__(
        self,
        route: ModelRouter,
        config: CanaryConfig,
        resolve: Callable[[str], ServedModel | None],
        launch: Launch,
        records: CanaryRecords,
        calls: CanaryCalls,
        metrics: CanaryMetrics,
    ) -> None:
        self.calls = calls
        self.record = CanaryRecord()  # at the latest reading
        self._route, self._config, self._launch = route, config, launch
        self._resolve = resolve
        self._records, self._metrics = records, metrics

    async def read(self) -> CanaryRecord:
        """The record, as it was before if the store fails.

        It is to be read before the registry: a canary's end is on record only after the alias was moved.
        """
        with contextlib.suppress(StateUnavailable):
            self.record = await self._records.latest()
        return self.record

    async def close(self) -> None:
        """End the comparisons; the canary goes on with the next gateway."""
        await self.calls.close()

    async def adopt(self, version: str, reason: str) -> None:
        """Give all calls to a version; a canary that runs ends for this reason."""
        record = await self.read()
        self._stop()
        if record.adopted == version and record.state not in ("running", "failed"):
            return
        await self._records.adopt(record, version, reason)
        if record.state == "running":
            self._log("canary ended", record, reason, "ended")
        await self.read()

    async def follow(self, champion: ServedModel, record: CanaryRecord, order: int, attempt: Attempt) -> str:
        """Take the next step towards a champion; returns as :meth:`ModelRouter.switch`, ``canary`` while one runs.

        Args:
            champion: the registry's champion.
            record: as :meth:`read` found it before the champion was read.
            order: as in :meth:`ModelRouter.switch`.
            attempt: starts a version, and notes if that fails.

        Raises:
            RegistryUnavailable: the alias cannot be moved back now; the version before answers all the same.
            StateUnavailable: the record cannot be read or written; nothing has changed then.
            NerError: the champion does not come up; the version before stays live.
        """
        if champion.is_endpoint or record.adopted in (None, champion.version):
            return await self._take_over(champion, order, attempt, f"version {champion.version} is champion")
        if self._route.state == "restarting":  # the canary stands in for the version before, and may pass meanwhile
            runs = self._route.canary and record.is_of(champion.version)
            return await self._judge(record, champion, order, attempt) if runs else TRIED
        if action := await self._base(record.adopted, order, attempt):
            return action
        if (live := self._route.live) is None or live.model.version != record.adopted:
            return await self._take_over(champion, order, attempt, f"version {record.adopted} does not come up")
        if not record.is_of(champion.version):
            record = self.record = await self._records.begin(record, champion.version)
            if record.is_of(champion.version):
                self._log("canary begins", record, f"{self._config.share:.0%} of the conversations")
        if record.version != champion.version:
            return TRIED  # another gateway has begun one with a newer champion
        if record.state == "failed":
            return await self._move_back(record)
        try:
            await attempt(champion.version, self._route.try_out(champion, self._launch))
        except OutOfMemory as error:
            return await self._take_over(champion, order, attempt, f"no canary: {error.message}")
        self.calls.begin(record.number)
        return await self._judge(record, champion, order, attempt)

    async def _base(self, version: str | None, order: int, attempt: Attempt) -> str | None:
        """Bring the version before live, as after a restart; the action if the canary has to wait for that."""
        route = self._route
        if route.state == "unloaded":
            return TRIED
        if version is None or (route.live is not None and route.live.model.version == version):
            return None
        model = await executors.run(executors.REGISTRY, self._resolve, version)
        if model is None:
            return None
        try:
            action = await attempt(version, route.switch(model, order))
        except NerError as error:
            if error.transient:
                raise
            return None
        return action if action in ("overtaken", "unloaded") else None

    async def _judge(self, record: CanaryRecord, champion: ServedModel, order: int, attempt: Attempt) -> str:
        """Put this gateway's counts on record, and end the canary if the rule says so."""
        counts = self.calls.take_counts() + CanaryCounts(losses=self._route.take_canary_losses())
        try:
            record = self.record = await self._records.add(record, counts)
        except StateUnavailable:
            self.calls.give_back(counts)
            raise
        verdict, reason = decide(record.counts, self._config.rule, record.age)
        if not record.is_of(champion.version) or verdict == "running":
            return TRIED
        values = {"adopted": champion.version} if verdict == "passed" else {}
        if not await self._records.end(record, verdict, reason, **values):
            return TRIED  # another gateway has ended it; the next look sees how
        self._log(f"canary {verdict}", record, reason, verdict)
        text = f"{champion.name} version {champion.version} {ENDS[verdict].format(record.against)}: {reason}"
        facts = {"language": champion.language, "model": champion.name, "version": champion.version}
        notify = partial(self._config.notify, text, **facts, against=record.against, verdict=verdict)
        executors.NOTICES.submit(notify)  # nothing waits for a webhook
        await self.read()
        if verdict == "failed":
            return await self._move_back(self.record)
        self.calls.end()
        return await attempt(champion.version, self._route.switch(champion, order))

    async def _move_back(self, record: CanaryRecord) -> str:
        """Give the version before all calls at once, and move the registry's alias back to it."""
        assert record.version is not None
        assert record.against is not None
        self._stop()
        reason = f"canary: {record.reason}"[:REASON_LENGTH]
        await executors.run(
            executors.REGISTRY, self._config.roll_back, self._route.language, record.version, record.against, reason
        )
        await self._records.end(record, "rolled_back", record.reason or "")
        await self.read()
        return "rolled back"

    async def _take_over(self, champion: ServedModel, order: int, attempt: Attempt, reason: str) -> str:
        """Bring the champion live without a canary."""
        action = await attempt(champion.version, self._route.switch(champion, order))
        if action != "overtaken" and not champion.is_endpoint:
            await self.adopt(champion.version, reason)
        return action

    def _stop(self) -> None:
        self.calls.end()
        self._route.end_canary()

    def _log(self, message: str, record: CanaryRecord, reason: str, outcome: str | None = None) -> None:
        fields = {"language": self._route.language, "version": record.version, "before": record.against}
        level = logging.WARNING if outcome == "failed" else logging.INFO
        log.log(level, message, extra={"fields": fields | {"reason": reason}})
        if outcome:
            self._metrics.ended.labels(self._route.language, outcome).inc()

    def describe(self) -> dict[str, Any] | None:
        """The latest canary for ``/health`` and ``/v1/models``; None before the first one."""
        record = self.record
        if record.version is None or record.begun is None:
            return None
        rule = self._config.rule
        running = decide(record.counts, rule, record.age)[1] if record.state == "running" else None
        return {
            "version": record.version,
            "against": record.against,
            "state": record.state,
            "share": self._config.share,
            "since": _iso(record.begun),
            "ended": _iso(record.ended) if record.ended else None,
            "reason": running or record.reason,
            "measures": [str(each) for each in measures(record.counts, rule)],
            "counts": asdict(record.counts),
        }


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
