"""Secrets that a file holds, such as one that a container is given, in place of an environment variable."""

from __future__ import annotations

import os
from pathlib import Path

from multiner.pipeline.core.errors import NerError


def secret_of(variable: str) -> str | None:
    """The content of the file that an environment variable names, without blanks around it; None where it is not set.

    Raises:
        NerError: the file cannot be read, or is empty.
    """
    file = os.environ.get(variable)
    if not file:
        return None
    try:
        secret = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise NerError(f"{variable} cannot be read: {reason}", where=file) from None
    if not secret:
        raise NerError(f"{variable} names an empty file", where=file)
    return secret
