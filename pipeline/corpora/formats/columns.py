"""Column files (CoNLL): a token a line, a blank line after a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from multiner.pipeline.config.corpora import ColumnFormat
from multiner.pipeline.core.document import Document, Span, from_words
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora.conll import DOCUMENT_START, is_comment, split_columns
from multiner.pipeline.corpora.formats.source import Losses, Source, cell, encoded, sentence_bounds
from multiner.pipeline.corpora.formats.tag_schemes import AUTO, decode, encode, scheme_of
from multiner.pipeline.corpora.text import refuse_doubled_lines

Separator = Literal["auto", "tab", "blank"]


@dataclass
class _Sentence:
    """A sentence: the lines of its tokens, its words and their tags."""

    lines: list[int] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)


def read(
    source: Source,
    *,
    token_column: int = 1,
    label_column: int = -1,
    separator: Separator = "auto",
    encoding: str = "utf-8",
    scheme: str = AUTO,
    document_mark: str = DOCUMENT_START,
    comments: bool = False,
) -> list[Document]:
    """The documents of a column file; words are joined by a blank, sentences by a line break.

    Args:
        source: the file.
        token_column, label_column: from 1, or from -1 at the end of the line.
        separator: ``tab``: a single tab; ``blank``: blanks and tabs; ``auto``: tab if a line has one.
        encoding: of the file.
        scheme: of the tags; ``auto``: BIO, BIOES, BILOU or IO, as the letters show. IOB1 must be named.
        document_mark: the first column of a line that begins a document; empty: the file is one document. In a file
            without such lines each block of lines is a document.
        comments: whether all lines that begin with ``#`` are comments, not only those of CoNLL-U's form.

    Raises:
        NerError: the file is malformed or without a token (names the line).
    """
    lines = source.lines(encoding)
    refuse_doubled_lines(lines, source.name)
    if separator not in ("auto", "tab", "blank"):
        raise NerError(f"unknown separator {separator!r}", remedy="Choose one of: auto, tab, blank.")
    tabs = separator == "tab" or (separator == "auto" and any("\t" in line.strip() for line in lines))
    documents = [_parts(rows) for rows in _documents(lines, tabs, document_mark, comments)]
    documents = [sentences for sentences in documents if sentences]
    if not documents:
        remedy = "Write one token per line, and a blank line after each sentence."
        raise NerError("no sentence in the file", where=source.name, remedy=remedy)
    width = len(documents[0][0][0][1])
    columns = [_column(each, width, source.name) for each in (token_column, label_column)]
    if columns[0] == columns[1]:
        raise NerError(f"column {columns[0] + 1} would be the token's and the label's", where=source.name,
                       remedy="Name the columns by token_column and label_column, or the separator.")  # fmt: skip
    contents = [[_sentence(rows, width, columns, source.name) for rows in sentences] for sentences in documents]
    try:
        scheme = scheme_of(scheme, (tag for sentences in contents for each in sentences for tag in each.tags))
    except NerError as error:
        raise NerError(error.message, where=source.name, remedy=error.remedy) from None
    return [_document(sentences, scheme, source) for sentences in contents]


Row = tuple[int, list[str]]
"""The number of a line, and its columns: none for a blank line."""


def _documents(lines: Sequence[str], tabs: bool, mark: str, comments: bool) -> Iterator[list[Row]]:
    """The rows of each document."""
    form = ColumnFormat(0, "tab" if tabs else "blank", "IOB2", "block")
    rows: list[Row] = []
    for number, line in enumerate(lines, 1):
        if not (is_comment(line) or (comments and line.startswith("#"))):
            rows.append((number, split_columns(line, form) if line.strip(" \t") else []))
    starts = [index for index, (_, columns) in enumerate(rows) if mark and columns and columns[0] == mark]
    if mark and not starts:
        yield from _parts(rows)
        return
    for start, end in pairwise(sorted({0, *starts, len(rows)})):
        yield rows[start + (start in starts) : end]


def _parts(rows: Iterable[Row]) -> list[list[Row]]:
    """The rows of each sentence."""
    sentences: list[list[Row]] = [[]]
    for row in rows:
        if row[1]:
            sentences[-1].append(row)
        elif sentences[-1]:
            sentences.append([])
    return [each for each in sentences if each]


def _column(number: int, width: int, file: str) -> int:
    """The index of a column by its number."""
    if not 0 < abs(number) <= width:
        raise NerError(
            f"there is no column {number}: the first token's line has {width}",
            where=file,
            remedy="Name the columns by token_column and label_column (-1: the last one), or the separator.",
        )
    return number - 1 if number > 0 else width + number


def _sentence(rows: Sequence[Row], width: int, columns: Sequence[int], file: str) -> _Sentence:
    sentence = _Sentence()
    for number, row in rows:
        if len(row) != width or not all(row[column] for column in columns):
            problem = f"found {len(row)}" if len(row) != width else "that of the token or of the label is empty"
            raise NerError(f"expected {width} columns, {problem}", where=f"{file}:{number}",
                           remedy="Mend the line; if lines with # are comments, set comments=true.")  # fmt: skip
        sentence.lines.append(number)
        sentence.words.append(row[columns[0]])
        sentence.tags.append(row[columns[1]])
    return sentence


def _document(sentences: Sequence[_Sentence], scheme: str, source: Source) -> Document:
    spans: list[Span] = []
    offset = 0
    for sentence in sentences:
        places = [f"{source.name}:{line}" for line in (*sentence.lines, sentence.lines[-1])]
        for span in decode(sentence.tags, scheme, places.__getitem__):
            place = Span(span.start + offset, span.end + offset, span.label)
            spans += source.spans([place], places[span.start])
        offset += len(sentence.words)
    words = [sentence.words for sentence in sentences]
    return from_words("", words, spans, lines=[sentence.lines[0] for sentence in sentences], source=source.name)


def write(
    documents: Iterable[Document],
    losses: Losses,
    *,
    separator: Literal["tab", "blank"] = "tab",
    encoding: str = "utf-8",
    scheme: str = "BIO",
    document_mark: str = DOCUMENT_START,
) -> bytes:
    """The content of a column file: token and tag on each line, and a line with the mark before each document.

    Args:
        documents: the documents.
        losses: collects what the file cannot hold.
        separator: between token and tag: ``tab``, or ``blank``, which no token may hold then.
        encoding: of the file.
        scheme: of the tags.
        document_mark: the first column of the line before a document; empty: none is written.

    Raises:
        NerError: a token or a type cannot be written, or the encoding has not its characters.
    """
    scheme = scheme_of(scheme, ())
    sign = {"tab": "\t", "blank": " "}.get(separator)
    if sign is None:
        raise NerError(f"unknown separator {separator!r}", remedy="Choose one of: tab, blank.")
    lines: list[str] = []
    for document in documents:
        if not document.tokens:
            losses.add("documents without a token")
            continue
        words = document.words()
        if scheme == "IO":
            losses.add("borders between neighbouring entities of one type", touching(document))
        tags = encode(document.spans, len(words), scheme)
        bounds = sentence_bounds(document)
        joined = "\n".join(" ".join(words[start:end]) for start, end in bounds)
        losses.add("the texts' own blanks, in documents", int(joined != document.text))
        if document_mark:
            lines += [f"{document_mark}{sign}O", ""]
        for start, end in bounds:
            for word, tag in zip(words[start:end], tags[start:end], strict=True):
                lines.append(f"{_token(word, sign, document_mark)}{sign}{cell(tag, sign)}")
            lines.append("")
    return encoded("".join(f"{line}\n" for line in lines), encoding)


def touching(document: Document) -> int:
    """The number of spans that begin where one of the same type ends."""
    return sum(before.end == after.start and before.label == after.label for before, after in pairwise(document.spans))


def _token(word: str, sign: str, mark: str) -> str:
    """A token as it stands in a column."""
    if word == mark:
        raise NerError(f"the token {word!r} is the mark of documents", remedy="Choose another document_mark.")
    if is_comment(word):
        raise NerError(f"the token {word!r} would be a comment", remedy="Split the token.")
    return cell(word, sign)
