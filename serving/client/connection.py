"""What both clients have in common: the address, the limits, the retries, and the fields of a request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

import httpx
from httpx_retries import Retry

from multiner.serving.client.batching import Batcher
from multiner.serving.client.protocol import AnswerReader

H = TypeVar("H", httpx.Client, httpx.AsyncClient)
AUTO = "auto"  # the gateway finds out each sentence's language
ENDPOINT = "http://127.0.0.1:8000"
TIMEOUT = 120.0  # seconds: twice what the gateway gives a model
CONNECT_TIMEOUT = 10.0
MAX_TEXTS = 64  # as serving.max_texts and serving.max_characters in params.yaml
MAX_CHARACTERS = 100_000
HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
Score = float | None
Types = Iterable[str] | None
NO_ANSWER = (httpx.HTTPError, httpx.InvalidURL, UnicodeError)  # UnicodeError: a host that IDNA cannot write
BUSY = frozenset({429, 503})
# The connection failed, not the request; asking for entities changes nothing, so it can be asked again.
LOST = (httpx.NetworkError, httpx.ConnectTimeout, httpx.RemoteProtocolError)
FIRST_WAIT = 0.5  # seconds, at most, before the first retry; each further one may wait twice as long


class Busy(Exception):
    """The gateway is busy and names a wait that is short enough: the request is sent again."""


class Backoff(Retry):
    """Exponential waits with full jitter, on top of what ``Retry-After`` asks.

    Brooker 2015, https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    def is_retryable_status_code(self, status_code: int) -> bool:
        """No status by itself: ``Retry-After`` decides too, in :func:`backoff`."""
        return False

    def parse_retry_after(self, retry_after: str) -> float:
        """Seconds to wait."""
        return super().parse_retry_after(retry_after) + self.backoff_strategy()


def backoff(times: int, max_wait: float) -> Backoff:
    """What is sent again, ``times`` at most, and when; not where ``Retry-After`` asks for more than ``max_wait`` s."""

    def check(response: httpx.Response) -> None:
        try:
            seconds = Retry().parse_retry_after(response.headers.get("retry-after", ""))
        except ValueError:
            seconds = 0.0
        if response.status_code in BUSY and seconds <= max_wait:
            raise Busy

    return Backoff(
        total=times,
        allowed_methods=["GET", "POST"],
        retry_on_exceptions=[*LOST, Busy],
        backoff_factor=FIRST_WAIT / 2,  # doubled before its first use
        max_backoff_wait=max(max_wait, 0.001),
        validate_response=check,
    )


class Connection(Generic[H]):
    """What both clients have in common."""

    _kind: type[H]

    def __init__(
        self,
        endpoint: str = ENDPOINT,
        *,
        timeout: float | None = TIMEOUT,
        retries: int = 3,
        batch: int = MAX_TEXTS,
        characters: int = MAX_CHARACTERS,
        max_wait: float = 60.0,
        http: H | None = None,
    ) -> None:
        if batch < 1:
            raise ValueError("batch must be 1 at least")
        self.endpoint = endpoint.rstrip("/").removesuffix("/v1/entities")
        self.batch, self.characters = batch, characters
        self._reader = AnswerReader(self.endpoint)
        self._backoff = backoff(retries, max_wait)
        limits = httpx.Timeout(timeout, connect=CONNECT_TIMEOUT if timeout is None else min(timeout, CONNECT_TIMEOUT))
        self._http: H = http or self._kind(timeout=limits, trust_env=False)

    def _batcher(self) -> Batcher[str]:
        return Batcher(self.batch, self.characters, len)

    def _request(self, path: str, body: bytes | None, once: bool) -> dict[str, Any]:
        """What the functions of httpx_retries take."""
        return {
            "method": "GET" if body is None else "POST",
            "url": f"{self.endpoint}{path}",
            "content": body,
            "headers": HEADERS,
            "retry": Retry(total=0) if once else self._backoff,
        }


def request_options(
    language: str | None = None, min_score: Score = None, types: Types = None, tokens: bool = False
) -> dict[str, Any]:
    """The fields of a request beside its texts, without those that the caller left out."""
    if types is not None:
        types = [types] if isinstance(types, str) else list(types)
    fields = {"language": language, "min_score": min_score, "types": types, "tokens": tokens or None}
    return {name: value for name, value in fields.items() if value is not None}
