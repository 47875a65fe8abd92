"""Work that waits until the answer to the request at hand has been sent."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from starlette.types import ASGIApp, Receive, Scope, Send

Work = Callable[[], None]
_waiting: ContextVar[list[Work] | None] = ContextVar("waiting", default=None)


def afterwards(work: Work) -> None:
    """Do ``work`` once the answer has been sent, or broken off; at once where no request is being answered."""
    waiting = _waiting.get()
    if waiting is None:
        work()
    else:
        waiting.append(work)


class Afterwards:
    """ASGI middleware that does what :func:`afterwards` was given; the tasks of a request share its list."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, then work."""
        waiting: list[Work] = []
        token = _waiting.set(waiting)
        try:
            await self.app(scope, receive, send)
        finally:
            _waiting.reset(token)
            for work in waiting:
                work()
