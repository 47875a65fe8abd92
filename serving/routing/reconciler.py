"""The reconciler of a language makes the served version follow the registry: at start, on a timer, on request."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry.failures import RegistryUnavailable
from multiner.serving import executors
from multiner.serving.backends.backend import ServedModel
from multiner.serving.routing.model_router import ModelRouter
from multiner.serving.routing.shadow import Shadow

log = logging.getLogger("serving")
MAX_PAUSE_SECONDS = 600  # each failure to read the registry doubles the pause, up to this
UNREAD = ""  # in place of a version: the registry was not read yet
REFUSED_PAUSES = (300, 900, 3600)  # seconds before the timer again starts a version that did not come up


@dataclass(frozen=True, slots=True)
class Refusal:
    """A version that did not come up: how often, and until when the timer leaves it alone (monotonic seconds)."""

    version: str
    error: NerError
    times: int
    until: float


class Reconciler:
    """Keeps a route at the registry's champion, and its shadow at the registry's challenger.

    Args:
        route: the router of the language.
        champion: reads the champion, if any, from the registry; blocking.
        shadow: the shadow of the language, if it has one.
        challenger: reads the challenger, if any; blocking. None without a shadow.
    """

    def __init__(
        self,
        route: ModelRouter,
        champion: Callable[[], ServedModel | None],
        shadow: Shadow | None,
        challenger: Callable[[], ServedModel | None] | None,
    ) -> None:
        self.route = route
        self.shadow = shadow
        self._champion = champion
        self._challenger = challenger
        self._champion_version: str | None = UNREAD  # at the latest reading
        self._holds: dict[int, str | None] = {}  # by number of an operator's order: the champion that it overrides
        self._refusal: Refusal | None = None
        self._unread = 0  # failures in a row to read the registry
        self._error = ""  # of the latest reconciliation by the timer

    async def reconcile(self, *, insist: bool = False) -> str:
        """Read the aliases and bring the champion live.

        Without ``insist`` nothing happens while an operator's choice holds (see :meth:`deploy`), while the route
        restarts the champion, and during the pause after a champion has not come up.

        Returns:
            as :meth:`ModelRouter.switch`, or ``no champion``, ``held``, ``restarting``.

        Raises:
            RegistryUnavailable: the registry cannot be read.
            NerError: the champion does not come up; the version before stays live.
        """
        order = self.route.order()  # before reading, since a later reading has newer facts
        champion, challenger = await executors.run(executors.REGISTRY, self._read)
        self._unread, self._champion_version = 0, champion.version if champion else None
        self._holds = {
            number: self._champion_version if version == UNREAD else version for number, version in self._holds.items()
        }
        try:
            return await self._follow(champion, order, insist)
        finally:
            if self.shadow is not None:
                answering = self.route.answering
                served = {self._champion_version, answering.model.version if answering else None}
                self.shadow.follow(challenger if challenger and challenger.version not in served else None)

    def _read(self) -> tuple[ServedModel | None, ServedModel | None]:
        try:
            return self._champion(), self._challenger() if self._challenger else None
        except Exception as error:  # MLflow, its database and the network raise many kinds
            self._unread += 1
            reason = str(error).partition("\n")[0][:300] or type(error).__name__
            raise RegistryUnavailable(f"the registry cannot be read: {reason}", transient=True) from error

    async def _follow(self, champion: ServedModel | None, order: int, insist: bool) -> str:
        if champion is None:
            self.route.mark("absent", "the registry has no champion")
            return "no champion"
        if not insist:
            if self._holds and self._holds[max(self._holds)] == champion.version:
                return "held"
            if self.route.restarting == champion.version:
                return "restarting"
            refusal = self._refusal
            if refusal and refusal.version == champion.version and time.monotonic() < refusal.until:
                raise refusal.error.with_traceback(None)
        try:
            action = await self.route.switch(champion, order)
        except NerError as error:
            if error.transient:  # the next attempt costs little and needs no pause
                raise
            before = self._refusal
            times = before.times if before and before.version == champion.version else 0
            until = time.monotonic() + REFUSED_PAUSES[min(times, len(REFUSED_PAUSES) - 1)]
            self._refusal = Refusal(champion.version, error, times + 1, until)
            raise
        self._refusal = None
        # orders of an operator during the launch still hold
        self._holds = {number: version for number, version in self._holds.items() if number > order}
        return action

    async def deploy(self, version: ServedModel) -> str:
        """Bring an operator's choice live until the registry's champion changes; as :meth:`ModelRouter.switch`."""
        order = self.route.order()
        self._holds[order] = self._champion_version
        try:
            return await self.route.switch(version, order)
        except BaseException:
            self._holds.pop(order, None)
            raise

    def rollback(self) -> ServedModel:
        """As :meth:`ModelRouter.rollback`, until the registry's champion changes."""
        model = self.route.rollback()
        self._holds[self.route.order()] = self._champion_version
        return model

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
