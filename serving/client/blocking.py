"""A blocking client of the gateway: entities of texts, in batches, with retries."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any, Self, TypeVar, overload

import httpx

from multiner.pipeline.text.languages import AUTO
from multiner.serving.client.connection import NO_ANSWER, Connection, chosen
from multiner.serving.client.parallel_results import ParallelResult
from multiner.serving.client.protocol import Send, Steps
from multiner.serving.client.results import Result
from multiner.serving.client.retry import Outcome

T = TypeVar("T")


class Client(Connection[httpx.Client]):
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
    def entities(  # type: ignore[overload-overlap]  # a str is an Iterable[str], too: the first overload goes first
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

    def parallel(
        self,
        english: str,
        russian: str,
        min_score: float | None = None,
        types: Iterable[str] | None = None,
    ) -> ParallelResult:
        """The entities of a text and its translation, and which names are each other's (``POST /v1/parallel``).

        Args:
            english: the English text; either may be the original.
            russian: the Russian one.
            min_score: leave out entities of a lower score.
            types: leave out entities of other types.

        Raises:
            ServiceError: the gateway refuses, fails or does not answer, or does not serve both languages (404).
        """
        return self._run(self._exchange.parallel(english, russian, chosen(min_score=min_score, types=types)))

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
                result: T = end.value
                return result
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
