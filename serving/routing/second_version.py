"""A further version of a model beside the live one, loaded on an operator's order to be compared with it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.text.surrogates import without_surrogates
from multiner.serving import executors
from multiner.serving.answers import ModelFailed
from multiner.serving.backends.backend import Backend, BackendGone, BackendTimeout, ServedModel
from multiner.serving.routing.segmentation import merge_answers, split_by_language

IDLE_SECONDS = 300  # after the last text the version is unloaded


class SecondVersion:
    """One version at a time, of any language; it is loaded where memory permits, and unloaded when idle.

    Args:
        launch: brings up a backend for a version, or raises NerError and leaves nothing behind.
        resolve: finds a version of a language in the registry; blocking.
    """

    def __init__(
        self, launch: Callable[[ServedModel], Awaitable[Backend]], resolve: Callable[[str, str], ServedModel | None]
    ) -> None:
        self._launch, self._resolve = launch, resolve
        self._turn = asyncio.Lock()
        self._backend: Backend | None = None
        self._idle: asyncio.Task[None] | None = None

    async def answer(self, language: str, version: str, text: str) -> dict[str, Any]:
        """The version's result for a text in this language.

        Raises:
            NerError: there is no such version, it does not fit, does not come up, or does not answer.
        """
        async with self._turn:
            if self._idle:
                self._idle.cancel()
            try:
                backend = await self._loaded(language, version)
                answers = await backend.answer([without_surrogates(text)])
            except (BackendGone, BackendTimeout, ModelFailed) as error:
                raise NerError(f"version {version} did not answer: {error}", transient=True) from None
            finally:
                self._idle = asyncio.create_task(self._unload_later())
        model = {"name": backend.model.name, "version": backend.model.version}
        return merge_answers(text, split_by_language(text, language, [language]), answers, [model])

    async def _loaded(self, language: str, version: str) -> Backend:
        backend = self._backend
        if backend and backend.alive and (backend.model.language, backend.model.version) == (language, version):
            return backend
        await self._unload()
        model = await executors.run(executors.REGISTRY, self._resolve, language, version)
        if model is None:
            raise NerError(f"the registry has no version {version} for {language!r}")
        self._backend = await self._launch(model)
        return self._backend

    async def _unload(self) -> None:
        backend, self._backend = self._backend, None
        if backend:
            await backend.close()

    async def _unload_later(self) -> None:
        await asyncio.sleep(IDLE_SECONDS)
        async with self._turn:
            await self._unload()

    async def close(self) -> None:
        """Unload the version."""
        if self._idle:
            self._idle.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._idle
        await self._unload()
