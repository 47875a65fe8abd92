"""Addresses in environment variables, checked where they are read, not where something fails for them later."""

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
    if not given:
        return None
    try:
        parts = urlsplit(given)
        right = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        right, parts = False, None
    if not right or parts.username is not None or parts.query or parts.fragment:
        raise NerError(f"{name} is not an address such as http://host:8080, without credentials", where=name)
    return given
