"""The catalogue of corpora: one YAML file each, with files, format, entity types and licence.

The published corpora are in ``catalogue/`` beside this module; those of a workspace are in its ``params/corpora/``,
where ``ner corpus add`` writes them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from multiner.pipeline.config.type_maps import FACTRUEVAL, TypeMap
from multiner.pipeline.config.yaml_file import YamlFile, dotted, read_yaml_file
from multiner.pipeline.core.errors import NerError

SPLITS = ("train", "dev", "test")
CONLL_FORMAT, FACTRUEVAL_FORMAT = "conll", "factrueval"
NO_OTHER_KEYS = {"extra": "forbid"}


@dataclass(frozen=True)
class ColumnFormat:
    """The layout of a column file of the published corpora.

    Attributes:
        columns: number of columns of a token's line; the first is the token, the last its tag.
        separator: between columns: "blank" (one or more blanks or tabs) or "tab" (a single tab).
        scheme: IOB2 (every entity begins with B-) or IOB1 (B- only between neighbours of one type).
        documents: "docstart" (a line -DOCSTART- begins a document) or "block" (each block of lines is a document,
            unless the file has -DOCSTART- lines).
        cut: signs that are cut off the beginning of a token, to be a token of their own; "" for none.
    """

    columns: int
    separator: Literal["blank", "tab"]
    scheme: Literal["IOB1", "IOB2"]
    documents: Literal["docstart", "block"]
    cut: str = ""
    __pydantic_config__: ClassVar = NO_OTHER_KEYS


@dataclass(frozen=True)
class StandoffFormat:
    """factRuEval's stand-off files, with the convention that turns their objects into spans."""

    convention: Literal["name", "object"]
    __pydantic_config__: ClassVar = NO_OTHER_KEYS


@dataclass(frozen=True)
class OtherFormat:
    """A format that :mod:`multiner.pipeline.corpora.formats` reads, with options of its reader."""

    name: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Corpus:
    """A corpus of the catalogue.

    Attributes:
        name: its name in params.yaml.
        language: language code.
        folder: its folder below the raw corpora.
        parts: file (or folder of files) of each split. Splits that share a file share its documents: a part of them is
            held out as dev, and another as test.
        form: the layout of the files.
        types: map from its entity types to the pipeline's.
        type_sets: further maps, by the name that a language's ``types`` may give.
        title, licence: for the model card.
        about: for the data card: where its texts are from, and what to know about them.
        heldout: share of the documents to hold out; None: ``prepare.heldout``.
        share: lowest and highest share of each type among its entities; None: that of any corpus.
        own: whether the workspace added it, so that its files are always in data/raw.
    """

    name: str
    language: str
    folder: str
    parts: Mapping[str, str]
    form: ColumnFormat | StandoffFormat | OtherFormat
    types: TypeMap
    type_sets: Mapping[str, TypeMap] = field(default_factory=dict)
    title: str = ""
    licence: str = "as its publisher states"
    about: str = ""
    heldout: float | None = None
    share: tuple[float, float] | None = None
    own: bool = False

    def map_to(self, type_set: str | None) -> TypeMap:
        """The map to a set of types; None: the usual one. Raises NerError if the corpus has no map to the set."""
        if type_set is None:
            return self.types
        if type_set not in self.type_sets:
            raise NerError(
                f"{self.name} has no map to the types {type_set!r}",
                where="params.yaml: languages",
                remedy="Train and report on corpora that have one (type_sets), or give another `types`.",
            )
        return self.type_sets[type_set]

    @property
    def labels(self) -> set[str]:
        """All types that its maps lead to."""
        return {label for types in (self.types, *self.type_sets.values()) for label in types.values() if label}


@dataclass(frozen=True)
class _Entry:
    """The content of a corpus's YAML file."""

    language: str
    format: str
    files: dict[str, str]
    options: dict[str, Any] = field(default_factory=dict)
    types: dict[str, str | None] = field(default_factory=dict)
    type_sets: dict[str, dict[str, str | None]] = field(default_factory=dict)
    title: str = ""
    licence: str = Corpus.licence
    about: str = ""
    folder: str = ""
    heldout: float | None = None
    share: list[float] | None = None
    __pydantic_config__: ClassVar = NO_OTHER_KEYS


def read_catalogue(folder: Path, *, own: bool = False) -> dict[str, Corpus]:
    """The corpora whose YAML files are in ``folder``, by name (that of the file); none without the folder.

    Raises:
        NerError: a file is malformed (names the line).
    """
    return {path.stem: read_entry(path, own=own) for path in sorted(folder.glob("*.yaml"))}


