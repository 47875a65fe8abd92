"""Type maps: what a corpus calls an entity, and what the pipeline calls it (data only, and one look-up).

A type that maps to None is known and left out on purpose; a type that stands in no map is refused, so that a slip
of the pen in a corpus can't pass as "no entity here".
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.errors import NerError

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


def map_type(name: str, types: TypeMap, where: str) -> str | None:
    """The pipeline's type for a corpus's type ``name``; None where the corpus's type is left out.

    Raises:
        NerError: the type stands in no map; ``where`` is the file and line it was read at.
    """
    try:
        return types[name]
    except KeyError:
        raise NerError(
            f"unknown entity type {name!r}",
            where=where,
            remedy=f"Known are: {', '.join(types)}. Mend the line, or add the type to pipeline/corpora/labels.py.",
        ) from None
