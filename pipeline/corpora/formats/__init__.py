"""Corpora in the formats of other tools: :func:`read` and :func:`write`, whose table is :data:`FORMATS`.

Offsets are exact: ``document.text[start:end]`` is the entity's text, whatever the format. What a format, or a document
of this project, cannot hold is left out with a warning of the class :class:`ConversionLoss`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal

from multiner.pipeline.config.type_maps import TypeMap
from multiner.pipeline.core.document import Document
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import is_system_file, replace_folder, write_atomically
from multiner.pipeline.corpora.formats import brat, columns, conllu, docbin, json_lines, label_studio, webanno
from multiner.pipeline.corpora.formats.options import checked_options, options_of
from multiner.pipeline.corpora.formats.source import ANY_LANGUAGE, ConversionLoss, Losses, Source, flat
from multiner.pipeline.text.surrogates import SURROGATE

__all__ = [
    "FORMATS",
    "ConversionLoss",
    "Format",
    "format_named",
    "options_of",
    "read",
    "reading_options",
    "with_types",
    "write",
]


@dataclass(frozen=True)
class Format:
    """A format that can be read and written.

    Attributes:
        title: what it is, one line.
        suffixes: of its files, the usual one first; by these a folder's files are found.
        reader: documents of a source; keyword-only arguments are the options.
        writer: content of a file for documents; of a format with ``folder``, the files of one document by suffix.
        folder: whether each document is a file, or several, of a folder.
        nested: whether nested and overlapping entities can be written.
        scores: whether scores are written.
    """

    title: str
    suffixes: tuple[str, ...]
    reader: Callable[..., list[Document]]
    writer: Callable[..., Any]
    folder: bool = False
    nested: bool = False
    scores: bool = False


FORMATS: Mapping[str, Format] = {
    "columns": Format(
        "CoNLL columns: a token a line, its tag in another column (BIO, IOB1, BIOES, BILOU, IO)",
        (".conll", ".txt", ".tsv", ".bio", ".iob"),
        columns.read,
        columns.write,
    ),
    "jsonl": Format(
        "JSON lines as the API answers: text, entities with start, end, label, score; or tokens and tags",
        (".jsonl", ".ndjson"),
        json_lines.read,
        json_lines.write_entities,
        nested=True,
        scores=True,
    ),
    "documents": Format(
        "JSON lines of the pipeline's prepared documents, with tokens and sentences",
        (".jsonl", ".ndjson"),
        json_lines.read,
        json_lines.write_documents,
        nested=True,
        scores=True,
    ),
    "doccano": Format(
        "JSON lines of doccano and spaCy: text and label: [[start, end, type]]",
        (".jsonl", ".ndjson"),
        json_lines.read,
        json_lines.write_doccano,
        nested=True,
    ),
    "conllu": Format(
        "CoNLL-U, tags in MISC: NER=B-PER, NE=… or Stanza's ner=…", (".conllu",), conllu.read, conllu.write
    ),
    "docbin": Format("spaCy's DocBin, for spacy train", (".spacy",), docbin.read, docbin.write),
    "brat": Format(
        "brat standoff: a .txt and an .ann for each document, in a folder",
        (".txt",),
        brat.read,
        brat.write,
        folder=True,
        nested=True,
    ),
    "webanno": Format(
        "WebAnno TSV 3 of WebAnno and INCEpTION: a .tsv for each document, in a folder",
        (".tsv",),
        webanno.read,
        webanno.write,
        folder=True,
        nested=True,
    ),
    "label-studio": Format(
        "Label Studio's JSON: annotated tasks", (".json",), label_studio.read, label_studio.write, nested=True
    ),
}
"""The formats by name."""


def format_named(name: str) -> Format:
    """The format of a name. Raises NerError if there is none."""
    try:
        return FORMATS[name]
    except KeyError:
        raise NerError(f"unknown format {name!r}", remedy=f"Choose one of: {', '.join(FORMATS)}.") from None


def reading_options(format: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the user's for :func:`read`: those of the format's reader alone, converted. Raises NerError."""
    return checked_options(format_named(format).reader, options, f"reading {format}")


def read(
    path: str | Path | IO[bytes],
    format: str,
    *,
    language: str = ANY_LANGUAGE,
    types: TypeMap | None = None,
    overlaps: Literal["longest", "keep"] = "longest",
    **options: Any,
) -> list[Document]:
    """The documents of a corpus.

    Args:
        path: a file, a folder of files with the format's suffixes, or a binary stream.
        format: of :data:`FORMATS`.
        language: whose rules split the texts of formats without tokens; ``xx``: the rules that all languages share.
        types: map from the corpus's types to those of the documents, None for types to leave out; others are refused.
            Without a map the types stay as they are.
        overlaps: ``longest``: of overlapping entities the longest stays, as models need it; ``keep``: all stay.
        options: of the format: the keyword-only arguments of its reader.

    Raises:
        NerError: the format or an option is unknown, or the corpus is missing or malformed (names file and line).

    Warns:
        ConversionLoss: documents cannot hold something that the corpus has.
    """
    form = format_named(format)
    values = checked_options(form.reader, options, f"reading {format}")
    if overlaps not in ("longest", "keep"):
        raise NerError(f"unknown overlaps {overlaps!r}", remedy="Choose one of: longest, keep.")
    losses = Losses()
    documents: list[Document] = []
    for source in _sources(path, form, losses, language, types):
        new = form.reader(source, **values)
        name = source.path.stem if source.path else "document"
        for each in new:
            if sign := SURROGATE.search(each.text):
                raise NerError(f"the text has half a character, the lone surrogate U+{ord(sign[0]):04X}",
                               where=each.source or source.name,
                               remedy="Mend the text: a character was cut in two.")  # fmt: skip
        numbered = (each if each.id else replace(each, id=f"{name}/{n}") for n, each in enumerate(new, 1))
        documents += [replace(each, source=each.source or source.name) for each in numbered]
    if overlaps == "longest":
        documents = [flat(document, losses) for document in documents]
    losses.warn(str(path) if isinstance(path, str | Path) else "the stream")
    return documents


