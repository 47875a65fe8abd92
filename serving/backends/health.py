"""Whether a model server still answers: judged by its calls, and by pings.

The server answers pings while the model works, which it does in threads of its own. So a server that leaves them
unanswered hangs, however busy it is; one that works on a call is given more time all the same. What the server cannot
help, such as the gateway's own lack of open files, is never held against it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx

PAUSE = PING_SECONDS = 3.0  # between pings, and for the answer to one
PINGS, PINGS_BUSY = 3, 8  # in a row without an answer until the server is taken to hang; busy: it works on a call
STOPPING_SECONDS = 5  # in which a model has stopped working on a call that was cancelled
UNSTOPPED = 3  # calls in a row that had to stop and did not, until the same


class Health:
    """What was heard of a model server."""

    def __init__(self) -> None:
        self._working = 0  # calls under way
        self._heard = 0  # answers so far
        self._unstopped = 0  # calls that had to stop and did not, one after the other

    @property
    def stuck(self) -> bool:
        """Whether the server answers, but the model stops no more when it is told to."""
        return self._unstopped >= UNSTOPPED

    async def hear(self, call: Awaitable[httpx.Response], *, cancellable: bool) -> httpx.Response:
        """The answer to ``call``, taken note of.

        Args:
            call: to the model.
            cancellable: whether the model stops it in time, so that MLflow need not (status 504).

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
        self._unstopped = self._unstopped + 1 if cancellable and response.status_code == 504 else 0
        return response

    async def lost(self, ping: Callable[[], Awaitable[bool]], refused: Callable[[], Awaitable[bool]]) -> str:
        """Return once the server is found not to answer, and why.

        Args:
            ping: asks the server whether it is well; raises httpx.TimeoutException where nothing comes within
                PING_SECONDS.
            refused: whether it is certain that nobody listens.
        """
        missed = 0
        while missed < (PINGS_BUSY if self._working else PINGS):
            heard = self._heard
            await asyncio.sleep(PAUSE)
            try:
                well = await ping()
            except httpx.TimeoutException:
                well = False
            except Exception:
                if await refused():
                    return "nobody listens at its port"
                continue
            missed = 0 if well or heard != self._heard else missed + 1
        return f"{missed} pings in a row were not answered"
