"""Which page a browser sends a request for: one of this gateway, or of another site."""

from __future__ import annotations

from collections.abc import Mapping

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # links of other sites may lead here; they change nothing


def is_ours(headers: Mapping[str, str]) -> bool | None:
    """Whether ``Origin`` is this gateway as the request addresses it, port included; None: there is no ``Origin``.

    Cookies do not tell ports of a host apart; origins do.
    """
    origin, host = headers.get("origin"), headers.get("host")
    return None if origin is None else bool(host) and origin.partition("://")[2] == host


def is_foreign(headers: Mapping[str, str]) -> bool:
    """Whether a browser sends this for a page of another origin.

    Source: Go's net/http.CrossOriginProtection. Browsers say so in Sec-Fetch-Site; older ones, and all where the
    gateway is reached by plain HTTP from elsewhere, send Origin. Who sends neither is no browser.
    """
    if site := headers.get("sec-fetch-site"):
        return site not in ("same-origin", "none")
    return is_ours(headers) is False
