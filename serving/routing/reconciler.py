"""Bringing what is served to what the registry says, from any state: at start, on a timer, and when told to.

One per language; see :meth:`Reconciler.reconcile`.
"""

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
UNREAD_SECONDS = 600  # each failure to read the registry doubles the pause, up to this
UNREAD = ""  # in place of a version: not known yet
REFUSED_PAUSES = (300, 900, 3600)  # seconds before a version that did not come up is started again by the timer


@dataclass(frozen=True, slots=True)
class Refusal:
    """A version that did not come up, how often by now, and when the timer may try again (monotonic seconds)."""

    version: str
    error: NerError
    times: int
    until: float


class Reconciler:
    """Keeps a route at the registry's champion, and its shadow at the registry's challenger.

    Args:
        route: the language's traffic.
        champion: reads the champion, None where there is none; blocking.
        shadow: the language's shadow, if it has one.
        challenger: reads the challenger, None where there is none; blocking.
    """

    def __init__(
        self,
        route: ModelRouter,
        champion: Callable[[], ServedModel | None],
        shadow: Shadow | None = None,
        challenger: Callable[[], ServedModel | None] = lambda: None,
    ) -> None:
        self.route = route
        self.shadow = shadow
        self._champion = champion
        self._challenger = challenger
        self._seen: str | None = UNREAD  # the champion when last read
        self._holds: dict[int, str | None] = {}  # by an operator's order: the champion in spite of which it was given
        self._refusal: Refusal | None = None
        self._unread = 0  # failures to read the registry, one after the other
        self._told = ""

    async def reconcile(self, *, insist: bool = False) -> str:
        """Read the aliases and bring the route to the champion, whatever happened before.

        Without ``insist``, an operator's choice is left alone for as long as the champion stays the same (see
        :meth:`chosen`), a dead version to the route, which is starting it, and a version that did not come up until
        its pause is over.

        Returns:
            as :meth:`ModelRouter.switch`, or ``no champion``, ``held``, ``restarting``.

        Raises:
            RegistryUnavailable: the registry cannot be read.
            NerError: the champion does not come up; what was live before stays.
        """
        order = self.route.order()  # before reading: whoever reads later knows better
        champion, challenger = await executors.run(executors.REGISTRY, self._read)
        self._unread, self._seen = 0, champion.version if champion else None
        self._holds = {number: self._seen if of == UNREAD else of for number, of in self._holds.items()}
        try:
            return await self._follow(champion, order, insist)
        finally:
            if self.shadow is not None:
                answering = self.route.answering
                served = {self._seen, answering.model.version if answering else None}
                self.shadow.follow(challenger if challenger and challenger.version not in served else None)

    def _read(self) -> tuple[ServedModel | None, ServedModel | None]:
        try:
            return self._champion(), self._challenger() if self.shadow is not None else None
        except Exception as error:  # whatever MLflow, its database or the network raise
            self._unread += 1
            reason = str(error).partition("\n")[0][:300] or type(error).__name__
            raise RegistryUnavailable(f"the registry cannot be read: {reason}", transient=True) from error

    async def _follow(self, champion: ServedModel | None, order: int, insist: bool) -> str:
        if champion is None:
            self.route.mark_absent("the registry has no champion")
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
            if error.transient:  # costs little: asked again the next time
                raise
            before = self._refusal
            times = before.times if before and before.version == champion.version else 0
            until = time.monotonic() + REFUSED_PAUSES[min(times, len(REFUSED_PAUSES) - 1)]
            self._refusal = Refusal(champion.version, error, times + 1, until)
            raise
        self._refusal = None
        # what an operator ordered during the launch still holds
        self._holds = {number: of for number, of in self._holds.items() if number > order}
        return action

    async def chosen(self, version: ServedModel) -> str:
        """Bring live what an operator chose in spite of the registry, and leave it until the champion is another.

        Raises:
            NerError: as :meth:`ModelRouter.switch`.
        """
        order = self.route.order()
        self._holds[order] = self._seen
        try:
            return await self.route.switch(version, order)
        except BaseException:
            self._holds.pop(order, None)
            raise

    def rollback(self) -> ServedModel:
        """As :meth:`ModelRouter.rollback`; it stands until the champion is another.

        Raises:
            NerError: no version is warm.
        """
        model = self.route.rollback()
        self._holds[self.route.order()] = self._seen
        return model

    async def follow(self, seconds: float) -> None:
        """Reconcile now and every ``seconds``, more rarely while the registry cannot be read; 0: only now."""
        while True:
            try:
                await self._look()
            except Exception:
                self.route.mark_failed("unexpected error; see the log")
                log.exception("reconciling failed", extra={"fields": {"language": self.route.language}})
            if not seconds:
                return
            await asyncio.sleep(min(max(seconds, UNREAD_SECONDS), seconds * 2 ** min(self._unread, 20)))

    async def _look(self) -> None:
        self.route.relieve()
        try:
            await self.reconcile()
        except NerError as error:
            self.route.mark_failed(error.message.splitlines()[0])
            told = str(error)
        else:
            told = ""
        if told != self._told:
            fields = {"language": self.route.language} | ({"error": told} if told else {})
            level, news = (logging.ERROR, "reconciling failed") if told else (logging.INFO, "reconciled again")
            log.log(level, news, extra={"fields": fields})
        self._told = told
