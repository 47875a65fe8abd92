"""A blocking client of the gateway: entities of texts, in batches, with retries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Self, overload

import httpx
from httpx_retries import retry_request

from multiner.serving.client.connection import AUTO, NO_ANSWER, Connection, Score, Types, request_options
from multiner.serving.client.parallel_results import ParallelResult
from multiner.serving.client.protocol import entities_body, parallel_body
from multiner.serving.client.results import Result


class Client(Connection[httpx.Client]):
    """A blocking client; a context manager, and safe to share among threads.

    Args:
        endpoint: the gateway's address, with or without ``/v1/entities``.
        timeout: seconds to wait for an answer; for a connection 10 at most.
        retries: how often a request is sent again where the connection fails, or the gateway is busy (429) or has no
            model yet (503). Waits are random, 0.5 s at most, then twice as long each time, on top of ``Retry-After``.
        batch: texts in a request at most.
        characters: characters in a request at most; a longer text goes alone, and is never cut.
        max_wait: seconds that a wait takes at most; where ``Retry-After`` asks for more, the error is raised at once.
        http: the httpx client to use, for certificates, proxies or headers; its own timeout then counts, not
            ``timeout``, and it must not retry by itself. It is closed with this client.
    """

    _kind = httpx.Client

    @overload
    def entities(  # type: ignore[overload-overlap]  # a str is an Iterable[str], too: the first overload goes first
        self, text: str, language: str = ..., min_score: Score = ..., types: Types = ..., tokens: bool = ...
    ) -> Result: ...
    @overload
    def entities(
        self, text: Iterable[str], language: str = ..., min_score: Score = ..., types: Types = ..., tokens: bool = ...
    ) -> list[Result]: ...
    def entities(
        self,
        text: str | Iterable[str],
        language: str = AUTO,
        min_score: Score = None,
        types: Types = None,
        tokens: bool = False,
    ) -> Result | list[Result]:
        """The entities of a text, or of each of several.

        Args:
            text: a string, or several: any number, sent in batches.
            language: ``auto`` (the script of each sentence decides) or a code.
            min_score: leave out entities of a lower score.
            types: leave out entities of other types.
            tokens: whether results hold each token's probabilities, too.

        Raises:
            ServiceError: the gateway refuses, fails or does not answer.
        """
        results = list(self.stream([text] if isinstance(text, str) else text, language, min_score, types, tokens))
        return results[0] if isinstance(text, str) else results

    def stream(
        self,
        texts: Iterable[str],
        language: str = AUTO,
        min_score: Score = None,
        types: Types = None,
        tokens: bool = False,
    ) -> Iterator[Result]:
        """The results of texts in their order; no more than a batch of them is in memory at a time.

        Args and errors: see :meth:`entities`. An error comes after the results of the batches before it.
        """
        options, first = request_options(language, min_score, types, tokens), 0
        for batch in self._batcher().batches(texts):
            yield from self._results(batch, options, first)
            first += len(batch)

    def parallel(self, english: str, russian: str, min_score: Score = None, types: Types = None) -> ParallelResult:
        """The entities of a text and its translation, and the pairs of names (``POST /v1/parallel``).

        Args:
            english: the English text; either may be the original.
            russian: the Russian one.
            min_score: leave out entities of a lower score.
            types: leave out entities of other types.

        Raises:
            ServiceError: the gateway refuses, fails or does not answer, or does not serve both languages (404).
        """
        body = parallel_body(english, russian, request_options(min_score=min_score, types=types))
        return self._reader.parallel(self._send("/v1/parallel", body), english, russian)

    def models(self) -> list[dict[str, Any]]:
        """The version live for each language, since when, and the one kept warm behind it (``GET /v1/models``).

        Raises:
            ServiceError: the gateway fails or does not answer.
        """
        return self._reader.models(self._send("/v1/models"))

    def health(self) -> dict[str, Any]:
        """``status`` (``ok``, ``degraded``, ``starting``, ``down``) and each language's; asked once, whatever it is.

        Raises:
            ServiceError: no gateway answers.
        """
        return self._reader.health(self._send("/health", once=True))

    def _results(self, texts: list[str], options: dict[str, Any], first: int) -> list[Result]:
        """A result for each text; asked in halves where the gateway finds them too many."""
        response = self._send("/v1/entities", entities_body(texts, options))
        if response.status_code == 413 and len(texts) > 1:
            half = len(texts) // 2
            results = self._results(texts[:half], options, first)
            return results + self._results(texts[half:], options, first + half)
        return self._reader.results(response, texts, first)

    def _send(self, path: str, body: bytes | None = None, *, once: bool = False) -> httpx.Response:
        try:
            return retry_request(self._http, **self._request(path, body, once))
        except NO_ANSWER as error:
            raise self._reader.no_answer(error) from error

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
