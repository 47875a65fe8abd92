"""Failures of MLflow, its database and its disk as errors for people: no stack trace, and whether to try again."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from multiner.pipeline.core.errors import NerError

FULL = (errno.ENOSPC, errno.EDQUOT)
LASTING = ("BAD_REQUEST", "INVALID_PARAMETER_VALUE", "INVALID_STATE", "PERMISSION_DENIED", "RESOURCE_DOES_NOT_EXIST")
_CREDENTIALS = re.compile(r"//[^/@\s]*@")


@contextmanager
def registry_errors() -> Iterator[None]:
    """Turn what the registry raises within the block, or the decorated function, into an error for people.

    Raises:
        NerError: MLflow or its database failed, or the disk is full; transient where it may pass by itself.
    """
    try:
        yield
    except NerError:
        raise
    except Exception as error:
        if not (is_full(error) or _of_registry(error)):
            raise
        raise _explained(error) from error


def reason_of(error: Exception) -> str:
    """What an error says, in a line without passwords; of a statement in SQL, nothing."""
    return _CREDENTIALS.sub("//…@", str(error).strip().partition("\n")[0]) or type(error).__name__


def is_full(error: Exception) -> bool:
    """Whether the disk has no room, or the user's share of it is used up."""
    return getattr(error, "errno", None) in FULL or "disk is full" in str(error)


def may_pass(error: Exception) -> bool:
    """Whether the same call may succeed later: a locked database, a server that does not answer."""
    return getattr(error, "error_code", None) not in LASTING and "readonly database" not in str(error)


def _of_registry(error: Exception) -> bool:
    """Whether MLflow or its database raised it; by name, since importing MLflow takes seconds."""
    return any(each.__module__.partition(".")[0] in ("mlflow", "sqlalchemy", "sqlite3") for each in type(error).__mro__)


def _explained(error: Exception) -> NerError:
    where = "MLFLOW_TRACKING_URI" if os.environ.get("MLFLOW_TRACKING_URI") else "mlruns"
    if is_full(error):
        remedy = "Free some space, then run the same command again; nothing is left half-done."
        return NerError(f"no space is left for MLflow's registry ({reason_of(error)})", where=where, remedy=remedy)
    locked = "is locked" in str(error)
    wait = "Another process writes to it: wait until it is done, then run the same command again." if locked else None
    message = f"MLflow's registry failed: {reason_of(error)}"
    return NerError(message, where=where, remedy=wait, transient=may_pass(error))
