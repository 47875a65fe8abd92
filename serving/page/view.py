"""The page's view of an answer: the text in segments, the counts, the names, the rows of the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from multiner.serving.http.payload import to_json

if TYPE_CHECKING:
    from multiner.serving.routing.config import GatewayConfig

T = TypeVar("T")
TYPE_NAMES = {"PER": "Person", "LOC": "Location", "ORG": "Organisation", "MISC": "Other name"}
LEG_NAMES = {"transformer": "Transformer", "spacy": "spaCy", "shipped": "Pretrained"}
FLAG_NAMES = {
    "mixed": "Much of this text is in the other language, which this model does not read: send its parts apart.",
    "unsupported_script": "Much of this text is in a script that no model here reads.",
}


@dataclass(frozen=True, slots=True)
class Opinion:
    """A leg's view of an entity: ``label`` is None if it sees no entity; ``agrees``: with the ensemble."""

    leg: str
    label: str | None
    score: float | None
    agrees: bool

    def __str__(self) -> str:
        score = f" {self.score:.0%}" if self.score is not None else ""
        return f"{self.label}{score}" if self.label else "no entity"


@dataclass(frozen=True, slots=True)
class Mark:
    """An entity on the page; ``number`` links the mark in the text with its row in the table."""

    number: int
    start: int
    end: int
    text: str
    label: str
    score: float | None
    opinions: tuple[Opinion, ...]
    corrected: bool

    @property
    def disputed(self) -> bool:
        """Whether a leg disagrees."""
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
    """All marks of one name: its fullest form, all its forms, the highest score, and the numbers of the marks."""

    number: int
    text: str
    label: str
    forms: tuple[str, ...]
    score: float | None
    numbers: tuple[int, ...]


def marks(entities: Iterable[Mapping[str, Any]]) -> list[Mark]:
    """The entities of an answer as marks, in their order in the text."""
    marks = []
    for number, entity in enumerate(sorted(entities, key=lambda entity: entity["start"]), start=1):
        opinions = tuple(_opinion(leg, view or {}, entity) for leg, view in (entity.get("legs") or {}).items())
        start, end, text, label = (entity[name] for name in ("start", "end", "text", "label"))
        corrected = entity.get("corrected") is True
        marks.append(Mark(number, start, end, text, label, entity.get("score"), opinions, corrected))
    return marks


def _opinion(leg: str, view: Mapping[str, Any], entity: Mapping[str, Any]) -> Opinion:
    label = view.get("label")
    same_place = all(view.get(edge, entity[edge]) == entity[edge] for edge in ("start", "end"))
    return Opinion(leg, label, view.get("score"), label == entity["label"] and same_place)


def segments(text: str, marks: Iterable[tuple[int, int, T]]) -> Iterator[tuple[str, T | None]]:
    """The text in pieces, each with its mark or None; ``marks`` come in their order, with start and end."""
    at = 0
    for start, end, mark in marks:
        if start > at:
            yield text[at:start], None
        yield text[start:end], mark
        at = end
    if at < len(text):
        yield text[at:], None


def groups(names: Iterable[Mapping[str, Any]], marks: Sequence[Mark]) -> list[Group]:
    """The names of an answer, the most frequent first; ``mentions`` of a name are places in ``marks``."""
    groups = []
    for number, name in enumerate(names, start=1):
        own = [marks[place] for place in name["mentions"]]
        score = max((mark.score for mark in own if mark.score is not None), default=None)
        numbers = tuple(mark.number for mark in own)
        groups.append(Group(number, name["text"], name["label"], tuple(name["forms"]), score, numbers))
    return sorted(groups, key=lambda group: -len(group.numbers))


def counts(labels: Iterable[str]) -> dict[str, int]:
    """How often each type occurs, the usual types first."""
    numbers = Counter(labels)
    order = [*TYPE_NAMES, *sorted(set(numbers) - set(TYPE_NAMES))]
    return {label: numbers[label] for label in order if numbers[label]}


def present(text: str, answer: Mapping[str, Any], config: GatewayConfig, *, language: str) -> dict[str, Any]:
    """An answer with its ``names`` for the template; ``language`` is that of the request, maybe ``auto``."""
    entities = sorted(answer["entities"], key=lambda entity: entity["start"])
    marked = marks(entities)
    grouped = groups(answer["names"], marked)
    common = {"language": answer["language"], "model": answer["model"]}
    one_request = len(text) <= config.limits.characters
    types = list(config.types.get(answer["language"]) or sorted({mark.label for mark in marked}))
    return {
        **common,
        "flags": answer.get("flags", []),
        "marks": marked,
        "segments": list(segments(text, ((mark.start, mark.end, mark) for mark in marked))),
        "counts": counts(mark.label for mark in marked),
        "groups": grouped,
        "group_of": {number: group.number for group in grouped for number in group.numbers},
        "legs": list(dict.fromkeys(opinion.leg for mark in marked for opinion in mark.opinions)),
        "review": config.review is not None and one_request,
        "one_request": one_request,
        # for scripts: the answer of the API, and the fields of the request
        "data": to_json({"text": text, "asked": language, "types": types, **common, "entities": entities}).decode(),
    }
