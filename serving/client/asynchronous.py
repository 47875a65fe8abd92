"""The client for asyncio; see :mod:`multiner.serving.client.blocking`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any, Self, TypeVar, overload

import httpx

from multiner.pipeline.text.languages import AUTO
from multiner.serving.client.connection import NO_ANSWER, Connection, chosen
from multiner.serving.client.parallel_results import ParallelResult
from multiner.serving.client.protocol import Send, Steps
from multiner.serving.client.results import Result
from multiner.serving.client.retry import Outcome

T = TypeVar("T")


class AsyncClient(Connection[httpx.AsyncClient]):
    """The twin of :class:`serving.Client` for asyncio, with the same arguments (``http``: an ``httpx.AsyncClient``)."""

    _kind = httpx.AsyncClient

    @overload
    async def entities(  # type: ignore[overload-overlap]  # a str is an Iterable[str], too: the first goes first
        self,
        text: str,
        language: str = ...,
        min_score: float | None = ...,
        types: Iterable[str] | None = ...,
        tokens: bool = ...,
    ) -> Result: ...
    @overload
    async def entities(
        self,
        text: Iterable[str] | AsyncIterable[str],
        language: str = ...,
        min_score: float | None = ...,
        types: Iterable[str] | None = ...,
        tokens: bool = ...,
    ) -> list[Result]: ...
    async def entities(
        self,
        text: str | Iterable[str] | AsyncIterable[str],
        language: str = AUTO,
        min_score: float | None = None,
        types: Iterable[str] | None = None,
        tokens: bool = False,
    ) -> Result | list[Result]:
        """As :meth:`serving.Client.entities`."""
        texts = [text] if isinstance(text, str) else text
        results = [result async for result in self.stream(texts, language, min_score, types, tokens)]
        return results[0] if isinstance(text, str) else results

    async def stream(
        self,
        texts: Iterable[str] | AsyncIterable[str],
        language: str = AUTO,
        min_score: float | None = None,
        types: Iterable[str] | None = None,
        tokens: bool = False,
    ) -> AsyncIterator[Result]:
        """As :meth:`serving.Client.stream`; the texts may come asynchronously too."""
        options, first = chosen(language, min_score, types, tokens), 0
        async for batch in self._batcher().async_batches(texts):
            for result in await self._run(self._exchange.find(batch, options, first)):
                yield result
            first += len(batch)

    async def parallel(
        self,
        english: str,
        russian: str,
        min_score: float | None = None,
        types: Iterable[str] | None = None,
    ) -> ParallelResult:
        """As :meth:`serving.Client.parallel`."""
        return await self._run(self._exchange.parallel(english, russian, chosen(min_score=min_score, types=types)))

    async def models(self) -> list[dict[str, Any]]:
        """As :meth:`serving.Client.models`."""
        return await self._run(self._exchange.models())

    async def health(self) -> dict[str, Any]:
        """As :meth:`serving.Client.health`."""
        return await self._run(self._exchange.health())

    async def _run(self, steps: Steps[T]) -> T:
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                result: T = end.value
                return result
            if isinstance(step, Send):
                try:
                    outcome = await self._http.request(**self._request(step))
                except NO_ANSWER as error:
                    outcome = error
            else:
                await asyncio.sleep(step.seconds)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()
