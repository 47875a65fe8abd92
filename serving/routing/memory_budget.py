"""The memory of this host's models: whether one more fits, and which ones are unloaded to make room for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Literal, Protocol

import psutil

from multiner.pipeline.core.errors import NerError
from multiner.serving import executors
from multiner.serving.backends.backend import Backend, ServedModel

log = logging.getLogger("serving")
Keep = bool | Literal["auto"]
TIMES = 2  # available memory, in multiples of the version's own, that keeping it warm takes
SHARE = 0.9  # of the available memory that a model may take; served models grow a little with use
PER_FOLDER = 4  # resident memory of a model that never ran here, in multiples of its folder's size
GROUP = Path("/sys/fs/cgroup")


class OutOfMemory(NerError):
    """A model does not fit beside those in use."""


class Route(Protocol):
    """A language's traffic, as the budget sees it."""

    @property
    def language(self) -> str:
        """Its code."""

    @property
    def last_use(self) -> float:
        """When a request last came; the least recently used language is unloaded first."""

    @property
    def in_demand(self) -> bool:
        """Whether another language may be unloaded for it."""

    async def drop_warm(self) -> bool:
        """Stop the previous version if nothing uses it; whether that freed memory."""

    async def unload(self) -> bool:
        """Stop the live version if nothing uses it; whether that freed memory."""


class MemoryBudget:
    """The memory that the models of all languages of a host may take together.

    Where a model does not fit, warm previous versions are stopped first, then the live versions of the languages that
    were used least recently; the live version that a new one replaces is the last. A model that would run alone always
    starts, since its size is an estimate. Models at endpoints take no memory here.

    Args:
        limit: bytes; None: what is available, on the machine or in the container.
        folder_bytes: the size of a version's folder, 0 if unknown; blocking.
    """

    def __init__(self, limit: int | None, folder_bytes: Callable[[ServedModel], int]) -> None:
        self.routes: Iterable[Route] = ()
        self._limit = limit
        self._folder_bytes = folder_bytes
        self._sizes: dict[str, int] = {}  # by a model's name: the most memory that a version of it had
        self._backends: set[Backend] = set()  # those that may hold memory
        self._launching: list[int] = []  # estimates for the launches under way
        self._turn = asyncio.Lock()  # one launch at a time makes room

    async def launch(
        self, launch: Callable[[ServedModel], Awaitable[Backend]], model: ServedModel, *, spare: bool = False
    ) -> Backend:
        """Make room for a model and launch it; ``spare``: it starts only if it fits as things are.

        Raises:
            OutOfMemory: it does not fit, and everything else is in use; transient.
        """
        if model.is_endpoint:
            return await launch(model)
        async with self._turn:
            size = await self._estimate(model)
            while missing := await self._missing(size):
                if spare or not await self._make_room(model.language):
                    raise OutOfMemory(
                        f"{model.name} version {model.version} does not fit beside the models in use: "
                        f"of about {size // 10**6} MB, {missing // 10**6} MB are missing",
                        where="params.yaml: serving.memory",
                        remedy="It is tried again. If this goes on, raise serving.memory, or give the machine more.",
                        transient=True,
                    )
            self._launching.append(size)
        try:
            backend = await launch(model)
        finally:
            self._launching.remove(size)
        self._backends.add(backend)
        return backend

    def keeper(self, keep: Keep) -> Callable[[Backend], bool]:
        """The rule of ``serving.keep_previous``: always, never, or while memory permits (``auto``)."""
        if keep == "auto":
            return lambda warm: self._left() > TIMES * warm.memory
        return lambda warm: keep

    async def _estimate(self, model: ServedModel) -> int:
        """Bytes that a model will take: as before, else as the largest that ran here, else by its folder's size."""
        try:  # in threads: the processes, and the registry, take a while
            await executors.run(executors.FILES, self._measure)
            if size := self._sizes.get(model.name) or max(self._sizes.values(), default=0):
                return size
            return PER_FOLDER * await executors.run(executors.REGISTRY, self._folder_bytes, model)
        except Exception:  # what cannot be read must not stop a launch, which will tell what is wrong
            log.exception("model size unknown", extra={"fields": {"name": model.name, "version": model.version}})
            return 0

    async def _missing(self, size: int) -> int:
        """Bytes by which a model of ``size`` bytes does not fit; 0 where it fits, or would run alone."""
        self._backends = {backend for backend in self._backends if backend.alive or backend.memory}
        if not self._backends and not self._launching:
            return 0
        try:
            return max(0, size - await executors.run(executors.FILES, self._left, SHARE))
        except Exception:
            log.exception("memory unknown")
            return 0

    def _measure(self) -> list[int]:
        """The memory of each running model, in bytes."""
        sizes = [(backend.model.name, backend.memory) for backend in list(self._backends)]
        for name, size in sizes:
            self._sizes[name] = max(size, self._sizes.get(name, 0))
        return [size for _, size in sizes]

    def _left(self, share: float = 1.0) -> int:
        """Bytes that a further model may take, of what is available only a share."""
        total = int(share * available_bytes()) if self._limit is None else self._limit - sum(self._measure())
        return total - sum(self._launching)

    async def _make_room(self, language: str) -> bool:
        """Stop one version for a model of ``language``; False where none may be stopped."""
        routes = sorted(self.routes, key=lambda route: route.last_use)
        own = next(route for route in routes if route.language == language)
        for route in routes:
            if await route.drop_warm():
                return True
        if own.in_demand:
            for route in (*(route for route in routes if route is not own), own):
                if await route.unload():
                    return True
        return False


def available_bytes(group: Path = GROUP) -> int:
    """Bytes available without swapping, on the machine or in the container, whichever is less.

    Source: https://docs.kernel.org/admin-guide/cgroup-v2.html (``memory.max``, ``memory.current``, ``memory.stat``)
    """
    machine = psutil.virtual_memory().available
    try:
        most = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no limit ("max"), or not Linux
        return machine
    return min(machine, most - used + int(stat.get("inactive_file", 0)))
