"""Failures of MLflow, its database and its disk as errors for people: no stack trace, and whether to try again."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from multiner.pipeline.core.errors import NerError

FULL = (errno.ENOSPC, errno.EDQUOT)
# MLflow's codes for what it understood and refuses; with an error of its database in the message, the database fails
REFUSALS = ("BAD_REQUEST", "INVALID_PARAMETER_VALUE", "INVALID_STATE", "RESOURCE_DOES_NOT_EXIST")
_DATABASE_ERROR = re.compile(r"\((\w+\.)+\w*Error\)")
_CREDENTIALS = re.compile(r"//[^/@\s]*@")


class RegistryUnavailable(NerError):
    """The registry cannot be read or written: its server or database fails, is missing, or must not be used."""


@contextmanager
def registry_errors() -> Iterator[None]:
    """Turn MLflow's errors within the block, or the decorated function, into errors for people.

    Raises:
        RegistryUnavailable: MLflow's server or database fails (transient), or the disk is full (not transient).
        NerError: MLflow refuses the call.
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
    """The message of an error in one line, without passwords and without SQL statements."""
    return _CREDENTIALS.sub("//…@", str(error).strip().partition("\n")[0]) or type(error).__name__


def is_full(error: Exception) -> bool:
    """Whether the disk has no room, or the user's share of it is used up."""
    return getattr(error, "errno", None) in FULL or "disk is full" in str(error)


def is_refusal(error: Exception) -> bool:
    """Whether MLflow refuses the call, so that the same call cannot succeed later."""
    return getattr(error, "error_code", None) in REFUSALS and not _DATABASE_ERROR.search(str(error))


def _of_registry(error: Exception) -> bool:
    """Whether MLflow or its database raised it, by the class's name, since importing MLflow takes seconds."""
    if isinstance(error, PermissionError):
        return "mlruns" in Path(str(error.filename)).parts
    return any(each.__module__.partition(".")[0] in ("mlflow", "sqlalchemy", "sqlite3") for each in type(error).__mro__)


def _explained(error: Exception) -> NerError:
    where = "MLFLOW_TRACKING_URI" if os.environ.get("MLFLOW_TRACKING_URI") else "mlruns"
    if is_full(error):
        remedy = "Free some space, then run the same command again; nothing is left half-done."
        message = f"no space is left for MLflow's registry ({reason_of(error)})"
        return RegistryUnavailable(message, where=where, remedy=remedy)
    message = f"MLflow's registry failed: {reason_of(error)}"
    if is_refusal(error):
        return NerError(message, where=where)
    remedy = "See that its database, or the server at MLFLOW_TRACKING_URI, is there and may be read and written."
    if "is locked" in str(error):
        remedy = "Another process writes to it: wait until it is done, then run the same command again."
    return RegistryUnavailable(message, where=where, remedy=remedy, transient=True)
