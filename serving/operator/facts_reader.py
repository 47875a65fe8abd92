"""A cache of the registry's facts about versions; they are read in a thread."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from multiner.pipeline.core.errors import NerError
from multiner.serving import executors
from multiner.serving.operator import model_facts
from multiner.serving.operator.model_schemas import ModelFacts

if TYPE_CHECKING:
    from multiner.pipeline.config.settings import Workspace

log = logging.getLogger("serving")
VALID_SECONDS = 10.0  # for which facts are not read again
PATIENCE = 5.0  # seconds that a caller waits for the registry
LATE = "The registry has not answered"  # the beginning of the notice that an answer may still come
Key = tuple[str, str | None]


class FactsReader:
    """The facts by language and version; a registry that hangs delays a caller ``PATIENCE`` seconds at most."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._cache: dict[Key, ModelFacts] = {}
        self._due: dict[Key, float] = {}  # when they are to be read again, in monotonic seconds
        self._reading: dict[Key, asyncio.Task[ModelFacts]] = {}
        self._runs: model_facts.Runs = {}

    def forget(self) -> None:
        """Read everything again when next asked: the registry was just changed."""
        self._due.clear()
        self._reading.clear()  # these may have begun before the change

    async def of(self, language: str, version: str | None) -> ModelFacts:
        """The facts of a version (None: of the champion); if they cannot be read, ``registry`` says why."""
        key = (language, version)
        cached = self._cache.get(key)
        if cached and time.monotonic() < self._due.get(key, 0.0):
            return cached
        reading = self._reading.get(key) or self._start(key)
        await asyncio.wait({reading}, timeout=PATIENCE)
        if not reading.done():
            return _old(cached, f"{LATE} within {PATIENCE:g} s; ask again in a moment.")
        if error := reading.exception():
            reason = error.message.splitlines()[0] if isinstance(error, NerError) else type(error).__name__
            return _old(cached, f"The registry cannot be read ({reason}).")
        return reading.result()

    def _start(self, key: Key) -> asyncio.Task[ModelFacts]:
        """Begin to read; all callers wait for the same reading."""
        work = executors.run(executors.FACTS, model_facts.read, self._workspace, *key, self._runs)
        self._reading[key] = reading = asyncio.create_task(work)

        def store(task: asyncio.Task[ModelFacts]) -> None:
            if current := self._reading.get(key) is task:
                del self._reading[key]
            if task.cancelled():
                return
            if error := task.exception():
                log.warning("registry unreadable", extra={"fields": {"language": key[0], "error": repr(error)[:300]}})
            elif current:
                self._cache = {other: facts for other, facts in self._cache.items() if other[0] != key[0]}
                self._cache[key], self._due[key] = task.result(), time.monotonic() + VALID_SECONDS

        reading.add_done_callback(store)
        return reading


def _old(cached: ModelFacts | None, reason: str) -> ModelFacts:
    if cached is None:
        return ModelFacts(registry=reason)
    return cached.model_copy(update={"registry": f"{reason} What is shown was read before."})
