"""Borders of entities: nothing that nobody sees belongs to a name. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from unicodedata import category

# blanks of all kinds, control and format characters: byte order and direction marks, zero-width spaces, NUL
INVISIBLE = frozenset({"Cc", "Cf", "Zl", "Zp", "Zs"})
"""General categories of the Unicode Standard (chapter 4.5)."""


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """``start`` and ``end`` without the invisible characters at the edges of ``text[start:end]``.

    What is within stays, such as a soft hyphen. Where nothing is left, ``start == end``.
    """
    while start < end and category(text[start]) in INVISIBLE:
        start += 1
    while start < end and category(text[end - 1]) in INVISIBLE:
        end -= 1
    return start, end


def visible(text: str, entity: Mapping[str, Any]) -> dict[str, Any] | None:
    """An entity of ``text`` with visible borders, also where its legs see it; None where nothing of it is left."""
    start, end = trimmed(text, entity["start"], entity["end"])
    if start == end:
        return None
    legs = {leg: _visible_view(text, view) for leg, view in (entity.get("legs") or {}).items()}
    told = {"start": start, "end": end, "text": text[start:end]} | ({"legs": legs} if legs else {})
    return {**entity, **told}


def _visible_view(text: str, view: Mapping[str, Any]) -> dict[str, Any]:
    """What a leg found, with visible borders; nulls where nothing is left."""
    if view.get("start") is None or view.get("end") is None:
        return dict(view)
    start, end = trimmed(text, view["start"], view["end"])
    return {**view, "start": start, "end": end} if start < end else dict.fromkeys(view)
