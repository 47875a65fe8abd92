"""The reconciler of a language makes the served version follow the registry: at start, on a timer, on request."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry.failures import RegistryUnavailable
from multiner.serving import executors
from multiner.serving.backends.backend import ServedModel
from multiner.serving.routing.canary.course import Canary
from multiner.serving.routing.canary.records import CanaryRecord
from multiner.serving.routing.holds import Hold, Holds
from multiner.serving.routing.model_router import ModelRouter
from multiner.serving.routing.shadow import Shadow

log = logging.getLogger("serving")
MAX_PAUSE_SECONDS = 600  # each failure to read the registry doubles the pause, up to this
T = TypeVar("T")
UNREAD = ""  # in place of a version: the registry was not read yet
REFUSED_PAUSES = (300, 900, 3600)  # seconds before the timer again starts a version that did not come up


@dataclass(frozen=True, slots=True)
class FailedStart:
    """A version that did not come up: how often, and until when the timer leaves it alone (monotonic seconds)."""

    version: str
    error: NerError
    times: int
    until: float


class Reconciler:
    """Keeps a route at the registry's champion, and its shadow at the registry's challenger.

    Args:
        route: the router of the language.
        resolve: finds a version in the registry, or the champion (None), if there is one; blocking.
        holds: the orders of operators at all gateways.
        shadow: the shadow of the language, if it has one.
        challenger: reads the challenger, if any; blocking. None without a shadow.
        canary: the course of the language's canaries; None: a new champion gets all calls at once.
    """

    def __init__(
        self,
        route: ModelRouter,
        resolve: Callable[[str | None], ServedModel | None],
        holds: Holds,
        shadow: Shadow | None,
        challenger: Callable[[], ServedModel | None] | None,
        canary: Canary | None = None,
    ) -> None:
        self.route = route
        self.shadow = shadow
        self.holds = holds
        self.canary = canary
        self._resolve = resolve
        self._challenger = challenger
        self._champion_version: str | None = UNREAD  # at the latest reading
        self._overrides: dict[int, str | None] = {}  # by order that is being carried out: the champion at its begin
        self._ended = Hold()  # the latest order that a new champion has ended
        self._failed_start: FailedStart | None = None
        self._unread = 0  # failures in a row to read the registry
        self._error = ""  # of the latest reconciliation by the timer

    async def reconcile(self, *, insist: bool = False) -> str:
        """Read the orders and the aliases, and bring live what they say.

        An operator's order stands until the champion changes (see :meth:`deploy`). Without ``insist`` it is followed,
        at whichever gateway it was given. Then nothing is started while the route restarts the version, and during the
        pause after a failed start the error of that start is raised again. A new champion is tried
        out first (see :class:`.Canary`). With ``insist`` the champion goes live, and the order and the canary end.

        Returns:
            as :meth:`ModelRouter.switch`, or ``no champion``, ``held``, ``restarting``; ``canary`` while one runs.

        Raises:
            RegistryUnavailable: the registry cannot be read.
            StateUnavailable: with ``insist``, the shared state cannot be written.
            NerError: the version does not come up; the version before stays live.
        """
        order = self.route.order()  # before reading, since a later reading has newer facts
        with self._override(order) if insist else contextlib.nullcontext():
            number, own = await self.holds.begin() if insist else 0, self.holds.own
            hold = await self.holds.latest()  # before the registry: the champion is then never older than the order's
            record = await self.canary.read() if self.canary else CanaryRecord()
            champion, challenger = await self._read(self._aliases)
            self._champion_version = champion.version if champion else None
            try:
                if not insist:
                    hold = hold if self.holds.own is own else self.holds.own
                    return await self._follow(champion, hold, record, order)
                if champion is None:
                    return await self._absent()
                action = await self._carry_out(await self._switch(champion, order), Hold(number))
                return await self._adopt(action, champion)
            finally:
                self._shadow_challenger(challenger)

    def _shadow_challenger(self, challenger: ServedModel | None) -> None:
        if self.shadow is not None:
            answering = self.route.answering
            served = {self._champion_version, answering.model.version if answering else None}
            self.shadow.follow(challenger if challenger and challenger.version not in served else None)

    def _aliases(self) -> tuple[ServedModel | None, ServedModel | None]:
        return self._resolve(None), self._challenger() if self._challenger else None

    async def _read(self, read: Callable[[], T]) -> T:
        """What ``read`` finds in the registry; RegistryUnavailable if it cannot be read."""
        try:
            result = await executors.run(executors.REGISTRY, read)
        except Exception as error:  # MLflow, its database and the network raise many kinds
            self._unread += 1
            reason = str(error).partition("\n")[0][:300] or type(error).__name__
            raise RegistryUnavailable(f"the registry cannot be read: {reason}", transient=True) from error
        self._unread = 0
        return result

    async def _follow(self, champion: ServedModel | None, hold: Hold, record: CanaryRecord, order: int) -> str:
        if self._overrides and self._overrides[max(self._overrides)] in (UNREAD, self._champion_version):
            return "held"
        target = await self._target(champion, hold)
        if target is None:
            return await self._absent()
        if self.route.restarting == target.version:
            return "restarting"
        failed = self._failed_start
        if failed and failed.version == target.version and time.monotonic() < failed.until:
            raise failed.error.with_traceback(None)
        if self.canary and target is champion:
            return await self.canary.follow(target, record, order, self._attempt)
        action = await self._adopt(await self._switch(target, order), target)
        return "held" if action == "nothing to do" and target is not champion else action

    async def _adopt(self, action: str, target: ServedModel) -> str:
        """End the canary, if one runs: an operator has ordered ``target``."""
        if self.canary and action != "overtaken" and not target.is_endpoint:
            await self.canary.adopt(target.version, f"an operator ordered version {target.version}")
        return action

    async def _target(self, champion: ServedModel | None, hold: Hold) -> ServedModel | None:
        """The version that an order holds, else the champion."""
        if hold.version is None or hold == self._ended:
            return champion
        if hold.champion != self._champion_version:
            self._ended = hold
            await self.holds.end(hold)
            return champion
        served = [backend.model for backend in (self.route.live, self.route.previous) if backend and backend.alive]
        for model in (*served, *([champion] if champion else [])):
            if model.version == hold.version:
                return model
        target = await self._read(partial(self._resolve, hold.version))
        if target is None:
            raise NerError(f"the registry has no version {hold.version} for {self.route.language!r}, which was ordered")
        return target

    async def _absent(self) -> str:
        self.route.mark("absent", "the registry has no champion")
        if self.canary and self.route.canary and self.route.live:
            await self.canary.adopt(self.route.live.model.version, "the registry has no champion any more")
        return "no champion"

    async def _switch(self, target: ServedModel, order: int) -> str:
        """As :meth:`ModelRouter.switch`, and as :meth:`_attempt`."""
        return await self._attempt(target.version, self.route.switch(target, order))

    async def _attempt(self, version: str, start: Awaitable[str]) -> str:
        """Wait for a start; the timer leaves a version alone for a while that does not come up."""
        try:
            action = await start
        except NerError as error:
            if error.transient:  # the next attempt costs little and needs no pause
                raise
            before = self._failed_start
            times = before.times if before and before.version == version else 0
            until = time.monotonic() + REFUSED_PAUSES[min(times, len(REFUSED_PAUSES) - 1)]
            self._failed_start = FailedStart(version, error, times + 1, until)
            raise
        self._failed_start = None
        return action

    async def deploy(self, version: ServedModel) -> str:
        """Bring an operator's choice live, at all gateways, until the registry's champion changes.

        Returns:
            as :meth:`ModelRouter.switch`.

        Raises:
            RegistryUnavailable: the registry was not read yet and cannot be read.
            StateUnavailable: the order cannot be put on record; this gateway then gives it up at its next look.
            NerError: the version does not come up; the version before stays live.
        """
        order = self.route.order()
        with self._override(order):
            number = await self.holds.begin()
            action = await self.route.switch(version, order)
            hold = Hold(number, version.version, await self._overridden(order))
            return await self._adopt(await self._carry_out(action, hold), version)

    async def rollback(self) -> ServedModel:
        """As :meth:`ModelRouter.rollback`, at all gateways, until the registry's champion changes.

        While a canary runs, the live version is the one before: the canary ends, and the live version stays.

        Raises:
            NerError: no previous version is warm, or as :meth:`deploy`.
        """
        live = self.route.live
        model = live.model if live and self.route.canary else self.route.rollback()
        order = self.route.order()
        with self._override(order):
            number = await self.holds.begin()
            hold = Hold(number, model.version, await self._overridden(order))
            await self._adopt(await self._carry_out("rolled back", hold), model)
        return model

    @contextlib.contextmanager
    def _override(self, order: int) -> Iterator[None]:
        """Keep the timer from going to the champion while an order is carried out here."""
        self._overrides[order] = self._champion_version
        try:
            yield
        finally:
            del self._overrides[order]

    async def _overridden(self, order: int) -> str | None:
        """The champion when the order began."""
        if (version := self._overrides[order]) == UNREAD:
            champion = await self._read(partial(self._resolve, None))
            version = champion.version if champion else None
        return version

    async def _carry_out(self, action: str, hold: Hold) -> str:
        """Put an order on record for all gateways; ``overtaken`` where a later one has been carried out."""
        if action == "overtaken" or not await self.holds.carry_out(hold):
            return "overtaken"
        return action

    async def follow(self, seconds: float) -> None:
        """Reconcile now and every ``seconds``, more rarely while the registry cannot be read; 0: only now."""
        while True:
            try:
                await self._reconcile_and_log()
            except Exception:
                self.route.mark("failed", "unexpected error; see the log")
                log.exception("reconciling failed", extra={"fields": {"language": self.route.language}})
            if not seconds:
                return
            await asyncio.sleep(min(max(seconds, MAX_PAUSE_SECONDS), seconds * 2 ** min(self._unread, 20)))

    async def _reconcile_and_log(self) -> None:
        """Reconcile; log an error once, and its end."""
        self.route.relieve()
        fields = {"language": self.route.language}
        try:
            await self.reconcile()
        except NerError as error:
            self.route.mark("failed", error.message.splitlines()[0])
            if str(error) != self._error:
                log.error("reconciling failed", extra={"fields": fields | {"error": str(error)}})
            self._error = str(error)
        else:
            if self._error:
                log.info("reconciled again", extra={"fields": fields})
            self._error = ""
