"""Work that waits until the answer to the request at hand has been sent, or of a stream's answer the next part."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Work = Callable[[], None]
_waiting: ContextVar[list[Work] | None] = ContextVar("waiting", default=None)


def afterwards(work: Work) -> None:
    """Do ``work`` once a part of the answer has been sent, or it was broken off; at once where there is no request."""
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
        """Answer, and work after each part of the answer: a stream may have no end."""
        waiting: list[Work] = []

        def work() -> None:
            while waiting:
                waiting.pop(0)()

        async def send_and_work(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.body":
                work()

        token = _waiting.set(waiting)
        try:
            await self.app(scope, receive, send_and_work)
        finally:
            _waiting.reset(token)
            work()
