"""Reads the sources of growing corpora. Each record becomes a document; a record that cannot be read is refused.

A file's suffix names its format:

- ``.jsonl``, ``.ndjson``: on each line an object with ``text`` and ``entities`` (``start``, ``end``, ``label``; offsets
  count code points), or with ``tokens`` and ``tags`` (IOB2).
- ``.csv``: the same fields as columns with a head line; entities as JSON, tokens and tags separated by blanks.
- ``.conll``, ``.txt``: a token and its IOB2 tag on a line, a blank line between sentences.
- ``.json``: an export of Label Studio.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from multiner.pipeline.config.corpora import ColumnFormat
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.document import Document, Sentence, from_words
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import is_system_file
from multiner.pipeline.corpora.conll import read_columns, read_tags, split_columns
from multiner.pipeline.corpora.formats.label_studio import annotated_tasks
from multiner.pipeline.corpora.formats.source import sentence_bounds
from multiner.pipeline.corpora.growing import document_id, split_of
from multiner.pipeline.corpora.review_queue import FORMAT as REVIEW_FORMAT
from multiner.pipeline.corpora.review_queue import ReviewQueue
from multiner.pipeline.corpora.text import BYTE_ORDER_MARK, map_type, read_lines, read_text
from multiner.pipeline.growing.declaration import REVIEW, GrowingCorpus
from multiner.pipeline.text.alignment import aligned
from multiner.pipeline.text.span_trimming import trimmed

SHOWN = 10  # records that a refusal lists
Record = tuple[str, Callable[[], Document]]
"""Where a record stands (file and line, or task), and what reads it; the latter raises NerError."""


def read_source(workspace: Workspace, corpus: GrowingCorpus) -> list[Document]:
    """The documents of a corpus's source, of equal texts the last one; none where it has no source, or an empty one.

    Raises:
        NerError: the source is missing, or records of it cannot be read (names them by file and line).
    """
    if corpus.source is None:
        return []
    if corpus.source == REVIEW:
        queue = ReviewQueue(workspace.paths.review, 0)
        path = queue.path(corpus.language)
        with queue.hold(corpus.language):  # not while a correction is being added
            if not path.is_file() or not path.stat().st_size:
                return []
            return _unique(_columns(path, REVIEW_FORMAT, corpus, _name(path, workspace.root)), corpus)
    return read_path(workspace.root / corpus.source, corpus, workspace.root)


def read_path(path: Path, corpus: GrowingCorpus, root: Path) -> list[Document]:
    """The documents of a file, or of all files of a folder in a known format; of equal texts the last one.

    Raises:
        NerError: see :func:`read_source`.
    """
    if path.is_dir():
        files = sorted(each for each in path.rglob("*") if each.suffix.lower() in READERS and not is_system_file(each))
    elif path.is_file():
        files = [path]
    else:
        raise NerError("no such file or folder", where=str(path), remedy="Mend the path, or make the folder.")
    documents: list[Document] = []
    for file in files:
        reader = READERS.get(file.suffix.lower())
        if reader is None:
            raise NerError("a file of no known format", where=str(file), remedy=f"Known are: {', '.join(READERS)}.")
        documents += reader(file, corpus, _name(file, root))
    return _unique(documents, corpus)


def _name(path: Path, root: Path) -> str:
    """The file as messages and documents name it."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def _unique(documents: Iterable[Document], corpus: GrowingCorpus) -> list[Document]:
    """The documents with their ids and splits; of those with the same words the last one."""
    latest: dict[str, Document] = {}
    for document in documents:
        id = document_id(corpus.name, document)
        latest.pop(id, None)
        latest[id] = replace(document, id=id, corpus=corpus.name, split=split_of(id, corpus.heldout))
    return list(latest.values())


def _columns(path: Path, form: ColumnFormat, corpus: GrowingCorpus, name: str) -> list[Document]:
    """The documents of a column file."""
    try:
        return read_columns(path, form, corpus.types, source=name)
    except NerError as error:
        raise _with_advice(error, corpus) from None


def _column_file(path: Path, corpus: GrowingCorpus, name: str) -> list[Document]:
    """The documents of a column file whose first token shows the number of columns."""
    form = ColumnFormat(2, "tab", "IOB2", "block")
    rows = (split_columns(line, form) for line in read_lines(path) if line.strip() and not line.startswith("-DOC"))
    width = len(next(rows, ["", ""]))
    tabs = any("\t" in line for line in read_lines(path))
    return _columns(path, ColumnFormat(width, "tab" if tabs else "blank", "IOB2", "block"), corpus, name)


def _with_advice(error: NerError, corpus: GrowingCorpus) -> NerError:
    """An error of a reader; an unknown label can be declared in params.yaml."""
    if "unknown entity type" not in error.message:
        return error
    remedy = f"Known are: {', '.join(corpus.types)}. Mend the record, or add the label to growing.{corpus.name}.types."
    return NerError(error.message, where=error.where, remedy=remedy)


