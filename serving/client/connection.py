"""What both clients have in common: the address, the limits, and what of a request is chosen by the caller."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

import httpx

from multiner.serving.client.batching import Batcher
from multiner.serving.client.protocol import Exchange, Send
from multiner.serving.client.retry import Retry

H = TypeVar("H", httpx.Client, httpx.AsyncClient)
ENDPOINT = "http://127.0.0.1:8000"
TIMEOUT = 120.0  # seconds: twice what the gateway gives a model
CONNECT_TIMEOUT = 10.0
MAX_TEXTS = 64  # as serving.max_texts and serving.max_characters in params.yaml
MAX_CHARACTERS = 100_000
HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
NO_ANSWER = (httpx.HTTPError, httpx.InvalidURL)


class Connection(Generic[H]):
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


def chosen(
    language: str | None = None,
    min_score: float | None = None,
    types: Iterable[str] | None = None,
    tokens: bool = False,
) -> dict[str, Any]:
    """The fields of a request beside its texts; what is not given is not sent."""
    if types is not None:
        types = [types] if isinstance(types, str) else list(types)
    given = {"language": language, "min_score": min_score, "types": types, "tokens": tokens or None}
    return {name: value for name, value in given.items() if value is not None}
