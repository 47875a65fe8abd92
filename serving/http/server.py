"""The gateway's server: uvicorn with bounds on connections, and on what comes before a request can be understood.

uvicorn's own protocol takes in any number of connections, waits without end for a request's head, and reads one of any
size.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from functools import partial
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from multiner.serving.http.connection_limit import CONNECTIONS, Places
from multiner.serving.http.middleware import HEADERS
from multiner.serving.http.problems import (
    MEDIA_TYPE,
    Problem,
    crowded,
    head_too_large,
    slow_head,
)

HEAD_BYTES = 65_536
HEAD_SECONDS = 15.0
KEEP_SECONDS = 5  # an answered connection is kept for the next request
BACKLOG = 256  # asyncio accepts as many at a go, before any of them can be refused; fewer would keep bursts waiting


class GuardedProtocol(HttpToolsProtocol):
    """HTTP/1.1 of bounded connections and request heads, whose refusals are problems like all others.

    Args:
        places: those of the server's connections.
        arguments: those of uvicorn's protocol.
    """

    head_seconds = HEAD_SECONDS

    def __init__(self, *arguments: Any, places: Places[GuardedProtocol], **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._places = places

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin to wait for a head, if there is a place."""
        super().connection_made(transport)
        self._head_bytes = 0
        self._reading_head = True
        self._head_timer: asyncio.TimerHandle | None = None
        self._wait_for_head()
        displaced = self._places.enter(self)
        if displaced is not None:
            displaced._give_way(at_once=displaced is self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._places.leave(self)
        self._head_is_here()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; what is received while a head is incomplete counts."""
        if self._reading_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._reading_head and self._head_bytes > HEAD_BYTES:
            self._refuse(head_too_large(f"The request's head is larger than {HEAD_BYTES} bytes."))
        elif self.cycle is None or self.cycle.response_complete:
            self._wait_for_head()  # maybe after the rest of a body that was answered unread

    def on_headers_complete(self) -> None:
        """The head is there; now the application's own limits hold."""
        self._head_is_here()
        self._places.work(self)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next thing to come is a head."""
        super().on_message_complete()
        self._reading_head, self._head_bytes = True, 0

    def on_response_complete(self) -> None:
        """The connection can be closed for another's sake, unless it has more to answer, or to send."""
        super().on_response_complete()
        if self.cycle.response_complete and not self.transport.get_write_buffer_size():
            self._places.wait(self)

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is answered with a problem, too."""
        self._refuse(Problem(400, "malformed", "The request is not valid HTTP", "It cannot be read as HTTP/1.1."))

    def _unsupported_upgrade_warning(self) -> None:
        """A request to switch protocols is answered as if it had not asked for that (RFC 9110, 7.8): nothing to log."""

    def _wait_for_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_seconds, self._late)

    def _head_is_here(self) -> None:
        self._reading_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_way(self, *, at_once: bool) -> None:
        if at_once or (self._reading_head and self._head_bytes):
            self._refuse(crowded(self._places.most))
        else:
            self.transport.close()

    def _late(self) -> None:
        if self._reading_head and self._head_bytes:
            self._refuse(slow_head(self.head_seconds))
        else:  # nobody has asked for anything
            self.transport.close()

    def _refuse(self, problem: Problem) -> None:
        """Answer and close, unless the answer to an earlier request is under way: then only close."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            request_id = uuid.uuid4().hex
            body = json.dumps(problem.to_json(request_id)).encode()
            headers = {
                "Content-Type": MEDIA_TYPE,
                "Content-Length": str(len(body)),
                "Connection": "close",
                "X-Request-ID": request_id,
                **problem.headers,
                **HEADERS,
            }
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            self.transport.write(STATUS_LINE[problem.status] + lines.encode() + b"\r\n" + body)
        self.transport.close()


def make_server(app: Any, connections: int = CONNECTIONS) -> uvicorn.Server:
    """A server of the gateway's application: no banner, no WebSocket, logging as configured by whoever runs it.

    Args:
        app: the application.
        connections: open at once, at most.
    """
    config = uvicorn.Config(
        app,
        http=partial(GuardedProtocol, places=Places(connections)),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_SECONDS,
        timeout_graceful_shutdown=30,
    )
    return uvicorn.Server(config)
