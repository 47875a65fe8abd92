"""Removes invisible characters from the borders of entities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from unicodedata import category

# General categories of the Unicode Standard (chapter 4.5): blanks, control characters (NUL), and format characters
# (byte order and direction marks, zero-width spaces)
INVISIBLE = frozenset({"Cc", "Cf", "Zl", "Zp", "Zs"})


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """``start`` and ``end`` without the invisible characters at the edges of ``text[start:end]``.

    Invisible characters inside, such as a soft hyphen, stay. ``start == end`` where nothing is left.
    """
    while start < end and category(text[start]) in INVISIBLE:
        start += 1
    while start < end and category(text[end - 1]) in INVISIBLE:
        end -= 1
    return start, end


def visible(text: str, entity: Mapping[str, Any]) -> dict[str, Any] | None:
    """An entity of ``text``, and the base models' views of it, with trimmed borders; None where nothing is left."""
    start, end = trimmed(text, entity["start"], entity["end"])
    if start == end:
        return None
    views = {name: _visible_view(text, view) for name, view in (entity.get("legs") or {}).items()}
    return {**entity, "start": start, "end": end, "text": text[start:end]} | ({"legs": views} if views else {})


def _visible_view(text: str, view: Mapping[str, Any]) -> dict[str, Any]:
    """A base model's view of an entity with trimmed borders; nulls where nothing is left."""
    if view.get("start") is None or view.get("end") is None:
        return dict(view)
    start, end = trimmed(text, view["start"], view["end"])
    return {**view, "start": start, "end": end} if start < end else dict.fromkeys(view)