def _read_all(records: Iterable[Record], corpus: GrowingCorpus) -> list[Document]:
    """The documents of records, each with its place as source. Raises NerError with the first records refused."""
    documents, errors = [], []
    for where, read in records:
        try:
            documents.append(replace(read(), source=where))
        except NerError as error:
            errors.append(_with_advice(NerError(error.message, where=error.where or where), corpus))
    if not errors:
        return documents
    if len(errors) == 1:
        raise errors[0]
    more = f"\n  and {len(errors) - SHOWN:,} more" if len(errors) > SHOWN else ""
    lines = "".join(f"\n  {error.where}: {error.message}" for error in errors[:SHOWN])
    raise NerError(f"{len(errors):,} records cannot be read{lines}{more}", remedy="Mend them; nothing was taken in.")


def _json_lines(path: Path, corpus: GrowingCorpus, name: str) -> list[Document]:
    def record(line: str, where: str) -> Document:
        try:
            value = json.loads(line)
        except ValueError as error:
            raise NerError(f"no valid JSON: {error}") from None
        return document_of(value, corpus, where)

    lines = enumerate(read_lines(path), 1)
    return _read_all(
        ((f"{name}:{n}", partial(record, line, f"{name}:{n}")) for n, line in lines if line.strip()), corpus
    )


def _csv(path: Path, corpus: GrowingCorpus, name: str) -> list[Document]:
    def record(row: dict[str, Any], where: str) -> Document:
        value = {field: cell for field, cell in row.items() if cell is not None}
        value |= {field: value[field].split() for field in ("tokens", "tags") if field in value}
        if "entities" in value:
            try:
                value["entities"] = json.loads(value["entities"] or "[]")
            except ValueError as error:
                raise NerError(f"the column entities is no valid JSON: {error}") from None
        return document_of(value, corpus, where)

    def records() -> Iterator[Record]:
        reader = csv.DictReader(io.StringIO(read_text(path).removeprefix(BYTE_ORDER_MARK), newline=""), strict=True)
        line = 2
        try:
            for row in reader:
                where, line = f"{name}:{line}", reader.line_num + 1
                yield where, partial(record, row, where)
        except csv.Error as error:
            raise NerError(f"no valid CSV: {error}", where=f"{name}:{line}") from None

    return _read_all(records(), corpus)


def _label_studio(path: Path, corpus: GrowingCorpus, name: str) -> list[Document]:
    def record(task: Callable[[], dict[str, Any]], where: str) -> Document:
        return document_of(task(), corpus, where)

    tasks = annotated_tasks(read_text(path), name)
    return _read_all(((where, partial(record, task, where)) for where, task in tasks), corpus)


READERS = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".csv": _csv,
    ".json": _label_studio,
    ".conll": _column_file,
    ".txt": _column_file,
}
"""Readers by suffix: path, corpus and the file's name in messages to documents."""


def document_of(value: Any, corpus: GrowingCorpus, where: str) -> Document:
    """The document of a record with ``text`` and ``entities``, or with ``tokens`` and ``tags``.

    Raises:
        NerError: the record has not these fields, or an entity cannot be mapped to tokens.
    """
    if isinstance(value, dict) and isinstance(value.get("text"), str) and isinstance(value.get("entities"), list):
        return annotated_document(value["text"], value["entities"], corpus, where)
    fields = value if isinstance(value, dict) else {}
    tokens: Any = fields.get("tokens")
    tags: Any = fields.get("tags")
    if not (_is_texts(tokens) and _is_texts(tags)):
        raise NerError("a record has text and entities, or tokens and tags")
    if not tokens or len(tokens) != len(tags) or any(not token.strip() for token in tokens):
        raise NerError(f"{len(tokens)} tokens and {len(tags)} tags; every token needs a tag, and none may be blank")
    return from_words("", [tokens], read_tags(tags, "IOB2", corpus.types, where, 1))


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def annotated_document(text: str, entities: list[Any], corpus: GrowingCorpus, where: str) -> Document:
    """The document of a text with entities by offsets; invisible characters at an entity's edges are left out.

    A token is cut where an entity ends within it at a sign (EU|-based), but not between two letters or digits.

    Raises:
        NerError: an entity is no mapping of ``start``, ``end`` and ``label``, lies outside the text, overlaps another,
            has no word, or cuts a word.
    """
    places = []
    for entity in entities:
        start, end, label = (entity.get(key) if isinstance(entity, dict) else None for key in ("start", "end", "label"))
        if not (type(start) is int and type(end) is int and isinstance(label, str) and 0 <= start < end <= len(text)):
            raise NerError(f"no entity of the text: {json.dumps(entity, ensure_ascii=False)[:100]}")
        if (mapped := map_type(label, corpus.types, where)) is None:
            continue
        start, end = trimmed(text, start, end)
        for border in (start, end):
            if 0 < border < len(text) and text[border - 1].isalnum() and text[border].isalnum():
                raise NerError(f"the entity at {start}:{end} cuts a word at {border}, so it has no tokens of its own")
        if start == end:
            raise NerError(f"the entity at {entity['start']}:{entity['end']} has no word")
        places.append((start, end, mapped, None))
    places.sort()
    for before, after in pairwise(places):
        if after[0] < before[1]:
            raise NerError(f"the entities at {before[0]}:{before[1]} and {after[0]}:{after[1]} overlap")
    document = aligned(text, corpus.language, places)
    if not document.tokens:
        raise NerError("the text has no word")
    bounds = sentence_bounds(document)  # an entity ends in its sentence
    return replace(document, sentences=tuple(Sentence(start, end) for start, end in bounds))
