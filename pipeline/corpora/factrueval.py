"""Reads factRuEval-2016: stand-off annotation in four files per document, turned into flat spans.

``.txt`` holds the text. The other files have lines of columns: ``.tokens`` id, offset, length and text, with a blank
line between sentences; ``.spans`` id, type, offset, length, first token and count; ``.objects`` id, type and the ids of
the object's spans. Offsets are code points into the text.

Two conventions turn an object into one span, from the first to the last token of its parts:

- ``object``: all of its spans;
- ``name``: a location's ``loc_name`` and an organisation's ``org_name`` spans, a person's all; an object without a
  name is dropped.

:mod:`multiner.pipeline.corpora.flat_spans` resolves nested and overlapping objects, and counts those that it drops.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

from multiner.pipeline.config.type_maps import FACTRUEVAL, FACTRUEVAL_NAMES, FACTRUEVAL_SPANS
from multiner.pipeline.core.document import Document, Sentence, Span, Token
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import is_system_file
from multiner.pipeline.corpora.flat_spans import Resolution, resolve
from multiner.pipeline.corpora.text import BYTE_ORDER_MARK, code_points, map_type, normalise, read_lines, read_text

Convention = Literal["name", "object"]
SUFFIXES = (".txt", ".tokens", ".spans", ".objects")
_Part = tuple[str, int, int]
_MARKS = (".tokens", ".spans", ".objects", ".coref", ".facts")


def _fields(line: str, least: int, what: str, where: str) -> list[str]:
    """The blank-separated fields of a line before its comment."""
    fields = line.partition("#")[0].split()
    if len(fields) < least:
        raise NerError(f"a column is missing: expected {what}", where=where, remedy="Mend the line.")
    return fields


def _number(text: str, what: str, where: str) -> int:
    """A whole number that is not negative."""
    if not (text.isascii() and text.isdigit()):
        raise NerError(f"{what} is not a number: {text!r}{code_points(text)}", where=where, remedy="Mend the line.")
    return int(text)


@dataclass(frozen=True)
class AnnotatedObject:
    """An object with its type in the corpus; ``parts`` are (span type, first token, last token + 1)."""

    type: str
    parts: tuple[_Part, ...]


@dataclass(frozen=True)
class _Token:
    """A line of ``.tokens``."""

    id: str
    start: int
    end: int
    word: str
    where: str


def _read_tokens(path: Path) -> tuple[list[_Token], list[Sentence]]:
    """The tokens, and the sentences, which blank lines separate."""
    tokens: list[_Token] = []
    starts: list[tuple[int, int]] = []
    ids: set[str] = set()
    begins = True
    for number, line in enumerate(read_lines(path), 1):
        where = f"{path}:{number}"
        if not line.strip():
            begins = True
            continue
        columns = line.replace("\t", " ").strip(" ").split(" ", 3)
        if len(columns) < 4 or not all(columns):
            raise NerError(
                "a column is missing: expected id, offset, length and text", where=where, remedy="Mend the line."
            )
        start = _number(columns[1], "the offset", where)
        end = start + _number(columns[2], "the length", where)
        if columns[0] in ids:
            raise NerError(f"token id {columns[0]} stands twice", where=where, remedy="Mend the line.")
        if tokens and start < tokens[-1].end:
            raise NerError("the token begins before the one above it ends", where=where, remedy="Mend the offsets.")
        if begins:
            starts.append((len(tokens), number))
            begins = False
        ids.add(columns[0])
        tokens.append(_Token(columns[0], start, end, columns[3], where))
    if not tokens:
        remedy = "Write one token per line: id, offset, length and text."
        raise NerError("no token in the file", where=str(path), remedy=remedy)
    bounds = [*starts, (len(tokens), 0)]
    return tokens, [Sentence(first, last, line) for (first, line), (last, _) in pairwise(bounds)]


def _matching_text(raw: str, tokens: list[_Token]) -> str:
    """The form of the text that fits the tokens' offsets.

    The published texts have bare line feeds and no byte order mark. A checkout may have added carriage returns or a
    mark, and the offsets may belong to the published form or to the new one: the form that fits every token is taken.
    """
    bare = raw.removeprefix(BYTE_ORDER_MARK)
    candidates = list(dict.fromkeys([raw, bare, raw.replace("\r\n", "\n"), normalise(raw)]))
    for text in candidates:
        misfits = [one for one in tokens if one.end > len(text) or text[one.start : one.end] != one.word]
        if not misfits:
            return text
    bad = misfits[0]
    raise NerError(
        f"offsets {bad.start}:{bad.end} hold {text[bad.start : bad.end]!r} in the text, not {bad.word!r}",
        where=bad.where,
        remedy="The .txt and the .tokens are not of one version.",
    )


def _read_spans(path: Path, tokens: list[_Token]) -> dict[str, _Part]:
    """Type and token range of each span, by id.

    Ten published spans have two lines with different types (``org_name`` and ``loc_name``); the last one counts, as in
    figures that others have published.
    """
    position = {token.id: index for index, token in enumerate(tokens)}
    spans: dict[str, _Part] = {}
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        id, type_, *numbers = _fields(line, 6, "id, type, offset, length, first token and count", where)[:6]
        if type_ not in FACTRUEVAL_SPANS:
            raise NerError(
                f"unknown span type {type_!r}{code_points(type_)}",
                where=where,
                remedy=f"Known are: {', '.join(sorted(FACTRUEVAL_SPANS))}. Mend the line.",
            )
        start = _number(numbers[0], "the offset", where)
        end = start + _number(numbers[1], "the length", where)
        first = last = position.get(numbers[2], -1)
        # The count column is not used: it leaves out foreign words within a name.
        while 0 <= last < len(tokens) and tokens[last].end < end:
            last += 1
        if not 0 <= last < len(tokens) or (tokens[first].start, tokens[last].end) != (start, end):
            raise NerError(
                f"offsets {start}:{end} do not match the tokens from {numbers[2]} on",
                where=where,
                remedy="The .spans and the .tokens are not of one version.",
            )
        part = (type_, first, last + 1)
        if spans.get(id, part)[1:] != part[1:]:
            raise NerError(f"span id {id} stands twice, with different offsets", where=where, remedy="Mend the line.")
        spans[id] = part
    return spans


def _objects(path: Path, spans: Mapping[str, _Part]) -> Iterator[AnnotatedObject]:
    """Each object with its parts, in the order of the file."""
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        id, type_, *parts = _fields(line, 3, "id, type and the ids of spans", where)
        map_type(type_, FACTRUEVAL, where)
        if missing := [part for part in parts if part not in spans]:
            raise NerError(
                f"object {id} names the span {missing[0]}, which the .spans lack",
                where=where,
                remedy="The .objects and the .spans are not of one version.",
            )
        yield AnnotatedObject(type_, tuple(spans[part] for part in parts))


def _read_objects(path: Path, spans: Mapping[str, _Part], convention: Convention) -> tuple[list[Span], Resolution]:
    """A span for each object, in the order of the file, and the counts of objects that give none."""
    candidates: list[Span] = []
    nameless = unmapped = 0
    for each in _objects(path, spans):
        label = FACTRUEVAL[each.type]
        if label is None:
            unmapped += 1
            continue
        name_type = FACTRUEVAL_NAMES.get(label) if convention == "name" else None
        ranges = [(first, last) for type_, first, last in each.parts if name_type is None or type_ == name_type]
        if ranges:
            candidates.append(Span(min(one for one, _ in ranges), max(one for _, one in ranges), label))
        else:
            nameless += 1
    return candidates, Resolution(nameless=nameless, unmapped=unmapped)


def read_tokenised(stem: Path) -> tuple[Document, list[str]]:
    """The document of ``<stem>.txt`` and ``.tokens``, without spans, and the id of each token."""
    document, tokens = _read_unannotated(stem)
    return document, [token.id for token in tokens]


def _read_unannotated(
    stem: Path, id: str = "", corpus: str = "", split: str = "", source: str = ""
) -> tuple[Document, list[_Token]]:
    text_file, tokens_file = (stem.with_name(stem.name + suffix) for suffix in SUFFIXES[:2])
    tokens, sentences = _read_tokens(tokens_file)
    document = Document(
        id=id or stem.name,
        text=_matching_text(read_text(text_file), tokens),
        tokens=tuple(Token(token.start, token.end) for token in tokens),
        sentences=tuple(sentences),
        corpus=corpus,
        split=split,
        source=source or str(tokens_file),
    )
    return document, tokens


def read_document(
    stem: Path, convention: Convention, *, id: str = "", corpus: str = "", split: str = "", source: str = ""
) -> tuple[Document, Resolution]:
    """The document of ``<stem>.txt``, ``.tokens``, ``.spans`` and ``.objects``, and the counts of its objects.

    Args:
        stem: path of the files without their suffix.
        convention: ``name`` or ``object``.
        id: by default the name of the stem.
        source: the document's name for the ``.tokens`` file; its path by default.

    Raises:
        NerError: a file is missing or malformed, the files contradict each other, or an entity crosses the border of
            a sentence.
    """
    files = [stem.with_name(stem.name + suffix) for suffix in SUFFIXES]
    for file in files:
        if not file.is_file():
            raise NerError(f"file is missing: a document has all of {', '.join(SUFFIXES)}", where=str(file))
    *_, spans_file, objects_file = files
    document, tokens = _read_unannotated(stem, id, corpus, split, source)
    candidates, dropped = _read_objects(objects_file, _read_spans(spans_file, tokens), convention)
    spans, resolution = resolve(candidates)
    borders = {sentence.start for sentence in document.sentences}
    for span in spans:
        if cut := next((index for index in range(span.start + 1, span.end) if index in borders), None):
            raise NerError(
                f"a blank line above this token cuts an entity of type {span.label}",
                where=tokens[cut].where,
                remedy="Remove the blank line, or mend the object.",
            )
    return document.with_spans(spans), resolution + dropped


def annotated_objects(stem: Path) -> list[AnnotatedObject]:
    """All annotated objects of a document (nested, overlapping and nameless ones, too), in the order of the file."""
    tokens_file, spans_file, objects_file = (stem.with_name(stem.name + suffix) for suffix in SUFFIXES[1:])
    tokens, _ = _read_tokens(tokens_file)
    return list(_objects(objects_file, _read_spans(spans_file, tokens)))


def document_stems(folder: Path) -> list[Path]:
    """The stems of a folder's documents, sorted by name.

    A document has at least one annotation file: a ``.txt`` alone (the published ``list.txt``) is no document. Files
    that an operating system adds are ignored.

    Raises:
        NerError: the folder is missing or holds no document.
    """
    stems = {
        file.with_suffix("") for suffix in _MARKS for file in folder.glob(f"*{suffix}") if not is_system_file(file)
    }
    if not stems:
        remedy = "A document needs a .txt and a .tokens file of one name, as in factRuEval-2016."
        raise NerError("no document in the folder", where=str(folder), remedy=remedy)
    return sorted(stems)