def read_entry(path: Path, *, own: bool = False) -> Corpus:
    """The corpus that a YAML file describes. Raises NerError if it is malformed (names the line)."""
    name = f"params/corpora/{path.name}" if own else str(path)
    source = read_yaml_file(path, name)
    if source.repeated:
        key, line = source.repeated[0]
        raise NerError(f"the key {dotted(key)} stands twice", where=f"{name}:{line}", remedy="Leave one of them.")
    entry: _Entry = _validated(_Entry, source.values, source)
    standoff = entry.format == FACTRUEVAL_FORMAT
    form: Any = OtherFormat(entry.format, entry.options)
    if standoff or entry.format == CONLL_FORMAT:
        form = _validated(StandoffFormat if standoff else ColumnFormat, entry.options, source, "options")
    if wrong := sorted(set(SPLITS) ^ set(entry.files), key=lambda each: each in SPLITS):
        remedy = "Give train, dev and test one each; of the documents in train's file, a share is held out."
        problem = "no file for" if wrong[0] in SPLITS else "no split is named"
        raise NerError(f"{problem} {wrong[0]}", where=_place(source, ("files",)), remedy=remedy)
    types = entry.types or (FACTRUEVAL if standoff else {})
    if not any(types.values()):
        raise NerError("no entity type", where=_place(source, ("types",)), remedy="Map its types: {PERS: PER}.")
    share = None if entry.share is None else (entry.share[0], entry.share[-1])
    return Corpus(
        path.stem, entry.language, entry.folder or path.stem, entry.files, form, types, entry.type_sets, entry.title,
        entry.licence, entry.about, entry.heldout, share, own,
    )  # fmt: skip


def _validated(kind: type, values: Any, source: YamlFile, *above: str) -> Any:
    """``values`` as an instance of the dataclass ``kind``. Raises NerError for the first mistake."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        unknown, missing = "unexpected_keyword_argument", "the key is missing"
        errors = error.errors(include_url=False)
        first = next((each for each in errors if each["type"] == unknown), errors[0])  # a misspelt key is missing, too
        key = (*above, *(part for part in first["loc"] if part not in ("[key]", "str")))
        messages = {"missing": missing, "missing_argument": missing, unknown: "unknown key"}
        message = messages.get(first["type"], f"{first['input']!r}: {first['msg']}")
        raise NerError(message, where=f"{_place(source, key)}: {dotted(key)}") from None


def _place(source: YamlFile, key: tuple[Any, ...]) -> str:
    """File and line of a key, or of the nearest one above it."""
    lines = (source.lines.get(key[:length]) for length in range(len(key), 0, -1))
    line = next((line for line in lines if line), None)
    return f"{source.name}:{line}" if line else source.name


@lru_cache(maxsize=1)
def published() -> dict[str, Corpus]:
    """The published corpora, by name."""
    return read_catalogue(Path(__file__).with_name("catalogue"))


def corpus_entry(corpus: str, corpora: Mapping[str, Corpus] | None = None) -> Corpus:
    """A corpus by its name, by default a published one. Raises NerError if no corpus has that name."""
    corpora = published() if corpora is None else corpora
    try:
        return corpora[corpus]
    except KeyError:
        raise NerError(
            f"unknown corpus {corpus!r}",
            where="params.yaml: languages",
            remedy=f"Choose among: {', '.join(corpora)}; to add one: ner corpus add FILE --name {corpus}.",
        ) from None


def types_of_set(name: str, corpora: Collection[Corpus]) -> list[str]:
    """The types of a set, in the order of its maps. Raises NerError if no corpus has a map to it."""
    sets = {type_set: None for corpus in corpora for type_set in corpus.type_sets}
    if name not in sets:
        raise NerError(
            f"unknown set of types {name!r}",
            where="params.yaml: languages",
            remedy=f"Give a list of types, or one of: {', '.join(sets)}.",
        )
    maps = (corpus.type_sets.get(name, {}) for corpus in corpora)
    return list(dict.fromkeys(label for types in maps for label in types.values() if label))


def corpora_of(params: Mapping[str, Any]) -> list[str]:
    """The corpora that a language, by its parameters, trains on or reports on: each once, in their order there."""
    return list(dict.fromkeys([*params["train_on"], *params["report_on"]]))
