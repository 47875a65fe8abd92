"""When a client asks again."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TypeAlias

import httpx

Outcome: TypeAlias = httpx.Response | httpx.HTTPError | httpx.InvalidURL | None
FIRST_WAIT = 0.5  # seconds, at most, before the first retry; each further one may wait twice as long
BUSY = frozenset({429, 503})
# The connection failed, not the request; asking for entities changes nothing, so it can be asked again.
LOST = (httpx.NetworkError, httpx.ConnectTimeout, httpx.RemoteProtocolError)


@dataclass(frozen=True, slots=True)
class Retry:
    """When to ask again: exponential back-off with full jitter, and not before ``Retry-After``.

    Brooker 2015, https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/

    Attributes:
        times: retries of a request at most.
        max_wait: seconds; a ``Retry-After`` beyond is not waited for.
    """

    times: int
    max_wait: float

    def wait(self, attempt: int, outcome: Outcome) -> float | None:
        """Seconds to wait after the ``attempt``-th attempt (from 0); None: it ended, well or not."""
        busy = isinstance(outcome, httpx.Response) and outcome.status_code in BUSY
        if attempt >= self.times or not (busy or isinstance(outcome, LOST)):
            return None
        asked = retry_after(outcome) if isinstance(outcome, httpx.Response) else 0.0
        if asked > self.max_wait:
            return None
        return asked + random.uniform(0, min(FIRST_WAIT * 2 ** min(attempt, 16), self.max_wait))


def retry_after(response: httpx.Response) -> float:
    """Seconds that a response asks to wait (RFC 9110, 10.2.3): a number or a date; 0 where it does not say."""
    given = response.headers.get("retry-after", "").strip()
    if given.isascii() and given.isdecimal():
        return float(given)
    try:
        return max(0.0, parsedate_to_datetime(given).timestamp() - time.time())
    except ValueError:
        return 0.0
