"""Who may give orders: holders of the gateway's token, as a Bearer token or by a session opened with it."""

from __future__ import annotations

import hmac
import time
from collections import deque
from collections.abc import Sequence

from cachetools import TTLCache
from fastapi import Request
from fastapi.responses import Response

from multiner.serving.http.problems import Problem
from multiner.serving.http.request_guard import SAFE_METHODS, is_ours
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
    """A FastAPI dependency that lets only the operator pass: with the token, or a session of any gateway.

    Wrong tokens are counted by each gateway for itself.
    """

    def __init__(self, token: str, store: StateStore) -> None:
        self._token = token.encode()
        self._sign_ins, self._bearers = Attempts(), Attempts()
        self._sessions = Sessions(store, self._token)

    async def __call__(self, request: Request) -> None:
        """Let the operator pass; Problem 401 where there is neither token nor session, 403 from another site, 429."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            # the right token always passes: a stale script on the same machine must not lock out `ner deploy`
            if not self._right(token):
                self._bearers.check(_address(request))
                self._bearers.failed(_address(request))
                raise _refused()
            return
        if not await self._in_session(request):
            raise _refused()
        if request.method not in SAFE_METHODS and not is_ours(request.headers):
            raise _elsewhere()

    async def signed_in(self, request: Request) -> bool:
        """Whether the request has the cookie of an open session; False also where that cannot be told."""
        try:
            return await self._in_session(request)
        except StateUnavailable:
            return False

    async def _in_session(self, request: Request) -> bool:
        secret = request.cookies.get(COOKIE)
        return secret is not None and await self._sessions.is_open(secret)

    async def sign_in(self, request: Request, token: str, response: Response) -> None:
        """Open a session, its cookie in ``response``; Problem 401 for a wrong token, 403 from another site, 429."""
        if is_ours(request.headers) is False:
            raise _elsewhere()
        address = _address(request)
        self._sign_ins.check(address)
        if not self._right(token):
            self._sign_ins.failed(address)
            raise _refused()
        secret, secure = await self._sessions.open(), request.url.scheme == "https"
        response.set_cookie(COOKIE, secret, max_age=LIFETIME, httponly=True, samesite="strict", secure=secure)

    async def sign_out(self, request: Request, response: Response) -> None:
        """End the request's session, at all gateways."""
        await self._sessions.end(request.cookies.get(COOKIE, ""))
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")

    def _right(self, token: str) -> bool:
        return hmac.compare_digest(token.encode("utf-8", "surrogatepass"), self._token)  # JSON may hold lone surrogates


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _refused() -> Problem:
    headers = {"WWW-Authenticate": "Bearer"}
    detail = "Give the gateway's token, which stands in .run/gateway.token."
    return Problem(401, "token", "The token is missing or wrong", detail, headers=headers)


def _elsewhere() -> Problem:
    return Problem(403, "origin", "The request comes from another site", "Use the page of this gateway.")
