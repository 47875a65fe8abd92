"""Addresses in parameters and environment variables, checked where they are read, not where they fail later."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from multiner.pipeline.core.errors import NerError


def address(name: str) -> str | None:
    """The HTTP address in an environment variable, without a slash at its end; None where it is empty.

    Raises:
        NerError: it is no address, or holds credentials, which would be shown with it.
    """
    given = os.environ.get(name, "").strip().rstrip("/")
    if given and not is_address(given):
        raise NerError(f"{name} is not an address such as http://host:8080, without credentials", where=name)
    return given or None


def is_address(url: str) -> bool:
    """Whether it is an HTTP address without credentials, query and fragment."""
    try:
        parts = urlsplit(url)
        right = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    return bool(right) and parts.username is None and not parts.query and not parts.fragment
