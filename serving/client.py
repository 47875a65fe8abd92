"""A client of the gateway, blocking and not: entities of texts, in batches, with retries."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any, Generic, Self, TypeVar, overload

import httpx

from serving.batching import Batcher
from serving.exchange import Exchange, Send, Steps
from serving.languages import AUTO
from serving.results import Result
from serving.retry import Outcome, Retry

T = TypeVar("T")
H = TypeVar("H", httpx.Client, httpx.AsyncClient)
ENDPOINT = "http://127.0.0.1:8000"
TIMEOUT = 120.0  # seconds: twice what the gateway gives a model
CONNECT_TIMEOUT = 10.0
MAX_TEXTS = 64  # as serving.max_texts and serving.max_characters in params.yaml
MAX_CHARACTERS = 100_000
HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
NO_ANSWER = (httpx.HTTPError, httpx.InvalidURL)


class _Connection(Generic[H]):
    """What both clients have in common."""

    _kind: type[H]

    def __init__(
        self,
        endpoint: str = ENDPOINT,
        *,
        timeout: float = TIMEOUT,
        retries: int = 3,
        batch: int = MAX_TEXTS,
        characters: int = MAX_CHARACTERS,
        max_wait: float = 60.0,
        http: H | None = None,
    ) -> None:
        if batch < 1:
            raise ValueError("batch must be 1 at least")
        self.endpoint = endpoint.rstrip("/").removesuffix("/v1/entities")
        self.batch = batch
        self.characters = characters
        self._exchange = Exchange(self.endpoint, Retry(retries, max_wait))
        limits = httpx.Timeout(timeout, connect=min(timeout, CONNECT_TIMEOUT))
        self._http: H = http or self._kind(timeout=limits, trust_env=False)

    def _batcher(self) -> Batcher:
        return Batcher(self.batch, self.characters)

    def _request(self, send: Send) -> dict[str, Any]:
        url = f"{self.endpoint}{send.path}"
        return {"method": send.method, "url": url, "content": send.body, "headers": HEADERS}


class Client(_Connection[httpx.Client]):
    """A blocking client; a context manager, and safe to share among threads.

    Args:
        endpoint: the gateway's address, with or without ``/v1/entities``.
        timeout: seconds to wait for an answer; for a connection 10 at most.
        retries: how often a request is sent again where the connection fails, or the gateway is busy (429) or has no
            model yet (503). Waits are random, 0.5 s at most, then twice as long each time, on top of ``Retry-After``.
        batch: texts in a request at most.
        characters: characters in a request at most; a longer text goes alone, and is never cut.
        max_wait: seconds; where ``Retry-After`` asks for more, the error is raised at once.
        http: the httpx client to use in place of an own one, for certificates, proxies, headers; ``timeout`` is then
            its own. It is closed with this client.
    """

    _kind = httpx.Client

    @overload
    def entities(
        self,
        text: str,
        language: str = ...,
        min_score: float | None = ...,
        types: Iterable[str] | None = ...,
        tokens: bool = ...,
    ) -> Result: ...
    @overload
    def entities(
        self,
        text: Iterable[str],
        language: str = ...,
        min_score: float | None = ...,
        types: Iterable[str] | None = ...,
        tokens: bool = ...,
    ) -> list[Result]: ...
    def entities(
        self,
        text: str | Iterable[str],
        language: str = AUTO,
        min_score: float | None = None,
        types: Iterable[str] | None = None,
        tokens: bool = False,
    ) -> Result | list[Result]:
        """The entities of a text, or of each of several.

        Args:
            text: a string, or several: any number, sent in batches.
            language: ``auto`` (told by the script of each sentence) or a code.
            min_score: leave out entities of a lower score.
            types: leave out entities of other types.
            tokens: tell each token's probabilities, too.

        Raises:
            ServiceError: the gateway refuses, fails or does not answer.
        """
        results = list(self.stream([text] if isinstance(text, str) else text, language, min_score, types, tokens))
        return results[0] if isinstance(text, str) else results

    def stream(
        self,
        texts: Iterable[str],
        language: str = AUTO,
        min_score: float | None = None,
        types: Iterable[str] | None = None,
        tokens: bool = False,
    ) -> Iterator[Result]:
        """The results of texts in their order, a batch at a time: neither texts nor results are gathered beyond that.

        Args and errors: see :meth:`entities`. What came before an error has been yielded.
        """
        options, first = chosen(language, min_score, types, tokens), 0
        for batch in self._batcher().batches(texts):
            yield from self._run(self._exchange.find(batch, options, first))
            first += len(batch)

    def models(self) -> list[dict[str, Any]]:
        """The version live for each language, since when, and the one kept warm behind it (``GET /v1/models``).

        Raises:
            ServiceError: the gateway fails or does not answer.
        """
        return self._run(self._exchange.models())

    def health(self) -> dict[str, Any]:
        """``status`` (``ok``, ``degraded``, ``starting``, ``down``) and each language's; asked once, whatever it is.

        Raises:
            ServiceError: no gateway answers.
        """
        return self._run(self._exchange.health())

    def _run(self, steps: Steps[T]) -> T:
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                return end.value
            if isinstance(step, Send):
                try:
                    outcome = self._http.request(**self._request(step))
                except NO_ANSWER as error:
                    outcome = error
            else:
                time.sleep(step.seconds)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class AsyncClient(_Connection[httpx.AsyncClient]):
    """The twin of :class:`Client` for asyncio, with the same arguments (``http``: an ``httpx.AsyncClient``)."""

    _kind = httpx.AsyncClient

    @overload
    async def entities(
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
        """As :meth:`Client.entities`."""
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
        """As :meth:`Client.stream`; the texts may come asynchronously too."""
        options, first = chosen(language, min_score, types, tokens), 0
        async for batch in self._batcher().async_batches(texts):
            for result in await self._run(self._exchange.find(batch, options, first)):
                yield result
            first += len(batch)

    async def models(self) -> list[dict[str, Any]]:
        """As :meth:`Client.models`."""
        return await self._run(self._exchange.models())

    async def health(self) -> dict[str, Any]:
        """As :meth:`Client.health`."""
        return await self._run(self._exchange.health())

    async def _run(self, steps: Steps[T]) -> T:
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                return end.value
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


def chosen(language: str, min_score: float | None, types: Iterable[str] | None, tokens: bool = False) -> dict[str, Any]:
    """The fields of a request beside its texts; what is not given is not sent."""
    if types is not None:
        types = [types] if isinstance(types, str) else list(types)
    given = {"language": language, "min_score": min_score, "types": types, "tokens": tokens or None}
    return {name: value for name, value in given.items() if value is not None}
