"""Lone surrogates, which a Python string can hold and UTF-8 cannot."""

from __future__ import annotations

import re

SURROGATE = re.compile("[\ud800-\udfff]")


def without_surrogates(text: str) -> str:
    """``text`` with each lone surrogate replaced by U+FFFD; offsets stay the same."""
    return SURROGATE.sub("\ufffd", text)
