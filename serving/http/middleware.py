"""What every request gets: an id, security headers, a line in the log, counts, an answer to any error; HEAD for GET."""

from __future__ import annotations

import logging
import re
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from h11 import LocalProtocolError
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from multiner.pipeline.core.error_location import describe
from multiner.serving import tracing
from multiner.serving.http import conversation
from multiner.serving.http.metrics import Metrics
from multiner.serving.http.payload import to_json
from multiner.serving.http.problems import Problem

log = logging.getLogger("serving")
MAX_VALUE = 4000  # characters of a value in the log
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class RequestEnvelope:
    """ASGI middleware; inside of it, the request's id is ``scope["state"]["request_id"]``."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request. The log has its method, path, status and time, and nothing of its content."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        with tracing.request_span(scope["method"], scope["headers"]) as span:
            status = await self._answer(scope, receive, send)
            tracing.end_request(span, scope["method"], _route(scope), status, scope["state"]["request_id"])

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> int:
        """Answer a request; returns the status, 0 where the caller has gone."""
        headers = Headers(scope=scope)
        header = headers.get("x-request-id", "")
        request_id = header if REQUEST_ID.fullmatch(header) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        belongs = conversation.current.set(conversation.conversation_of(headers, request_id))
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answered = MutableHeaders(scope=message)
                for name, value in (HEADERS | {"X-Request-ID": request_id}).items():
                    answered.setdefault(name, value)  # a route's own policy stands
            await send(message)

        started = time.monotonic()
        try:
            await self.app(scope, receive, send_with_headers)
        except LocalProtocolError:  # the rest of the request was no HTTP: the server has refused it and closes
            status = 499
        except Exception:
            log.exception("unexpected error", extra={"fields": {"request_id": request_id}})
            if status:  # the answer has begun: it can only be broken off
                raise
            self.metrics.refusals.labels("internal").inc()
            problem = Problem(500, "internal", "Unexpected error", "This is a fault of the server; its log has more.")
            await problem.response(scope)(scope, receive, send_with_headers)
        finally:
            conversation.current.reset(belongs)
            seconds = time.monotonic() - started
            route = _route(scope)
            self.metrics.requests.labels(route, status).inc()
            self.metrics.seconds.labels(route).observe(seconds)
            milliseconds = round(1000 * seconds, 1)
            fields = {"method": scope["method"], "path": scope["path"][:200], "status": status, "ms": milliseconds}
            log.info("request", extra={"fields": {"request_id": request_id, **fields}})
        return status


def _route(scope: Scope) -> str:
    """The template of the path, since callers could invent label values."""
    return getattr(scope.get("route"), "path", "other")


class HeadMethod:
    """ASGI middleware that answers HEAD as GET, without the body (RFC 9110, 9.3.2), wherever GET is answered.

    A route of FastAPI with the method HEAD would have HEAD in the OpenAPI document.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; where a method is refused, ``Allow`` has HEAD beside GET."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        is_head = scope["method"] == "HEAD"

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 405:
                headers = MutableHeaders(scope=message)
                methods = headers.get("allow", "").split(", ")
                if "GET" in methods and "HEAD" not in methods:
                    headers["allow"] = ", ".join([*methods, "HEAD"])
            elif message["type"] == "http.response.body" and is_head:
                message = {**message, "body": b""}
            await send(message)

        # a copy: the server must see HEAD in its own scope, since it then sends no body
        inner = {**scope, "method": "GET"} if is_head else scope
        try:
            await self.app(inner, receive, send_head)
        finally:
            if "route" in inner:
                scope["route"] = inner["route"]


class JsonFormatter(logging.Formatter):
    """A log record as a line of JSON, of bounded length; errors without their messages, which may quote a text."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": _cut(record.getMessage()),
            **{name: _cut(value) for name, value in getattr(record, "fields", {}).items()},
        }
        if record.exc_info and record.exc_info[1]:
            line["exception"] = describe(record.exc_info[1])
        return to_json(line).decode()


def _cut(value: Any) -> Any:
    return value if not isinstance(value, str) or len(value) <= MAX_VALUE else f"{value[:MAX_VALUE]}…"
