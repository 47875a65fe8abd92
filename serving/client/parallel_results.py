"""What the gateway answers of a text and its translation, typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from multiner.serving.client.results import Entity, Result

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Name:
    """A name of one text: its fullest form, its commonest type, all its forms, and its mentions in their order."""

    text: str
    label: str
    forms: tuple[str, ...]
    mentions: tuple[Entity, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two names that are each other's translation, as far as their spelling tells.

    ``similarity`` is 0 to 1, ``reasons`` what they have in common. ``suspicious``: the spelling follows no scheme, or a
    word has no counterpart; likely an error. ``counts_differ``: one text mentions the name more often.
    """

    english: Name
    russian: Name
    similarity: float
    reasons: tuple[str, ...]
    suspicious: bool
    counts_differ: bool


@dataclass(frozen=True, slots=True)
class ParallelResult:
    """A text and its translation: each text's result, its names in their order, and the pairs of names."""

    english: Result
    russian: Result
    english_names: tuple[Name, ...]
    russian_names: tuple[Name, ...]
    pairs: tuple[Pair, ...]

    @classmethod
    def from_json(cls, value: Mapping[str, Any], english: str, russian: str) -> ParallelResult:
        """The result for both texts, as the API answers it.

        Raises:
            KeyError, IndexError, TypeError, ValueError: it is out of form.
        """
        english_result, english_names = _side(value["en"], english)
        russian_result, russian_names = _side(value["ru"], russian)
        pairs = tuple(
            Pair(
                english=_at(english_names, pair["en"]),
                russian=_at(russian_names, pair["ru"]),
                similarity=float(pair["similarity"]),
                reasons=tuple(pair["reasons"]),
                suspicious=bool(pair["suspicious"]),
                counts_differ=bool(pair["counts_differ"]),
            )
            for pair in value["pairs"]
        )
        return cls(english_result, russian_result, english_names, russian_names, pairs)

    @property
    def only_english(self) -> tuple[Name, ...]:
        """The names of the English text for which the Russian one has none."""
        ids = {id(pair.english) for pair in self.pairs}
        return tuple(name for name in self.english_names if id(name) not in ids)

    @property
    def only_russian(self) -> tuple[Name, ...]:
        """The names of the Russian text for which the English one has none."""
        ids = {id(pair.russian) for pair in self.pairs}
        return tuple(name for name in self.russian_names if id(name) not in ids)


def _side(value: Mapping[str, Any], text: str) -> tuple[Result, tuple[Name, ...]]:
    result = Result.from_json({field: item for field, item in value.items() if field != "names"}, text)
    names = tuple(
        Name(
            each["text"], each["label"], tuple(each["forms"]), tuple(_at(result.entities, i) for i in each["mentions"])
        )
        for each in value["names"]
    )
    return result, names


def _at(items: tuple[T, ...], place: int) -> T:
    """The item at a place that counts from the front: another's -1 must not mean the last."""
    if place < 0:
        raise IndexError(place)
    return items[place]
