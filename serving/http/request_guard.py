"""Who may ask, and how much a request's head may hold: checked before anything else is looked at."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from multiner.serving.http.metrics import Metrics
from multiner.serving.http.origins import SAFE_METHODS, is_foreign
from multiner.serving.http.problems import Problem, head_too_large

HEADER_BYTES = 32_768
URL_BYTES = 8_192
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def allowed_hosts(bound: str, named: Iterable[str] = ()) -> frozenset[str] | None:
    """The names that a request may address the gateway by; None: any.

    Where only this machine can connect, a name of another kind means that a web page has its own name resolve to
    here (DNS rebinding). An address that others can connect to may have any name; ``named`` states which.

    Args:
        bound: the address listened on.
        named: further names, ``serving.hosts``.
    """
    names = frozenset(name.strip("[]").lower() for name in named)
    return names | {*LOOPBACK, bound.strip("[]").lower()} if names or is_loopback(bound) else None


def is_loopback(host: str) -> bool:
    """Whether ``host`` is an address, or the name, of this machine for itself."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def host_name(authority: str) -> str:
    """The host of ``host:port``, lower case, an IPv6 address without its brackets; empty where it is none."""
    try:
        parts = urlsplit(f"//{authority}")
        _ = parts.port  # raises where it is no port
    except ValueError:
        return ""
    return (parts.hostname or "") if parts.netloc == authority and not parts.username else ""


class HeadGuard:
    """ASGI middleware that refuses what is addressed to another host, asked by another site, or of too large a head.

    Args:
        app: what comes next.
        metrics: counts refusals.
        hosts: from :func:`allowed_hosts`.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, hosts: Collection[str] | None) -> None:
        self.app = app
        self.metrics = metrics
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer why not."""
        problem = self.problem(scope) if scope["type"] == "http" else None
        if problem is None:
            await self.app(scope, receive, send)
            return
        self.metrics.refusals.labels(problem.name).inc()
        problem.headers["Connection"] = "close"  # its body is not read
        await problem.response(scope["state"]["request_id"])(scope, receive, send)

    def problem(self, scope: Scope) -> Problem | None:
        """What is wrong with a request's head."""
        if len(scope["raw_path"]) + len(scope["query_string"]) > URL_BYTES:
            return Problem(414, "too-large", "The request exceeds a limit", f"At most {URL_BYTES} bytes of address.")
        if sum(len(name) + len(value) for name, value in scope["headers"]) > HEADER_BYTES:
            return head_too_large(f"The headers are larger than {HEADER_BYTES} bytes.")
        headers = Headers(raw=scope["headers"])
        if self.hosts is not None and (problem := self._host_problem(headers, scope["http_version"])):
            return problem
        if scope["method"] not in SAFE_METHODS and is_foreign(headers):
            detail = "Pages of other sites may not send anything here."
            return Problem(403, "cross-origin", "The request comes from another site", detail)
        return None

    def _host_problem(self, headers: Headers, version: str) -> Problem | None:
        given = headers.getlist("host")
        if len(given) != 1 and (given or version != "1.0"):
            return Problem(400, "malformed", "The request is not valid HTTP", "Send one header Host.")
        if given and host_name(given[0]) not in self.hosts:
            detail = "Not a name of this gateway; further names are set by serving.hosts in params.yaml."
            return Problem(421, "host", "The request is addressed to another host", detail)
        return None
