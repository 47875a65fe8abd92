"""What a caller may ask of an answer: which entities, with or without legs and tokens, counted in which units."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from multiner.serving.http.problems import Problem, invalid

CODE_POINTS, UTF16 = "code_points", "utf16"
OPTIONS = ("min_score", "types", "legs", "tokens", "offsets")


@dataclass(frozen=True, slots=True)
class Options:
    """Options of an answer.

    ``min_score``: the least score, 0 to 1; ``types``: the labels wanted, None for all; ``legs``: whether each leg's
    view is told; ``offsets``: whether ``start`` and ``end`` count ``code_points`` or ``utf16`` code units; ``tokens``:
    whether the probabilities of each token are told.
    """

    min_score: float = 0.0
    types: frozenset[str] | None = None
    legs: bool = True
    offsets: str = CODE_POINTS
    tokens: bool = False

    def apply(self, text: str, entities: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The entities of ``text`` that are wanted, in the form that is wanted.

        An entity without a score reaches no ``min_score`` above 0.
        """
        kept = [dict(entity) for entity in entities if self._wants(entity)]
        if not self.legs:
            for entity in kept:
                entity.pop("legs", None)
        return self.counted(text, kept)

    def counted(self, text: str, places: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Entities or tokens of ``text`` with their offsets in the units that are wanted."""
        if self.offsets != UTF16 or not places or max(text) <= "\uffff":
            return list(places)
        units = list(accumulate((1 + (sign > "\uffff") for sign in text), initial=0))
        return [_recount(place, units) for place in places]

    def _wants(self, entity: Mapping[str, Any]) -> bool:
        wanted = self.types is None or entity["label"] in self.types
        return wanted and (self.min_score <= 0 or (entity.get("score") or 0.0) >= self.min_score)


def _recount(place: dict[str, Any], units: Sequence[int]) -> dict[str, Any]:
    """The same place, and those of its legs, with ``units[i]`` in place of the offset i."""
    counted = {key: units[place[key]] for key in ("start", "end") if place.get(key) is not None}
    legs = {name: _recount(view, units) for name, view in (place.get("legs") or {}).items()}
    return place | counted | ({"legs": legs} if legs else {})


def parse_options(value: Mapping[str, Any], known: Collection[str] | None) -> Options:
    """The options among the fields of a body.

    Args:
        value: the body; a field that is not there has its default, as has ``types`` where it is null.
        known: the types there are; None: any may be named.

    Raises:
        Problem: 422, with the place.
    """
    min_score = value.get("min_score", 0.0)
    if isinstance(min_score, bool) or not isinstance(min_score, int | float) or not 0 <= min_score <= 1:
        raise invalid("min_score must be a number from 0 to 1.", "/min_score")
    legs, tokens = (_parse_switch(value, name, default) for name, default in (("legs", True), ("tokens", False)))
    offsets = value.get("offsets", CODE_POINTS)
    if not isinstance(offsets, str) or offsets not in (CODE_POINTS, UTF16):
        raise invalid(f"offsets must be {CODE_POINTS} or {UTF16}.", "/offsets")
    types = value.get("types")
    if types is not None:
        types = _parse_types(types, known)
    return Options(float(min_score), types, legs, offsets, tokens)


def _parse_switch(value: Mapping[str, Any], name: str, default: bool) -> bool:
    switch = value.get(name, default)
    if not isinstance(switch, bool):
        raise invalid(f"{name} must be true or false.", f"/{name}")
    return switch


def _parse_types(types: Any, known: Collection[str] | None) -> frozenset[str]:
    if not isinstance(types, list):
        raise invalid("types must be a list of types.", "/types")
    for index, name in enumerate(types):
        if not isinstance(name, str) or (known is not None and name not in known):
            raise _unknown_type(index, known)
    return frozenset(types)


def _unknown_type(index: int, known: Collection[str] | None) -> Problem:
    detail = f"known types are: {', '.join(sorted(known))}" if known else "it must be a string"
    return invalid(f"This type is unknown; {detail}.", f"/types/{index}")
