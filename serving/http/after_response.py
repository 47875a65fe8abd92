"""Work that waits until the answer to a request has been sent. Of a stream: until its next part has been sent."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Work = Callable[[], None]
_queue: ContextVar[list[Work] | None] = ContextVar("queue", default=None)


def after_response(work: Work) -> None:
    """Do ``work`` after the next part of the answer is sent, or the answer ends early; at once outside of a request."""
    queue = _queue.get()
    if queue is None:
        work()
    else:
        queue.append(work)


class AfterResponse:
    """ASGI middleware that does the work handed to :func:`after_response`; the tasks of a request share its queue."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request. Work is done after each part of the answer, since a stream may have no end."""
        queue: list[Work] = []

        def work() -> None:
            while queue:
                queue.pop(0)()

        async def send_and_work(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.body":
                work()

        token = _queue.set(queue)
        try:
            await self.app(scope, receive, send_and_work)
        finally:
            _queue.reset(token)
            work()
