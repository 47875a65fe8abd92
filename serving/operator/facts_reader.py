"""Reads facts about served versions in a thread, and keeps them for a moment."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from multiner.pipeline.core.errors import NerError
from multiner.serving import executors
from multiner.serving.operator import model_facts
from multiner.serving.operator.model_schemas import ModelFacts

if TYPE_CHECKING:
    from multiner.pipeline.config.settings import Workspace

log = logging.getLogger("serving")
FRESH_SECONDS = 10.0
PATIENCE = 5.0  # seconds that a caller waits for the registry
LATE = "The registry has not answered"  # begins the notice of one that may answer soon
Key = tuple[str, str | None]


@dataclass
class _Kept:
    facts: ModelFacts
    at: float


class FactsReader:
    """Facts by language and version; a registry that fails or hangs delays no one for long.

    Args:
        workspace: whose registry; None: there is none to ask.
        fresh: seconds that what was read counts as new.
        patience: seconds that a caller waits.
    """

    def __init__(
        self, workspace: Workspace | None, *, fresh: float = FRESH_SECONDS, patience: float = PATIENCE
    ) -> None:
        self._workspace = workspace
        self._fresh, self._patience = fresh, patience
        self._kept: dict[Key, _Kept] = {}
        self._reading: dict[Key, asyncio.Task[ModelFacts]] = {}
        self._runs: model_facts.Runs = {}

    def forget(self) -> None:
        """Read anew next time: the registry was just changed."""
        for kept in self._kept.values():
            kept.at = float("-inf")
        self._reading.clear()  # what is being read may have been read before the change

    async def of(self, language: str, version: str | None) -> ModelFacts:
        """The facts of a version (None: of the champion); never fails, but says in ``registry`` what is amiss."""
        if self._workspace is None:
            return ModelFacts(registry="This gateway has no registry.")
        key = (language, version)
        kept = self._kept.get(key)
        if kept and time.monotonic() - kept.at < self._fresh:
            return kept.facts
        reading = self._reading.get(key) or self._start(key)
        await asyncio.wait({reading}, timeout=self._patience)
        if not reading.done():
            return _old(kept, f"{LATE} within {self._patience:g} s; ask again in a moment.")
        if error := reading.exception():
            reason = error.message.splitlines()[0] if isinstance(error, NerError) else type(error).__name__
            return _old(kept, f"The registry cannot be read ({reason}).")
        return reading.result()

    def _start(self, key: Key) -> asyncio.Task[ModelFacts]:
        """Begin to read; all who ask meanwhile wait for the same reading."""
        reading = asyncio.create_task(
            executors.run(executors.FACTS, model_facts.read, self._workspace, *key, self._runs)
        )
        self._reading[key] = reading

        def keep(done: asyncio.Task[ModelFacts]) -> None:
            current = self._reading.get(key) is done
            if current:
                del self._reading[key]
            if done.cancelled():
                return
            if error := done.exception():
                log.warning("registry unreadable", extra={"fields": {"language": key[0], "error": repr(error)[:300]}})
            elif current:
                self._kept = {of: value for of, value in self._kept.items() if of[0] != key[0]}
                self._kept[key] = _Kept(done.result(), time.monotonic())

        reading.add_done_callback(keep)
        return reading


def _old(kept: _Kept | None, reason: str) -> ModelFacts:
    if kept is None:
        return ModelFacts(registry=reason)
    return kept.facts.model_copy(update={"registry": f"{reason} What is shown was read before."})
