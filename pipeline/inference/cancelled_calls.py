"""Calls that a served model stops working on, since nobody waits for their answers any more.

``mlflow models serve`` works on a call to its end, even if the caller has left. So a caller names its call by the
parameter ``call``, and cancels it by a second call to the same process with that name as the parameter ``cancel``.
MLflow answers calls in threads of one process, so the second call arrives while the model works on the first.
"""

from __future__ import annotations

from threading import Lock

CALL, CANCEL = "call", "cancel"
"""Parameters of a served model."""
REMEMBERED = 1000  # names: one may arrive before the call it is of, or after that has ended

_cancelled: dict[str, None] = {}  # in the order in which they came
_lock = Lock()


def cancel(call: str) -> None:
    """Cancel the call of this name, even before it begins."""
    with _lock:
        _cancelled[call] = None
        while len(_cancelled) > REMEMBERED:
            del _cancelled[next(iter(_cancelled))]


def is_cancelled(call: str) -> bool:
    """Whether the call of this name is cancelled; one without a name (``""``) never is."""
    return call in _cancelled
