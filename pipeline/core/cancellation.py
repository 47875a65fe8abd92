"""Cancellation of long computations when nobody waits for their result any more.

As with ``anyio.from_thread.check_cancelled``, the caller supplies a test, and the computation applies it between steps
of well under a second. So no change is ever stopped half-way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_is_cancelled: ContextVar[Callable[[], bool] | None] = ContextVar("is_cancelled", default=None)


class Cancelled(Exception):
    """Nobody waits for the result any more."""


@contextmanager
def cancelled_when(is_cancelled: Callable[[], bool]) -> Iterator[None]:
    """Within the block, :func:`check_cancelled` in this thread raises as soon as ``is_cancelled()`` is true."""
    token = _is_cancelled.set(is_cancelled)
    try:
        yield
    finally:
        _is_cancelled.reset(token)


def check_cancelled() -> None:
    """Call it between two steps of a long computation. Raises Cancelled if nobody waits for the result."""
    is_cancelled = _is_cancelled.get()
    if is_cancelled is not None and is_cancelled():
        raise Cancelled
