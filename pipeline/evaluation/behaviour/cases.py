"""The cases of the behaviour suite: templates and names from a YAML file, always expanded in the same way.

A file has ``names`` (lists to fill in; an entry is a name or a mapping of its forms) and ``capabilities``: for each, a
list of entries with the fields of :class:`CaseTemplates`. Expected entities are marked in the text:
``[{person}](PER) flew to [{city}](LOC).`` The same placeholder is the same name, ``{person2}`` another name of the
list, ``{person.gen}`` a form of a name. The names depend on the template only, so that a case keeps its text and its id
when the file grows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from multiner.pipeline.config.settings import read_yaml
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import sha256_of

FOLDER = Path(__file__).parent
MINIMUM, INVARIANCE, DIRECTION = KINDS = ("minimum", "invariance", "direction")
CHANGES: dict[str | None, Callable[[str], str]] = {None: str, "lower": str.lower, "upper": str.upper}
_MARK = re.compile(r"\[([^\[\]]+)\]\(([A-Z]+)\)")
_BLANK = re.compile(r"\{([a-z_]+)(\d*)(?:\.(\w+))?\}")
_STRIDE = 17  # offset in the list per turn; coprime to the length of every list
_SWAP_OFFSET = 3  # offset in the list for a swapped name


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
    """One test of a model.

    Attributes:
        id: ``capability/kind/`` and a hash of the texts.
        capability: the capability that it tests.
        kind: ``minimum``: the model must find exactly the marked entities in ``text``. ``invariance``: it must find the
            same in ``text`` as in ``base``. ``direction``: the marked entities must have no lower scores in ``text``,
            which has more evidence for them, than in ``base``.
        text: the text that is judged.
        base: the text to compare with; None for ``minimum``.
        must: whether a model must pass it to be used.
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
        texts: templates, or pairs ``[base, text]`` of templates (always pairs for ``direction``).
        fills: number of cases per template, each with other names.
        wraps: texts around the template, such as ``"🙂 {text}"``; each makes further cases.
        case: ``lower`` or ``upper``: the case of the whole text.
        swap: list → the list that replaces its names in ``text``: ``{person: rare_person}``.
        must: whether a model must pass the cases to be used.
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


def suite_file(language: str, own: Path | None = None) -> Path:
    """The file of a language's cases, which need not exist: that in the folder ``own``, else that of this package."""
    file = f"{language}.yaml"
    return own / file if own and (own / file).is_file() else FOLDER / file


def suite_hash(language: str, own: Path | None = None) -> str:
    """SHA-256 of a language's cases; empty for a language without a suite."""
    file = suite_file(language, own)
    return sha256_of(file) if file.is_file() else ""


def load_cases(language: str, types: Collection[str] | None = None, own: Path | None = None) -> list[BehaviourCase]:
    """The cases of a language, in the order of the file; none without a file.

    Cases with entities of other ``types`` are left out. If no case with entities remains, the result is empty, since a
    model without any answer would pass all others.

    Args:
        language: its code.
        types: the entity types of the model; None: all cases.
        own: the folder of a workspace's own suites, each of which takes the place of the one in this package.

    Raises:
        NerError: the format of the file is wrong.
    """
    file = suite_file(language, own)
    if not file.is_file():
        return []
    cases = expand(read_yaml(file), str(file))
    if types is None:
        return cases
    cases = [case for case in cases if {mark.label for mark in case.text.entities} <= set(types)]
    return cases if any(case.text.entities for case in cases) else []


def expand(suite: Mapping[str, Any], where: str = "") -> list[BehaviourCase]:
    """Expand the content of a suite file, which messages call ``where``, to its cases.

    Raises:
        NerError: a field, list or form is unknown, a bracket is not closed, or a case occurs twice.
    """
    cases: dict[str, BehaviourCase] = {}
    for capability, entries in suite["capabilities"].items():
        for entry in entries:
            try:
                for case in _cases(capability, CaseTemplates(**entry), suite["names"]):
                    if case.id in cases:
                        raise ValueError(f"twice the same case: {case.text.text!r}")
                    cases[case.id] = case
            except (KeyError, TypeError, ValueError) as error:
                raise NerError(f"capability {capability}: {error}", where=where) from None
    return list(cases.values())


def _cases(capability: str, templates: CaseTemplates, names: Mapping[str, Sequence[Any]]) -> Iterator[BehaviourCase]:
    for entry in templates.texts:
        first, second = (entry, entry) if isinstance(entry, str) else entry
        for wrap in templates.wraps:
            for turn in range(templates.fills):
                wrapped = wrap.replace("{text}", fill(second, names, turn, templates.swap, seed=first))
                text = parse(wrapped, templates.case)
                base = None if templates.kind == MINIMUM else parse(fill(first, names, turn))
                if base and [mark.label for mark in base.entities] != [mark.label for mark in text.entities]:
                    raise ValueError(f"the two texts mark different types: {base.text!r}, {text.text!r}")
                content = f"{base.text if base else ''}\0{text.text}"
                id = f"{capability}/{templates.kind}/{sha256(content.encode()).hexdigest()[:8]}"
                yield BehaviourCase(id, capability, templates.kind, text, base, templates.must)


def fill(
    template: str,
    names: Mapping[str, Sequence[Any]],
    turn: int = 0,
    swap: Mapping[str, str] | None = None,
    seed: str | None = None,
) -> str:
    """Replace the ``{placeholders}`` of a template by names. Raises KeyError for an unknown list or form.

    Args:
        template: text with placeholders.
        names: the lists of names.
        turn: each turn takes other names.
        swap: list → the list that replaces it.
        seed: decides the first name; by default the template does.
    """

    def name(match: re.Match[str]) -> str:
        listed, number, form = match.groups()
        entries = names[(swap or {}).get(listed, listed)]
        start = int(sha256(f"{seed or template}\0{listed}".encode()).hexdigest()[:8], 16)
        at = start + turn * _STRIDE + int(number or 1) - 1 + _SWAP_OFFSET * (listed in (swap or {}))
        entry = entries[at % len(entries)]
        if isinstance(entry, str):
            return entry
        return entry[form or next(iter(entry))]

    return _BLANK.sub(name, template)


def parse(marked: str, case: str | None = None) -> MarkedText:
    """The text without its marks (``[Ada](PER)``), in the given ``case``, and the marked entities.

    Raises ValueError if a bracket or brace belongs to no mark.
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
