"""Work that ends when nobody waits for it any more: long computations look up now and then whether they still should.

As ``anyio.from_thread.check_cancelled`` does it: whoever starts the work says how to tell, and the work asks between
steps of well under a second, so that nothing is ever stopped half-way through a change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_gone: ContextVar[Callable[[], bool] | None] = ContextVar("gone", default=None)


class Cancelled(Exception):
    """Nobody waits for the answer any more."""


@contextmanager
def cancelled_when(gone: Callable[[], bool]) -> Iterator[None]:
    """Within it, :func:`check_cancelled` in this thread asks ``gone`` whether to go on."""
    token = _gone.set(gone)
    try:
        yield
    finally:
        _gone.reset(token)


def check_cancelled() -> None:
    """Between two steps of a long computation: end it here if nobody waits for its outcome.

    Raises:
        Cancelled: so it is.
    """
    gone = _gone.get()
    if gone is not None and gone():
        raise Cancelled
