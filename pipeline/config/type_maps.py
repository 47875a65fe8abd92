"""Type maps: from a corpus's entity types to the pipeline's.

A type that maps to None is left out on purpose. A type without an entry is refused, so that a misspelt type in a
corpus is not read as "no entity".
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
"""Sets of types other than PER, LOC, ORG, MISC. A language's ``types`` in params.yaml may name one; each set has a type
map for every corpus that is annotated with these types."""

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
"""The span types that factRuEval's objects consist of."""

FACTRUEVAL_NAMES: Mapping[str, str] = {"LOC": "loc_name", "ORG": "org_name"}
"""The span type that holds an object's name; the whole of an object without an entry is its name."""


def types_of_set(name: str) -> list[str]:
    """The types of a set, in the order of its maps. Raises NerError if no set has that name."""
    if name not in TYPE_SETS:
        raise NerError(
            f"unknown set of types {name!r}",
            where="params.yaml: languages",
            remedy=f"Give a list of types, or one of: {', '.join(TYPE_SETS)}.",
        )
    return list(dict.fromkeys(type_ for types in TYPE_SETS[name].values() for type_ in types.values() if type_))


def map_of_set(name: str | None, corpus: str, default: TypeMap) -> TypeMap:
    """A corpus's map to a set of types; ``default`` if ``name`` is None. Raises NerError if there is no such map."""
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
