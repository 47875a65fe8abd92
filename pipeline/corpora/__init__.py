"""The corpora: pulled, read as documents with the pipeline's entity types, and prepared for training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from multiner.pipeline.config.corpora import SPLITS, Corpus, OtherFormat, StandoffFormat, corpus_entry
from multiner.pipeline.config.type_maps import TypeMap
from multiner.pipeline.core.document import Document
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora.conll import read_columns
from multiner.pipeline.corpora.factrueval import document_stems, read_document
from multiner.pipeline.corpora.flat_spans import Resolution


@dataclass(frozen=True)
class CorpusSplit:
    """The documents of a split, and the counts of resolved overlaps (None where the annotation is flat)."""

    documents: tuple[Document, ...]
    resolution: Resolution | None = None


__all__ = ["SPLITS", "CorpusSplit", "held_out", "rank", "read_corpus", "read_split"]


def rank(id: str, purpose: str) -> bytes:
    """The sort key of a document in a random but fixed order, a different one for each purpose."""
    return sha256(f"{purpose}:{id}".encode()).digest()


def held_out(ids: Sequence[str], share: float, purpose: str = "heldout") -> set[str]:
    """The ids of the documents to hold out, chosen by hash: ``share`` of ``ids``, at least one, never all.

    Raises NerError if there are fewer than two ids.
    """
    if len(ids) < 2:
        raise NerError(
            "no development part can be held out of a single document",
            remedy="Give the corpus a development file of its own, or split its training file into documents.",
        )
    count = min(max(1, round(share * len(ids))), len(ids) - 1)
    return set(sorted(ids, key=lambda id: rank(id, purpose))[:count])


def read_split(
    raw: Path, corpus: str | Corpus, split: str, *, heldout: float = 0.2, type_set: str | None = None
) -> CorpusSplit:
    """A split (train, dev or test) of a corpus as published, with the pipeline's entity types.

    Args:
        raw: folder of the raw corpora.
        corpus: a corpus, or the name of a published one.
        split: train, dev or test.
        heldout: share of the documents held out as dev (and as test) where these are the files of train.
        type_set: the set of types to read in; None for the corpus's usual map.

    Raises:
        NerError: an unknown corpus or split, no map to the set of types, or a bad file (names file and line).
    """
    entry = corpus if isinstance(corpus, Corpus) else corpus_entry(corpus)
    if split not in entry.parts:
        raise NerError(f"{entry.name} has no split {split!r}", remedy=f"Choose one of: {', '.join(entry.parts)}.")
    types = entry.map_to(type_set)
    try:
        return _read_split(raw, entry, split, types, heldout if entry.heldout is None else entry.heldout)
    except NerError as error:
        restore = "" if entry.own else " Restore the corpus as published: ner pull"
        raise NerError(error.message, where=error.where, remedy=f"{error.remedy or ''}{restore}".strip()) from None


def _read_split(raw: Path, entry: Corpus, split: str, types: TypeMap, heldout: float) -> CorpusSplit:
    corpus = entry.name
    path = raw / entry.folder / entry.parts[split]
    source = f"{entry.folder}/{entry.parts[split]}"
    shared = [each for each in ("test", "dev") if entry.parts[each] == entry.parts["train"]]

    def ids_of_split(ids: Sequence[str]) -> set[str]:
        """Those of the ids in a file that belong to the split."""
        rest = set(ids)
        if entry.parts[split] != entry.parts["train"]:
            return rest
        for each in shared:
            try:
                held = held_out([id for id in ids if id in rest], heldout, "heldout" if each == "dev" else "test")
            except NerError as error:
                raise NerError(error.message, where=str(path), remedy=error.remedy) from None
            if each == split:
                return held
            rest -= held
        return rest

    if not isinstance(entry.form, StandoffFormat):
        id_split = "train" if split in shared else split  # the id of a document does not depend on what is held out
        if isinstance(entry.form, OtherFormat):
            everything = _read_other(path, entry, entry.form, types, f"{corpus}/{id_split}", source)
        else:
            everything = read_columns(path, entry.form, types, corpus=corpus, split=id_split, source=source)
        ids = ids_of_split([document.id for document in everything])
        return CorpusSplit(tuple(replace(document, split=split) for document in everything if document.id in ids))
    # The ids are the same in both conventions, so that both hold out the same documents.
    stems = {f"factrueval/{stem.name}": stem for stem in document_stems(path)}
    ids = ids_of_split(list(stems))
    documents: list[Document] = []
    resolution = Resolution()
    for id, stem in stems.items():
        if id not in ids:
            continue
        document, counts = read_document(
            stem, entry.form.convention, id=id, corpus=corpus, split=split, source=f"{source}/{stem.name}.tokens"
        )
        documents.append(document)
        resolution += counts
    return CorpusSplit(tuple(documents), resolution)


def _read_other(path: Path, entry: Corpus, form: OtherFormat, types: TypeMap, ids: str, source: str) -> list[Document]:
    """The documents of a file or folder in another format, without ``types`` in those of the file.

    ``ids`` begins their ids.
    """
    from multiner.pipeline.corpora import formats

    options = formats.reading_options(form.name, form.options)
    documents = formats.read(path, form.name, language=entry.language, types=types or None, **options)
    return [
        replace(each, id=f"{ids}/{number:05d}", corpus=entry.name, source=each.source.replace(str(path), source))
        for number, each in enumerate(documents, 1)
    ]


def read_corpus(
    raw: Path, corpus: str | Corpus, split: str, *, heldout: float = 0.2, type_set: str | None = None
) -> list[Document]:
    """The documents of :func:`read_split`."""
    return list(read_split(raw, corpus, split, heldout=heldout, type_set=type_set).documents)
