"""Requests for entities: texts, their language, and the options of the answer. The API and the page share them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator
from pydantic_core import PydanticCustomError

from multiner.pipeline.text.languages import AUTO
from multiner.serving.http.payload import Limits, RequestModel, check_size
from multiner.serving.http.problems import invalid

UTF16 = "utf16"
ID_CHARACTERS = 200


class Options(RequestModel, frozen=True):
    """What to leave out of an answer, and how to count."""

    min_score: float = Field(default=0.0, ge=0, le=1, description="Entities with a lower score are left out.")
    types: list[str] | None = Field(
        default=None, fail_fast=True, description="Only entities of these types; null: of all."
    )
    legs: bool = Field(default=True, description="Whether entities have what each member of the ensemble found.")
    offsets: Literal["code_points", "utf16"] = Field(
        default="code_points", description="What `start` and `end` count: code points, or UTF-16 code units."
    )

    def apply(self, text: str, entities: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The entities of ``text`` that the options allow, in the form that they ask for.

        An entity without a score reaches no ``min_score`` above 0.
        """
        types = None if self.types is None else frozenset(self.types)
        selection = [
            {key: value for key, value in entity.items() if self.legs or key != "legs"}
            for entity in entities
            if (types is None or entity["label"] in types)
            and (self.min_score <= 0 or (entity.get("score") or 0.0) >= self.min_score)
        ]
        return self.recount(text, selection)

    def recount(self, text: str, places: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Entities or tokens of ``text``, with offsets in the units of the option."""
        if self.offsets != UTF16 or not places or max(text) <= "\uffff":
            return list(places)
        units = list(accumulate((1 + (sign > "\uffff") for sign in text), initial=0))
        return [_in_units(place, units) for place in places]


def _in_units(place: dict[str, Any], units: Sequence[int]) -> dict[str, Any]:
    """The same place, and those of its legs, with ``units[i]`` in place of the offset i."""
    edges = {key: units[place[key]] for key in ("start", "end") if place.get(key) is not None}
    legs = {name: _in_units(view, units) for name, view in (place.get("legs") or {}).items()}
    return place | edges | ({"legs": legs} if legs else {})


@dataclass(slots=True)
class Item:
    """A text within the limits, its language (``auto`` or a code), and the options of its answer."""

    text: str
    language: str
    options: Options
    tokens: bool = False
    link: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """What a gateway offers: languages, the types of each (any type of a language not named there), and the limits."""

    languages: Sequence[str]
    limits: Limits
    types: Mapping[str, Sequence[str]]

    def types_of(self, language: str) -> frozenset[str] | None:
        """The types of a language, or of all for ``auto``; None where they are not known."""
        codes = self.languages if language == AUTO else [language]
        if any(code not in self.types for code in codes):
            return None
        return frozenset(name for code in codes for name in self.types[code])

    def check_language(self, language: str, *, auto: bool = False) -> None:
        """Refuse a language that is not served (Problem 422)."""
        languages = [AUTO, *self.languages] if auto else self.languages
        if language not in languages:
            raise invalid(f"language must be one of: {', '.join(languages)}.", "/language")

    def check_types(self, options: Options, language: str) -> None:
        """Refuse types that the language does not have (Problem 422)."""
        types = self.types_of(language)
        for index, name in enumerate(options.types or ()):
            if types is not None and name not in types:
                detail = f"This type is unknown; known types are: {', '.join(sorted(types))}."
                raise invalid(detail, f"/types/{index}")


class EntitiesOptions(Options, frozen=True):
    """The options of texts in whichever language."""

    language: str = Field(default=AUTO, description="`auto` (by the script of each sentence), or a language's code.")
    tokens: bool = Field(default=False, description="Whether to add each token with its probabilities by type.")
    link: bool = Field(default=False, description="Whether to add the names: mentions of one entity together.")

    text: Any

    def items(self, offer: Offer) -> list[Item]:
        """The texts, each with its language and options; else Problem 413 or 422, with the place in the body."""
        texts = [self.text] if isinstance(self.text, str) else self.text
        offer.check_language(self.language, auto=True)
        offer.check_types(self, self.language)
        check_size(len(texts), sum(map(len, texts[: offer.limits.texts])), offer.limits, "/text")
        return [Item(text, self.language, self, self.tokens, self.link) for text in texts]


def _as_list(value: Any) -> Any:
    if not isinstance(value, str | list):
        raise PydanticCustomError("text", "must be a string or a list of strings")
    return [value] if isinstance(value, str) else value


class EntitiesRequest(EntitiesOptions, frozen=True):
    """What to find entities in."""

    text: Annotated[list[str], BeforeValidator(_as_list, json_schema_input_type=str | list[str])] = Field(
        fail_fast=True, description="A text, or a list of texts. Empty texts have no entities."
    )


def is_line_id(value: Any) -> bool:
    """Whether ``value`` may be the ``id`` of a line: an integer, a short string, or None."""
    if isinstance(value, str):
        return len(value) <= ID_CHARACTERS
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63)


def _check_line_id(value: Any) -> Any:
    if is_line_id(value):
        return value
    raise PydanticCustomError("id", f"must be an integer, or a string of at most {ID_CHARACTERS} characters")


LineId = Annotated[str, Field(max_length=ID_CHARACTERS)] | Annotated[int, Field(gt=-(2**63), lt=2**63)] | None


class StreamRequest(EntitiesOptions, frozen=True):
    """A line of a stream, unless it is a string alone."""

    text: str
    id: Annotated[Any, PlainValidator(_check_line_id, json_schema_input_type=LineId)] = Field(
        default=None, description="Comes back on the line of the answer."
    )
