"""Type maps: from a corpus's entity types to the pipeline's.

A type that maps to None is left out on purpose. A type without an entry is refused, so that a misspelt type in a
corpus is not read as "no entity".
"""

from __future__ import annotations

from collections.abc import Mapping

TypeMap = Mapping[str, str | None]

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
