"""What is checked of a request before anything else: its host, the site that sends it, the size of its head."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from multiner.serving.addresses import as_address
from multiner.serving.http.metrics import Metrics
from multiner.serving.http.problems import TOO_LARGE, Problem

HEADER_BYTES = 32_768
URL_BYTES = 8_192
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # links of other sites may lead here; they change nothing
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def allowed_hosts(address: str, hosts: Iterable[str]) -> frozenset[str] | None:
    """The names by which a request may address the gateway; None: any.

    Where only this machine can connect, any other name is that of a web page whose name resolves to this machine (DNS
    rebinding). Where other machines can connect, the gateway may have any name, unless ``hosts`` names some.
    The gateway listens on ``address``; ``hosts`` are further names, ``serving.hosts``.
    """
    names = frozenset(name.strip("[]").lower() for name in hosts)
    return names | {*LOOPBACK, address.strip("[]").lower()} if names or is_loopback(address) else None


def is_loopback(host: str) -> bool:
    """Whether ``host`` is a loopback address, or localhost."""
    address = as_address(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def host_name(authority: str) -> str:
    """The host of ``host:port`` in lower case, an IPv6 address without its brackets; empty if it is not valid."""
    try:
        parts = urlsplit(f"//{authority}")
        _ = parts.port  # raises where it is no port
    except ValueError:
        return ""
    return (parts.hostname or "") if parts.netloc == authority and not parts.username else ""


def is_ours(headers: Mapping[str, str]) -> bool | None:
    """Whether the header ``Origin`` is this gateway as the request addresses it; None: there is no such header.

    The port counts, which cookies ignore.
    """
    origin, host = headers.get("origin"), headers.get("host")
    return None if origin is None else bool(host) and origin.partition("://")[2] == host


def is_foreign(headers: Mapping[str, str]) -> bool:
    """Whether a browser sends the request for a page of another origin.

    Browsers send Sec-Fetch-Site. Older ones send Origin, as do all where the gateway is reached by plain HTTP from
    another machine. A client that sends neither is no browser. Source: Go's net/http.CrossOriginProtection.
    """
    if site := headers.get("sec-fetch-site"):
        return site not in ("same-origin", "none")
    return is_ours(headers) is False


class RequestGuard:
    """ASGI middleware that refuses requests to another host, from another site, or with too large a head."""

    def __init__(self, app: ASGIApp, metrics: Metrics, hosts: Collection[str] | None) -> None:
        self.app, self.metrics, self.hosts = app, metrics, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        problem = self.problem(scope) if scope["type"] == "http" else None
        if problem is None:
            await self.app(scope, receive, send)
            return
        self.metrics.refusals.labels(problem.name).inc()
        problem.headers["Connection"] = "close"  # its body is not read
        await problem.response(scope)(scope, receive, send)

    def problem(self, scope: Scope) -> Problem | None:
        """What is wrong with a request's head."""
        if len(scope["raw_path"]) + len(scope["query_string"]) > URL_BYTES:
            return Problem(414, "too-large", TOO_LARGE, f"At most {URL_BYTES} bytes of address.")
        if sum(len(name) + len(value) for name, value in scope["headers"]) > HEADER_BYTES:
            return Problem(431, "too-large", TOO_LARGE, f"The headers are larger than {HEADER_BYTES} bytes.")
        headers = Headers(raw=scope["headers"])
        if self.hosts is not None and (problem := _host_problem(headers, scope["http_version"], self.hosts)):
            return problem
        if scope["method"] not in SAFE_METHODS and is_foreign(headers):
            detail = "Pages of other sites may not send anything here."
            return Problem(403, "cross-origin", "The request comes from another site", detail)
        return None


def _host_problem(headers: Headers, version: str, allowed: Collection[str]) -> Problem | None:
    hosts = headers.getlist("host")
    if len(hosts) != 1 and (hosts or version != "1.0"):
        return Problem(400, "malformed", "The request is not valid HTTP", "Send one header Host.")
    if hosts and host_name(hosts[0]) not in allowed:
        detail = "Not a name of this gateway; further names are set by serving.hosts in params.yaml."
        return Problem(421, "host", "The request is addressed to another host", detail)
    return None
