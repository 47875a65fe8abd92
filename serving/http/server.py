"""The gateway's HTTP server: uvicorn, by its public options alone.

uvicorn bounds the size of a request's head and how many requests are under way; it does not bound how long a head
takes to arrive, nor close idle connections for another's sake. A reverse proxy does (docs/proxy.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import uvicorn

from multiner.serving.http.connection_limit import CONNECTIONS

HEAD_BYTES = 65_536  # of a head that is still incomplete; multiner.serving.http.request_guard bounds complete ones
KEEP_SECONDS = 5  # an answered connection is kept for the next request
BACKLOG = 256  # asyncio accepts as many at a go, before any of them can be refused; fewer would keep bursts waiting


def make_server(app: Any, connections: int = CONNECTIONS, proxies: Sequence[str] = ()) -> uvicorn.Server:
    """A server of the gateway's application: no banner, no WebSocket, logging as configured by whoever runs it.

    Args:
        app: the application.
        connections: open at once; with more, requests are answered 503.
        proxies: addresses and networks whose ``X-Forwarded-For`` and ``X-Forwarded-Proto`` are believed. From all
            others these headers mean nothing: a caller would choose its own address.
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
        forwarded_allow_ips=list(proxies),  # named, or uvicorn takes FORWARDED_ALLOW_IPS from the environment
        limit_concurrency=connections + 1,  # uvicorn refuses from this number on
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_SECONDS,
        timeout_graceful_shutdown=30,
    )
    return uvicorn.Server(config)
