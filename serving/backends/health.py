"""Whether a model server still answers, judged by its calls and by pings.

The server answers pings while the model works, so a server that misses several of them hangs. One that works on a call
is given more time. Faults of the gateway itself, such as too many open files, do not count against the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx

PAUSE = PING_SECONDS = 3.0  # between pings, and for the answer to one
PINGS, PINGS_BUSY = 3, 8  # missed in a row until the server counts as hanging; busy: it works on a call
STOPPING_SECONDS = 5  # for a model to stop working on a cancelled call
UNSTOPPED = 3  # calls in a row that did not stop, until the server counts as hanging


class Health:
    """The calls and pings of one model server, and what they say about it."""

    def __init__(self) -> None:
        self._calls = 0  # under way
        self._answers = 0
        self._unstopped = 0  # calls in a row that had to stop and did not

    @property
    def stuck(self) -> bool:
        """Whether the server answers while the model no longer stops when told to."""
        return self._unstopped >= UNSTOPPED

    async def hear(self, call: Awaitable[httpx.Response], *, cancellable: bool) -> httpx.Response:
        """Await ``call``, a call of the model, and record its outcome; raises what the call raises.

        ``cancellable``: the model can stop the call itself, so that MLflow's status 504 means that it did not.
        """
        self._calls += 1
        try:
            response = await call
        except httpx.TimeoutException:
            self._unstopped += 1
            raise
        finally:
            self._calls -= 1
        self._answers += 1
        self._unstopped = self._unstopped + 1 if cancellable and response.status_code == 504 else 0
        return response

    async def lost(self, ping: Callable[[], Awaitable[bool]], refused: Callable[[], Awaitable[bool]]) -> str:
        """Return once the server no longer answers, with the reason.

        Args:
            ping: whether the server is well; raises httpx.TimeoutException without an answer in PING_SECONDS.
            refused: whether certainly nobody listens.
        """
        missed = 0
        while missed < (PINGS_BUSY if self._calls else PINGS):
            answers = self._answers
            await asyncio.sleep(PAUSE)
            try:
                well = await ping()
            except httpx.TimeoutException:
                well = False
            except Exception:
                if await refused():
                    return "nobody listens at its port"
                continue
            missed = 0 if well or answers != self._answers else missed + 1
        return f"{missed} pings in a row were not answered"
