"""The gateway's server: uvicorn with bounds on what comes before a request can be understood.

uvicorn's own protocol waits without end for a request's head, and takes in one of any size.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from serving.middleware import HEADERS
from serving.problems import MEDIA_TYPE, Problem, head_too_large, slow_head

HEAD_BYTES = 65_536
HEAD_SECONDS = 15.0


class GuardedProtocol(HttpToolsProtocol):
    """HTTP/1.1 whose request heads have a size and a time, and whose refusals are problems like all others."""

    head_seconds = HEAD_SECONDS

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._head_bytes = 0
        self._reading_head = True
        self._head_timer: asyncio.TimerHandle | None = None
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._head_is_here()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; what is received while a head is incomplete counts."""
        if self._reading_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing() or not self._reading_head:
            return
        if self._head_bytes > HEAD_BYTES:
            self._refuse(head_too_large(f"The request's head is larger than {HEAD_BYTES} bytes."))
        elif self.cycle is None or self.cycle.response_complete:
            self._wait_for_head()

    def on_headers_complete(self) -> None:
        """The head is there; now the application's own limits hold."""
        self._head_is_here()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next thing to come is a head."""
        super().on_message_complete()
        self._reading_head, self._head_bytes = True, 0

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

    def _late(self) -> None:
        if self._head_bytes:
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
                **HEADERS,
            }
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            self.transport.write(STATUS_LINE[problem.status] + lines.encode() + b"\r\n" + body)
        self.transport.close()


def make_server(app: Any) -> uvicorn.Server:
    """A server of the gateway's application: no banner, no WebSocket, logging as configured by whoever runs it."""
    config = uvicorn.Config(
        app,
        http=GuardedProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=30,
    )
    return uvicorn.Server(config)
