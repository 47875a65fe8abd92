"""The cases of the behaviour suite: templates and names from a YAML file, expanded the same way each time.

A file holds ``names`` (lists to fill in, an entry being a name or a mapping of its forms) and ``capabilities``: for
each a list of checks, whose fields are those of :class:`CaseTemplates`. Expected entities are marked in the text:
``[{person}](PER) flew to [{city}](LOC).`` The same placeholder is the same name, ``{person2}`` another one of the
list, ``{person.gen}`` a form of it. What fills a template follows from the template alone, so that a case keeps its
text and its id whatever else is added to the file.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from multiner.pipeline.config.settings import read_yaml
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import sha256_of

FOLDER = Path(__file__).parent
MINIMUM, INVARIANCE, DIRECTION = KINDS = ("minimum", "invariance", "direction")
CHANGES = {None: str, "lower": str.lower, "upper": str.upper}
_MARK = re.compile(r"\[([^\[\]]+)\]\(([A-Z]+)\)")
_BLANK = re.compile(r"\{([a-z_]+)(\d*)(?:\.(\w+))?\}")
_STRIDE = 17  # names further in the list at each turn; prime to the length of every list
_APART = 3  # names further in the list where one is swapped for another of the same list


@dataclass(frozen=True, slots=True)
class MarkedEntity:
    """An entity expected at the code points ``start:end``."""

    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True)
class MarkedText:
    """A text and the entities expected in it, in order."""

    text: str
    entities: tuple[MarkedEntity, ...]


@dataclass(frozen=True, slots=True)
class BehaviourCase:
    """One thing to ask of a model.

    Attributes:
        id: ``capability/kind/`` and a hash of the texts.
        capability: what it belongs to.
        kind: ``minimum``: exactly the marked entities are found in ``text``. ``invariance``: ``text`` is answered as
            ``base`` is. ``direction``: ``text`` gives more evidence for the marked entities than ``base`` does.
        text: the text that is judged.
        base: the text it is compared with; None for ``minimum``.
        must: whether a model for use has to pass it.
    """

    id: str
    capability: str
    kind: str
    text: MarkedText
    base: MarkedText | None = None
    must: bool = False


@dataclass(frozen=True, slots=True)
class CaseTemplates:
    """Templates that make cases of one kind.

    Attributes:
        kind: as in :class:`BehaviourCase`.
        texts: templates; a pair ``[base, text]`` where both are written out (always so for ``direction``).
        fills: how many cases each template makes, with other names each time.
        wraps: what to put around the texts: ``"🙂 {text}"``; each makes cases of its own.
        case: ``lower`` or ``upper``, for the whole text.
        swap: lists whose names are replaced, and from which list: ``{person: rare_person}``.
        must: whether a model for use has to pass.
    """

    kind: str
    texts: Sequence[str | Sequence[str]]
    fills: int = 1
    wraps: Sequence[str] = ("{text}",)
    case: str | None = None
    swap: Mapping[str, str] = field(default_factory=dict)
    must: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind {self.kind!r}, choose one of {', '.join(KINDS)}")
        if self.case not in CHANGES:
            raise ValueError(f"unknown case {self.case!r}")


def suite_file(language: str) -> Path:
    """Where the cases of a language are (whether or not there are any)."""
    return FOLDER / f"{language}.yaml"


def suite_hash(language: str) -> str:
    """SHA-256 of a language's cases; empty for a language without any."""
    file = suite_file(language)
    return sha256_of(file) if file.is_file() else ""


def load_cases(language: str, types: Collection[str] | None = None) -> list[BehaviourCase]:
    """The cases of a language, in the order of the file; none for a language that has no file.

    Args:
        language: its code.
        types: leave out cases that expect an entity of another type than these. If only cases without entities are
            left then, there are none: a model that finds nothing would pass them all.

    Raises:
        NerError: the file is not in the form above.
    """
    file = suite_file(language)
    if not file.is_file():
        return []
    cases = expand(read_yaml(file), str(file))
    if types is None:
        return cases
    kept = [case for case in cases if {place.label for place in case.text.entities} <= set(types)]
    return kept if any(case.text.entities for case in kept) else []


def expand(suite: Mapping[str, Any], where: str = "") -> list[BehaviourCase]:
    """The cases of a suite's mapping.

    Raises:
        NerError: a field, list or form is unknown, a bracket is open, or a case stands there twice.
    """
    cases: dict[str, BehaviourCase] = {}
    for capability, checks in suite["capabilities"].items():
        for entry in checks:
            try:
                for case in _cases(capability, CaseTemplates(**entry), suite["names"]):
                    if case.id in cases:
                        raise ValueError(f"twice the same case: {case.text.text!r}")
                    cases[case.id] = case
            except (KeyError, TypeError, ValueError) as error:
                raise NerError(f"capability {capability}: {error}", where=where) from None
    return list(cases.values())


def _cases(capability: str, check: CaseTemplates, names: Mapping[str, Sequence[Any]]) -> Iterator[BehaviourCase]:
    for entry in check.texts:
        first, second = (entry, entry) if isinstance(entry, str) else entry
        for wrap in check.wraps:
            for turn in range(check.fills):
                changed = wrap.replace("{text}", fill(second, names, turn, check.swap, seed=first))
                text = parse(changed, check.case)
                base = None if check.kind == MINIMUM else parse(fill(first, names, turn))
                if base and [place.label for place in base.entities] != [place.label for place in text.entities]:
                    raise ValueError(f"the two texts mark different types: {base.text!r}, {text.text!r}")
                content = f"{base.text if base else ''}\0{text.text}"
                id = f"{capability}/{check.kind}/{sha256(content.encode()).hexdigest()[:8]}"
                yield BehaviourCase(id, capability, check.kind, text, base, check.must)


def fill(
    template: str,
    names: Mapping[str, Sequence[Any]],
    turn: int = 0,
    swap: Mapping[str, str] | None = None,
    seed: str | None = None,
) -> str:
    """The template with names in place of its ``{placeholders}``.

    Args:
        template: text with placeholders.
        names: the lists.
        turn: another number, other names.
        swap: lists whose names are to be replaced, and from which list.
        seed: what decides with which name to begin; by default the template.

    Raises:
        KeyError: an unknown list or form.
    """

    def name(match: re.Match[str]) -> str:
        listed, number, form = match.groups()
        entries = names[(swap or {}).get(listed, listed)]
        start = int(sha256(f"{seed or template}\0{listed}".encode()).hexdigest()[:8], 16)
        at = start + turn * _STRIDE + int(number or 1) - 1 + _APART * (listed in (swap or {}))
        entry = entries[at % len(entries)]
        if isinstance(entry, str):
            return entry
        return entry[form or next(iter(entry))]

    return _BLANK.sub(name, template)


def parse(marked: str, case: str | None = None) -> MarkedText:
    """The text without its marks, and the entities that they mark.

    Args:
        marked: text with entities as ``[Ada](PER)``.
        case: ``lower`` or ``upper``: the text is changed, the entities stay where they are.

    Raises:
        ValueError: a bracket or brace belongs to no mark.
    """
    change, text, entities, at = CHANGES[case], "", [], 0
    for mark in _MARK.finditer(marked):
        text += change(marked[at : mark.start()])
        start = len(text)
        text += change(mark[1])
        entities.append(MarkedEntity(start, len(text), mark[2]))
        at = mark.end()
    text += change(marked[at:])
    if re.search(r"[\[\]{}]", text):
        raise ValueError(f"a bracket or brace belongs to no mark: {marked!r}")
    return MarkedText(text, tuple(entities))
