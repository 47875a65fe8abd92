"""The gateway's HTTP server: uvicorn, by its public options alone.

uvicorn bounds the size of a request's head and how many requests are under way; it does not bound how long a head
takes to arrive, nor close idle connections to make room for others. A reverse proxy does (docs/operations/proxy.md).
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import uvicorn

from multiner.pipeline.core.errors import NerError

RESERVE = 512  # further open files: connections that open or close just now, models, logs, the registry
HEAD_BYTES = 65_536  # of a head that is still incomplete; request_guard bounds complete ones
KEEP_SECONDS = 5  # an idle connection stays open for the next request
BACKLOG = 256  # asyncio accepts as many at once, before it can refuse any; with fewer, bursts would have to wait


def allow_descriptors(connections: int) -> None:
    """Raise the soft limit of open files, mostly 1,024, to what the connections need; NerError over the hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + RESERVE
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise NerError(
            f"{connections} connections need {needed} open files; this system allows {hard}",
            where="params.yaml: serving.connections",
            remedy="Lower it, or raise the limit: ulimit -Hn, LimitNOFILE= of a service.",
        )
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


class DrainingServer(uvicorn.Server):
    """A server that announces that it is about to end, and still takes requests for a while."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None], seconds: float) -> None:
        super().__init__(config)
        self._announce, self._seconds, self._leaving = announce, seconds, False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End after the time to drain; at once on Ctrl-C, or when asked a second time."""
        wait = 0 if self._leaving or sig == signal.SIGINT else self._seconds
        self._leaving = True
        self._announce()
        if wait:
            asyncio.get_running_loop().call_later(wait, super().handle_exit, sig, frame)
        else:
            super().handle_exit(sig, frame)


def drain_seconds() -> float:
    """The seconds in ``NER_DRAIN_SECONDS`` in which a gateway that ends still takes requests; by default none.

    Raises:
        NerError: it is not a number of seconds.
    """
    setting = os.environ.get("NER_DRAIN_SECONDS") or "0"
    if not setting.isdecimal():
        raise NerError(
            f"not a number of seconds: {setting!r}", where="NER_DRAIN_SECONDS", remedy="Set it to such as 5."
        )
    return float(setting)


def make_server(
    app: Any, connections: int, proxies: Sequence[str], announce: Callable[[], None] = lambda: None, drain: float = 0
) -> uvicorn.Server:
    """A server of the gateway's application, without banner and WebSocket; it leaves logging as it is.

    Args:
        app: the application.
        connections: with more open, requests are answered 503.
        proxies: addresses and networks whose ``X-Forwarded-For`` and ``X-Forwarded-Proto`` are believed; all others
            could choose their own address by these.
        announce: called when the server is asked to end, before it stops to take requests.
        drain: seconds between the two.
    """
    config = uvicorn.Config(
        app,
        http="h11",  # the one whose heads are bounded
        h11_max_incomplete_event_size=HEAD_BYTES,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),  # without it uvicorn reads FORWARDED_ALLOW_IPS
        limit_concurrency=connections + 1,  # uvicorn refuses from this number on
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_SECONDS,
        timeout_graceful_shutdown=30,
    )
    return DrainingServer(config, announce, drain)