def _sources(
    path: str | Path | IO[bytes], form: Format, losses: Losses, language: str, types: TypeMap | None
) -> Iterable[Source]:
    """The files to read, in order."""
    if not isinstance(path, str | Path):
        yield Source(getattr(path, "name", None) or "<stream>", path.read(), losses, None, language, types)
        return
    place = Path(path)
    if place.is_dir():
        files = sorted(
            each
            for each in place.rglob("*")
            if each.suffix.lower() in form.suffixes and each.is_file() and not is_system_file(each)
        )
        if not files:
            raise NerError("no file of this format in the folder", where=str(place),
                           remedy=f"Their names end in {' or '.join(form.suffixes)}.")  # fmt: skip
    else:
        files = [place]
    for file in files:
        try:
            content = file.read_bytes()
        except OSError as error:
            problem = "file is missing" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
            raise NerError(problem, where=str(file), remedy="Mend the path.") from None
        yield Source(str(file), content, losses, file, language, types)


def write(documents: Iterable[Document], path: str | Path | IO[bytes], format: str, **options: Any) -> None:
    """Write documents in a format; the file or folder is whole or absent.

    Args:
        documents: the documents.
        path: the file, which is replaced; of brat and WebAnno, whose documents are files of their own, a new or empty
            folder. Or a binary stream.
        format: of :data:`FORMATS`.
        options: of the format: the keyword-only arguments of its writer.

    Raises:
        NerError: the format or an option is unknown, it cannot hold a token, a type or a character, or the folder is
            not empty.

    Warns:
        ConversionLoss: the format cannot hold something that the documents have.
    """
    form = format_named(format)
    values = checked_options(form.writer, options, f"writing {format}")
    losses = Losses()
    documents = list(documents)
    if not form.nested:
        documents = [flat(document, losses) for document in documents]
    if not form.scores:
        losses.add("scores", sum(span.score is not None for document in documents for span in document.spans))
    name = str(path) if isinstance(path, str | Path) else "the stream"
    if form.folder:
        if not isinstance(path, str | Path):
            raise NerError(f"{format} needs a folder: each document is a file of its own", remedy="Name a folder.")
        if Path(path).is_file():
            raise NerError("this is a file, and a folder is needed", where=name, remedy="Name a folder.")
        if Path(path).is_dir() and any(Path(path).iterdir()):
            raise NerError("the folder is not empty", where=name, remedy="Name another, or empty it.")
        _write_folder(documents, Path(path), form, losses, values)
    else:
        content = form.writer(documents, losses, **values)
        if isinstance(path, str | Path):
            if Path(path).is_dir():
                raise NerError("this is a folder, and a file is needed", where=name, remedy="Name a file.")
            with write_atomically(Path(path), "wb") as file:
                file.write(content)
        else:
            path.write(content)
    losses.warn(name)


def _write_folder(
    documents: Sequence[Document], path: Path, form: Format, losses: Losses, values: Mapping[str, Any]
) -> None:
    """Write the files of each document, which its id names."""
    names: set[str] = set()
    with replace_folder(path) as folder:
        for document in documents:
            stem = (
                re.sub(r"[^\w.-]+", "_", document.id).strip("._").encode()[:200].decode(errors="ignore") or "document"
            )
            name, number = stem, 1
            while name.casefold() in names:
                number += 1
                name = f"{stem}-{number}"
            names.add(name.casefold())
            for suffix, content in form.writer(document, losses, **values).items():
                (folder / f"{name}{suffix}").write_bytes(content)


def with_types(
    documents: Iterable[Document], types: Mapping[str, str | None], *, strict: bool = False
) -> list[Document]:
    """The documents with other names of types, and without types whose new name is empty or None.

    Args:
        documents: the documents.
        types: the new names.
        strict: refuse types that have no entry, which stay as they are otherwise.

    Raises:
        NerError: a type has no entry.
    """
    renamed = []
    for document in documents:
        if strict and (unknown := {span.label for span in document.spans} - types.keys()):
            raise NerError(f"unknown entity types {', '.join(sorted(unknown))}", where=document.source or document.id,
                           remedy="Add them to the map `types`; None leaves a type out.")  # fmt: skip
        labels = ((span, types.get(span.label, span.label)) for span in document.spans)
        renamed.append(document.with_spans(replace(span, label=label) for span, label in labels if label))
    return renamed
