"""Who may give orders: holders of the gateway's token or of their own, as a Bearer token or by a session."""

from __future__ import annotations

import hmac
import time
from collections import deque
from collections.abc import Sequence

from cachetools import TTLCache
from fastapi import Request
from fastapi.responses import Response

from multiner.serving.http.problems import Problem
from multiner.serving.http.request_guard import SAFE_METHODS, is_loopback, is_ours
from multiner.serving.operator.operators import SHARED, Operators
from multiner.serving.operator.sessions import LIFETIME, Sessions
from multiner.serving.routing.state_store import StateStore, StateUnavailable

COOKIE = "ner_session"
WRONG_TOKENS, WINDOW = 5, 60.0  # at most so many from an address within so many seconds
ADDRESSES = 10_000  # whose wrong tokens are counted; a further one replaces the one that failed longest ago


class Attempts:
    """Wrong tokens by address, counted over a sliding window."""

    def __init__(self) -> None:
        self._failed: TTLCache[str, deque[float]] = TTLCache(ADDRESSES, WINDOW, time.monotonic)

    def failed(self, address: str) -> None:
        """Count a wrong token."""
        times = self._failed.get(address) or deque(maxlen=WRONG_TOKENS)
        times.append(time.monotonic())
        self._failed[address] = times  # its time to live begins anew

    def check(self, address: str) -> None:
        """Let the address try a token; Problem 429 where it has sent too many wrong ones."""
        old = time.monotonic() - WINDOW
        times: Sequence[float] = self._failed.get(address, ())
        if len(times) == WRONG_TOKENS and times[0] > old:
            wait = max(1, round(times[0] - old))
            detail = f"{WRONG_TOKENS} wrong tokens within {WINDOW:.0f} s. Try again in {wait} s."
            raise Problem(429, "attempts", "Too many wrong tokens", detail, retry_after=wait)


class Guard:
    """A FastAPI dependency that lets only operators pass: with a token, or a session of any gateway.

    Afterwards ``request.state.operator`` is the operator's name, or ``SHARED`` for the gateway's token. Wrong tokens
    are counted by each gateway for itself.

    Args:
        token: the gateway's token.
        store: has the operators' tokens and the sessions.
        exposed: other machines need TLS and tokens of operators; the gateway's token is for this machine.
    """

    def __init__(self, token: str, store: StateStore, *, exposed: bool = False) -> None:
        self._token, self._exposed = token.encode(), exposed
        self._sign_ins, self._bearers = Attempts(), Attempts()
        self._operators, self._sessions = Operators(store), Sessions(store, self._token)

    async def __call__(self, request: Request) -> None:
        """Let operators pass; Problem 401 where there is neither token nor session, 403 from another site, 429."""
        self._require_tls(request)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            # the right token always passes: a stale script on the same machine must not lock out `ner deploy`
            if (holder := await self._holder(request, token)) is None:
                self._bearers.check(_address(request))
                self._bearers.failed(_address(request))
                raise _refused()
            request.state.operator = holder
            return
        if (holder := await self._in_session(request)) is None:
            raise _refused()
        request.state.operator = holder
        if request.method not in SAFE_METHODS and not is_ours(request.headers):
            raise _elsewhere()

    async def signed_in(self, request: Request) -> bool:
        """Whether the request has the cookie of an open session; False also where that cannot be told."""
        try:
            return await self._in_session(request) is not None
        except StateUnavailable:
            return False

    async def _in_session(self, request: Request) -> str | None:
        secret = request.cookies.get(COOKIE)
        return await self._sessions.holder(secret) if secret is not None else None

    async def sign_in(self, request: Request, token: str, response: Response) -> None:
        """Open a session, its cookie in ``response``; Problem 401 for a wrong token, 403 from another site, 429."""
        if is_ours(request.headers) is False:
            raise _elsewhere()
        self._require_tls(request)
        address = _address(request)
        self._sign_ins.check(address)
        if (holder := await self._holder(request, token)) is None:
            self._sign_ins.failed(address)
            raise _refused()
        operator = None if holder == SHARED else holder
        secret, secure = await self._sessions.open(operator), request.url.scheme == "https"
        response.set_cookie(COOKIE, secret, max_age=LIFETIME, httponly=True, samesite="strict", secure=secure)

    async def sign_out(self, request: Request, response: Response) -> None:
        """End the request's session, at all gateways."""
        await self._sessions.end(request.cookies.get(COOKIE, ""))
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")

    async def _holder(self, request: Request, token: str) -> str | None:
        """Whose token this is; None if it is wrong, or the gateway's own and not for this caller."""
        if hmac.compare_digest(token.encode("utf-8", "surrogatepass"), self._token):  # JSON may hold lone surrogates
            return SHARED if not self._exposed or is_loopback(_address(request)) else None
        return await self._operators.name_of(token)

    def _require_tls(self, request: Request) -> None:
        """Problem 403 where a token or a session would travel unencrypted between machines."""
        if self._exposed and request.url.scheme != "https" and not is_loopback(_address(request)):
            raise Problem(403, "tls", "Orders need TLS", "Use the https address of the proxy in front of the gateway.")


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _refused() -> Problem:
    headers = {"WWW-Authenticate": "Bearer"}
    detail = "Give your token (ner operator add), or the gateway's, which stands in .run/gateway.token."
    return Problem(401, "token", "The token is missing or wrong", detail, headers=headers)


def _elsewhere() -> Problem:
    return Problem(403, "origin", "The request comes from another site", "Use the page of this gateway.")
