"""The entities of a text, linked: all mentions of a person, place or organisation together, whatever their forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from multiner.serving.matching.grouping import Mention, NameGroup, group


def link(entities: Sequence[Mapping[str, Any]]) -> list[NameGroup]:
    """The names that the entities mention, in the order of their first mention; each is of one type.

    Inflected Russian forms, spellings in capitals and, of persons, parts of a name belong together (see
    :func:`.grouping.group`). Names of two languages do not, nor a name and its abbreviation.

    Args:
        entities: with ``text``, ``label`` and ``start``.

    Returns:
        Names whose ``mentions`` are places in ``entities``; each entity is in one of them.
    """
    by_label: dict[str, list[int]] = {}
    for index, entity in enumerate(entities):
        by_label.setdefault(entity["label"], []).append(index)
    names = [
        replace(name, mentions=tuple(indices[at] for at in name.mentions))
        for label, indices in by_label.items()
        for name in group([Mention(entities[at]["text"], label, entities[at]["start"]) for at in indices])
    ]
    return sorted(names, key=lambda name: name.first)
