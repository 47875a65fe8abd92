"""The corpora: which there are, where their files lie, and how they are read.

A further corpus in a format that is read already is an entry in :data:`CORPORA` (and a type map in labels.py); which
language trains on it and reports on it stands in params.yaml.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from multiner.pipeline.core.document import Document
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora.conll import ColumnFormat, read_columns
from multiner.pipeline.corpora.factrueval import document_stems, read_document
from multiner.pipeline.corpora.labels import (
    CONLL,
    FACTRUEVAL,
    WNUT17,
    TypeMap,
    map_of_set,
)
from multiner.pipeline.corpora.overlap import Resolution

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class StandoffFormat:
    """factRuEval's stand-off files, read in one of its two conventions."""

    convention: Literal["name", "object"]


@dataclass(frozen=True)
class Corpus:
    """An entry of the table.

    Attributes:
        language: language code.
        folder: its folder below the raw corpora.
        parts: file (or folder of files) of each split. Where train and dev name the same, a share of its documents
            is held out as dev.
        form: how the files are laid out.
        types: its entity types and the pipeline's.
        licence, origin: for the model card.
    """

    language: str
    folder: str
    parts: Mapping[str, str]
    form: ColumnFormat | StandoffFormat
    types: TypeMap
    licence: str
    origin: str


_FACTRUEVAL = Corpus(
    language="ru",
    folder="factRuEval-2016",
    parts={"train": "devset", "dev": "devset", "test": "testset"},
    form=StandoffFormat("name"),
    types=FACTRUEVAL,
    licence="MIT",
    origin="https://github.com/dialogue-evaluation/factRuEval-2016",
)

CORPORA: dict[str, Corpus] = {
    "conll2003": Corpus(
        language="en",
        folder="conll2003",
        parts={"train": "train.txt", "dev": "valid.txt", "test": "test.txt"},
        form=ColumnFormat(columns=4, separator="blank", scheme="IOB2", documents="docstart"),
        types=CONLL,
        licence="annotations free; the text is Reuters', for research use, never redistributed",
        origin="https://www.clips.uantwerpen.be/conll2003/ner/",
    ),
    "wnut17": Corpus(
        language="en",
        folder="wnut17",
        parts={"train": "wnut17train.conll", "dev": "emerging.dev.conll", "test": "emerging.test.annotated"},
        form=ColumnFormat(columns=2, separator="tab", scheme="IOB2", documents="block"),
        types=WNUT17,
        licence="CC-BY 4.0",
        origin="https://github.com/leondz/emerging_entities_17",
    ),
    "factrueval-name": _FACTRUEVAL,
    "factrueval-object": replace(_FACTRUEVAL, form=StandoffFormat("object")),
}


@dataclass(frozen=True)
class Part:
    """A split of a corpus: its documents, and what became of overlapping objects (None for flat annotation)."""

    documents: tuple[Document, ...]
    resolution: Resolution | None = None


def corpus_entry(corpus: str) -> Corpus:
    """The entry of a corpus.

    Raises:
        NerError: there is none of that name.
    """
    try:
        return CORPORA[corpus]
    except KeyError:
        raise NerError(
            f"unknown corpus {corpus!r}",
            where="params.yaml: languages",
            remedy=f"Choose among: {', '.join(CORPORA)}; a further one is an entry in pipeline/corpora/__init__.py.",
        ) from None


def corpora_of(params: Mapping[str, Any]) -> list[str]:
    """Corpora that a language (its parameters) trains on or reports on, each once, in the order of the parameters."""
    return list(dict.fromkeys([*params["train_on"], *params["report_on"]]))


def rank(id: str, purpose: str) -> bytes:
    """A document's place in an order that is random but always the same, and another for each purpose."""
    return sha256(f"{purpose}:{id}".encode()).digest()


def held_out(ids: list[str], share: float) -> set[str]:
    """The ids that are held out: ``share`` of them, at least one, chosen by their hash."""
    count = max(1, round(share * len(ids)))
    return set(sorted(ids, key=lambda id: rank(id, "heldout"))[:count])


def read_part(raw: Path, corpus: str, split: str, *, heldout: float = 0.2, type_set: str | None = None) -> Part:
    """A split of a corpus as published, entity types mapped to the pipeline's.

    Args:
        raw: folder of the raw corpora.
        corpus: key of :data:`CORPORA`.
        split: train, dev or test.
        heldout: share of the documents held out as dev where the corpus has no dev part.
        type_set: key of :data:`multiner.pipeline.corpora.labels.TYPE_SETS`; None for the corpus's usual map.

    Raises:
        NerError: an unknown corpus or split, a corpus that cannot speak the set of types, or a missing or malformed
            file (names file and line).
    """
    entry = corpus_entry(corpus)
    if split not in entry.parts:
        raise NerError(f"{corpus} has no split {split!r}", remedy=f"Choose one of: {', '.join(entry.parts)}.")
    types = map_of_set(type_set, corpus, entry.types)
    try:
        return _read_part(raw, corpus, split, types, heldout)
    except NerError as error:
        advice = f"{error.remedy or ''} Restore the corpus as published: ner pull".strip()
        raise NerError(error.message, where=error.where, remedy=advice) from None


def _read_part(raw: Path, corpus: str, split: str, types: TypeMap, heldout: float) -> Part:
    entry = corpus_entry(corpus)
    path = raw / entry.folder / entry.parts[split]
    source = f"{entry.folder}/{entry.parts[split]}"
    if isinstance(entry.form, ColumnFormat):
        return Part(tuple(read_columns(path, entry.form, types, corpus=corpus, split=split, source=source)))
    # Both conventions name a document alike, so that they hold out the same ones.
    stems = {f"factrueval/{stem.name}": stem for stem in document_stems(path)}
    if entry.parts["train"] == entry.parts["dev"] and split != "test":
        dev = held_out(list(stems), heldout)
        stems = {id: stem for id, stem in stems.items() if (id in dev) == (split == "dev")}
    documents: list[Document] = []
    resolution = Resolution()
    for id, stem in stems.items():
        document, counts = read_document(
            stem,
            entry.form.convention,
            id=id,
            corpus=corpus,
            split=split,
            source=f"{source}/{stem.name}.tokens",
        )
        documents.append(document)
        resolution += counts
    return Part(tuple(documents), resolution)


def read_corpus(
    raw: Path, corpus: str, split: str, *, heldout: float = 0.2, type_set: str | None = None
) -> list[Document]:
    """The documents of :func:`read_part`."""
    return list(read_part(raw, corpus, split, heldout=heldout, type_set=type_set).documents)
