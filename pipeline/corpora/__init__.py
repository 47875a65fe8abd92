"""The corpora: pulled, read as documents with one set of types, and prepared for training."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from multiner.pipeline.config.corpora import ColumnFormat, corpus_entry
from multiner.pipeline.config.type_maps import TypeMap, map_of_set
from multiner.pipeline.core.document import Document
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora.conll import read_columns
from multiner.pipeline.corpora.factrueval import document_stems, read_document
from multiner.pipeline.corpora.overlap import Resolution

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Part:
    """A split of a corpus: its documents, and what became of overlapping objects (None for flat annotation)."""

    documents: tuple[Document, ...]
    resolution: Resolution | None = None


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
        type_set: key of :data:`multiner.pipeline.config.type_maps.TYPE_SETS`; None for the corpus's usual map.

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
