"""A long text in parts, for a model that takes no text of any length, and one answer from the answers to the parts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

# where a part may end, the best first; the end of a match is the place
BORDERS = [re.compile(pattern) for pattern in (r"\n\s*\n", r"\n", r"[.!?…]['\"»”)]*\s+", r"\s+")]


def split(text: str, most: int) -> list[tuple[int, int]]:
    """The parts of a text, which cover it: start and end of each, at most ``most`` characters apart.

    A part ends after a blank line, else a line, a sentence or a word, in its last half; else after ``most`` characters.
    """
    parts, start = [], 0
    while len(text) - start > most:
        half, end = start + most // 2, start + most
        for border in BORDERS:
            if ends := [found.end() for found in border.finditer(text, half, end)]:
                end = ends[-1]
                break
        parts.append((start, end))
        start = end
    return [*parts, (start, len(text))]


def merge(parts: Sequence[tuple[int, int]], results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One result from those of the parts; its main language is that of most characters."""
    characters: dict[str, int] = {}
    models: dict[str, Any] = {}
    for (start, end), result in zip(parts, results, strict=True):
        characters[result["language"]] = characters.get(result["language"], 0) + end - start
        models |= result.get("models") or {result["language"]: result["model"]}
    main = max(characters, key=lambda code: characters[code])
    several = {"models": models} if len(models) > 1 else {}
    entities = [
        ({"language": result["language"]} if several else {}) | _shifted(entity, start)
        for (start, _), result in zip(parts, results, strict=True)
        for entity in result["entities"]
    ]
    doubts = dict.fromkeys(doubt for result in results for doubt in result.get("flags", ()))
    flags = {"flags": list(doubts)} if doubts else {}
    return {"language": main, "model": models[main], **several, "entities": entities, **flags}


def _shifted(span: Mapping[str, Any], by: int) -> dict[str, Any]:
    """An entity, or a leg's view of it, with its offsets moved."""
    moved = {edge: span[edge] + by for edge in ("start", "end") if span.get(edge) is not None}
    legs = {"legs": {leg: _shifted(view, by) for leg, view in span["legs"].items()}} if span.get("legs") else {}
    return {**span, **moved, **legs}
