"""Whether a served process still answers: judged by its calls, and by pings to its server.

The server answers pings while the model works, which it does in threads of its own. So a process that leaves them
unanswered hangs, however busy it is; one that works on a call is given more time all the same. What the process cannot
help, such as the gateway's own lack of open files, is never held against it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

PAUSE = PING_SECONDS = 3.0  # between pings, and for the answer to one
PINGS, PINGS_BUSY = 3, 8  # in a row without an answer until the process is taken to hang; busy: it works on a call
UNSTOPPED = 3  # calls in a row that had to stop and did not, until the same


class Pulse:
    """What was heard of a process."""

    def __init__(self) -> None:
        self._working = 0  # calls under way
        self._heard = 0  # answers so far
        self._unstopped = 0  # calls that had to stop and did not, one after the other

    @property
    def stuck(self) -> bool:
        """Whether the server answers, but the model stops no more when it is told to."""
        return self._unstopped >= UNSTOPPED

    async def hear(self, call: Awaitable[httpx.Response], *, stoppable: bool) -> httpx.Response:
        """The answer to ``call``, taken note of.

        Args:
            call: to the model.
            stoppable: whether the model stops it in time, so that MLflow need not (status 504).

        Raises:
            httpx.TransportError: as the call does.
        """
        self._working += 1
        try:
            response = await call
        except httpx.TimeoutException:
            self._unstopped += 1
            raise
        finally:
            self._working -= 1
        self._heard += 1
        self._unstopped = self._unstopped + 1 if stoppable and response.status_code == 504 else 0
        return response

    async def lost(self, ping: Callable[[], Awaitable[Any]], refused: Callable[[], Awaitable[bool]]) -> str:
        """Return once the process is found not to answer, and why.

        Args:
            ping: asks the server whether it is there; raises httpx.TimeoutException where nothing comes within
                PING_SECONDS.
            refused: whether nobody listens at its port.
        """
        missed = 0
        while missed < (PINGS_BUSY if self._working else PINGS):
            heard = self._heard
            await asyncio.sleep(PAUSE)
            try:
                await ping()
                missed = 0
            except httpx.TimeoutException:
                missed = missed + 1 if heard == self._heard else 0
            except Exception:
                if await refused():
                    return "nobody listens at its port"
        return f"{missed} pings in a row were not answered"
