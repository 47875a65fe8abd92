"""Type maps: what a corpus calls an entity, and what the pipeline calls it (data only, and one look-up).

A type that maps to None is known and left out on purpose; a type that stands in no map is refused, so that a slip
of the pen in a corpus can't pass as "no entity here".
"""

from __future__ import annotations

from collections.abc import Mapping

from multiner.pipeline.core.errors import NerError

TypeMap = Mapping[str, str | None]

CONLL: TypeMap = {"PER": "PER", "LOC": "LOC", "ORG": "ORG", "MISC": "MISC"}

WNUT17: TypeMap = {
    "person": "PER",
    "location": "LOC",
    "corporation": "ORG",
    "group": "ORG",
    "creative-work": "MISC",
    "product": "MISC",
}

TYPE_SETS: Mapping[str, Mapping[str, TypeMap]] = {"wnut17": {"wnut17": {name: name for name in WNUT17}}}
"""Sets of types other than PER, LOC, ORG, MISC, by the name that a language's ``types`` may have in params.yaml: each
corpus that can speak it, with its map."""

FACTRUEVAL: TypeMap = {
    "Person": "PER",
    "Location": "LOC",
    "LocOrg": "LOC",
    "Org": "ORG",
    "Facility": None,
    "Project": None,
}

FACTRUEVAL_SPANS = frozenset(
    {
        *("name", "surname", "patronymic", "nickname", "job"),
        *("loc_name", "loc_descr", "geo_adj", "org_name", "org_descr"),
        *("prj_name", "prj_descr", "facility_descr"),
    }
)
"""The span types that factRuEval's objects are made of."""

FACTRUEVAL_NAMES: Mapping[str, str] = {"LOC": "loc_name", "ORG": "org_name"}
"""The span type that holds the name of an object; a type without an entry is a name as a whole."""


def types_of_set(name: str) -> list[str]:
    """The types of a set, in the order of its maps.

    Raises:
        NerError: there is no such set.
    """
    if name not in TYPE_SETS:
        raise NerError(
            f"unknown set of types {name!r}",
            where="params.yaml: languages",
            remedy=f"Give a list of types, or one of: {', '.join(TYPE_SETS)}.",
        )
    return list(dict.fromkeys(type_ for types in TYPE_SETS[name].values() for type_ in types.values() if type_))


def map_of_set(name: str | None, corpus: str, default: TypeMap) -> TypeMap:
    """A corpus's map into a set of types; ``default`` where ``name`` is None.

    Raises:
        NerError: the corpus cannot speak the set.
    """
    if name is None:
        return default
    maps = TYPE_SETS[name]
    if corpus not in maps:
        raise NerError(
            f"{corpus} has no map to the types {name!r}",
            where="params.yaml: languages",
            remedy=f"Train and report on {', '.join(maps)} only, or give another `types`.",
        )
    return maps[corpus]
