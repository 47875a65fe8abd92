"""The client for asyncio; its blocking twin is :mod:`multiner.serving.client.blocking`."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any, Self, overload

import httpx
from httpx_retries import aretry_request

from multiner.serving.client.connection import AUTO, NO_ANSWER, Connection, Score, Types, request_options
from multiner.serving.client.parallel_results import ParallelResult
from multiner.serving.client.protocol import entities_body, parallel_body
from multiner.serving.client.results import Result


class AsyncClient(Connection[httpx.AsyncClient]):
    """As :class:`multiner.Client`, for asyncio, with the same arguments (``http``: an ``httpx.AsyncClient``)."""

    _kind = httpx.AsyncClient

    @overload
    async def entities(  # type: ignore[overload-overlap]  # a str is an Iterable[str], too: the first goes first
        self, text: str, language: str = ..., min_score: Score = ..., types: Types = ..., tokens: bool = ...
    ) -> Result: ...
    @overload
    async def entities(
        self,
        text: Iterable[str] | AsyncIterable[str],
        language: str = ...,
        min_score: Score = ...,
        types: Types = ...,
        tokens: bool = ...,
    ) -> list[Result]: ...
    async def entities(
        self,
        text: str | Iterable[str] | AsyncIterable[str],
        language: str = AUTO,
        min_score: Score = None,
        types: Types = None,
        tokens: bool = False,
    ) -> Result | list[Result]:
        """As :meth:`multiner.Client.entities`."""
        texts = [text] if isinstance(text, str) else text
        results = [result async for result in self.stream(texts, language, min_score, types, tokens)]
        return results[0] if isinstance(text, str) else results

    async def stream(
        self,
        texts: Iterable[str] | AsyncIterable[str],
        language: str = AUTO,
        min_score: Score = None,
        types: Types = None,
        tokens: bool = False,
    ) -> AsyncIterator[Result]:
        """As :meth:`multiner.Client.stream`; the texts may come asynchronously too."""
        options, first = request_options(language, min_score, types, tokens), 0
        async for batch in self._batcher().async_batches(texts):
            for result in await self._results(batch, options, first):
                yield result
            first += len(batch)

    async def parallel(
        self, english: str, russian: str, min_score: Score = None, types: Types = None
    ) -> ParallelResult:
        """As :meth:`multiner.Client.parallel`."""
        body = parallel_body(english, russian, request_options(min_score=min_score, types=types))
        return self._reader.parallel(await self._send("/v1/parallel", body), english, russian)

    async def models(self) -> list[dict[str, Any]]:
        """As :meth:`multiner.Client.models`."""
        return self._reader.models(await self._send("/v1/models"))

    async def health(self) -> dict[str, Any]:
        """As :meth:`multiner.Client.health`."""
        return self._reader.health(await self._send("/health", once=True))

    async def _results(self, texts: list[str], options: dict[str, Any], first: int) -> list[Result]:
        """A result for each text; asked in halves where the gateway finds them too many."""
        response = await self._send("/v1/entities", entities_body(texts, options))
        if response.status_code == 413 and len(texts) > 1:
            half = len(texts) // 2
            results = await self._results(texts[:half], options, first)
            return results + await self._results(texts[half:], options, first + half)
        return self._reader.results(response, texts, first)

    async def _send(self, path: str, body: bytes | None = None, *, once: bool = False) -> httpx.Response:
        try:
            return await aretry_request(self._http, **self._request(path, body, once))
        except NO_ANSWER as error:
            raise self._reader.no_answer(error) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()
