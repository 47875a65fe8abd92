"""What the page shows of an answer: the text in segments, the counts, the rows of the table. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TYPE_NAMES = {"PER": "Person", "LOC": "Location", "ORG": "Organisation", "MISC": "Other name"}
LANGUAGE_NAMES = {"en": "English", "ru": "Russian"}
LEG_NAMES = {"transformer": "Transformer", "spacy": "spaCy", "shipped": "Pretrained"}
FLAG_NAMES = {
    "mixed": "Much of this text is in the other language, which this model does not read: send its parts apart.",
    "unsupported_script": "Much of this text is in a script that no model here reads.",
}


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one leg says about an entity: ``label`` None where it sees no entity; ``agrees`` with the ensemble."""

    leg: str
    label: str | None
    score: float | None
    agrees: bool

    def __str__(self) -> str:
        score = f" {self.score:.0%}" if self.score is not None else ""
        return f"{self.label}{score}" if self.label else "no entity"


@dataclass(frozen=True, slots=True)
class Mark:
    """An entity as shown: ``number`` ties the mark in the text to its row in the table."""

    number: int
    start: int
    end: int
    text: str
    label: str
    score: float | None
    opinions: tuple[Opinion, ...]
    corrected: bool = False

    @property
    def disputed(self) -> bool:
        """Whether a leg sees it otherwise."""
        return not all(opinion.agrees for opinion in self.opinions)

    @property
    def title(self) -> str:
        """The tooltip: type, score, and each leg's opinion."""
        score = f" · {self.score:.1%}" if self.score is not None else ""
        lines = [f"{TYPE_NAMES.get(self.label, self.label)}{score}{' · corrected by you' if self.corrected else ''}"]
        lines += [
            f"{'' if opinion.agrees else '≠ '}{LEG_NAMES.get(opinion.leg, opinion.leg)}: {opinion}"
            for opinion in self.opinions
        ]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Group:
    """A name that stands in the text once or more with one type: its highest score, and the numbers of its marks."""

    text: str
    label: str
    score: float | None
    numbers: tuple[int, ...]


def marks(entities: Iterable[Mapping[str, Any]]) -> list[Mark]:
    """The entities of an answer as marks, in their order in the text."""
    ordered = sorted(entities, key=lambda entity: entity["start"])
    return [
        Mark(
            number=number,
            start=entity["start"],
            end=entity["end"],
            text=entity["text"],
            label=entity["label"],
            score=entity.get("score"),
            opinions=tuple(_opinion(leg, view or {}, entity) for leg, view in (entity.get("legs") or {}).items()),
            corrected=entity.get("corrected") is True,
        )
        for number, entity in enumerate(ordered, start=1)
    ]


def _opinion(leg: str, view: Mapping[str, Any], entity: Mapping[str, Any]) -> Opinion:
    label = view.get("label")
    same_place = all(view.get(edge, entity[edge]) == entity[edge] for edge in ("start", "end"))
    return Opinion(leg, label, view.get("score"), label == entity["label"] and same_place)


def segments(text: str, marked: Sequence[Mark]) -> Iterator[tuple[str, Mark | None]]:
    """The whole text in pieces, each with the mark over it, or None; joined they are the text."""
    at = 0
    for mark in marked:
        if mark.start > at:
            yield text[at : mark.start], None
        yield text[mark.start : mark.end], mark
        at = mark.end
    if at < len(text):
        yield text[at:], None


def groups(marked: Iterable[Mark]) -> list[Group]:
    """The names by text and type, the most frequent first."""
    found: dict[tuple[str, str], list[Mark]] = {}
    for mark in marked:
        found.setdefault((mark.text, mark.label), []).append(mark)
    listed = [
        Group(text, label, max((m.score for m in of if m.score is not None), default=None), tuple(m.number for m in of))
        for (text, label), of in found.items()
    ]
    return sorted(listed, key=lambda group: -len(group.numbers))


def counts(marked: Iterable[Mark]) -> dict[str, int]:
    """Number of entities by type, the usual types first."""
    counted = Counter(mark.label for mark in marked)
    order = [*TYPE_NAMES, *sorted(set(counted) - set(TYPE_NAMES))]
    return {label: counted[label] for label in order if counted[label]}
