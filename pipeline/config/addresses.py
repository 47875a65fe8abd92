"""Addresses in environment variables, checked when they are read."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from multiner.pipeline.core.errors import NerError


def address(name: str) -> str | None:
    """The HTTP address in an environment variable, without a final slash; None where it is empty.

    Raises:
        NerError: it is not an address, or holds credentials, which messages would show.
    """
    value = os.environ.get(name, "").strip().rstrip("/")
    if not value:
        return None
    try:
        parts = urlsplit(value)
        valid = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        valid, parts = False, None
    if not valid or parts.username is not None or parts.query or parts.fragment:
        raise NerError(f"{name} is not an address such as http://host:8080, without credentials", where=name)
    return value
