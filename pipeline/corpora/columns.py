"""Column files as they stand, byte for byte, with a further column: for predictions in whatever CoNLL-like format.

Blank lines, -DOCSTART- lines and comments stay as they are. A comment begins with ``#``, and its columns are not those
of a token: another number of them, or, where the file carries tags, no tag in the last one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.bio import encode
from pipeline.corpora.conll import DOCUMENT_START, ColumnFormat, split_columns
from pipeline.corpora.text import BYTE_ORDER_MARK, read_text
from pipeline.document import Document, Span, from_words
from pipeline.errors import NerError

_END = re.compile(r"(\r\n|\n|\r)")
_TAG = re.compile(r"O|[A-Z]-.+")


@dataclass(frozen=True)
class Line:
    """A line with what ends it; ``word`` is None where it is no token's."""

    text: str
    end: str
    word: str | None = None


@dataclass(frozen=True)
class ColumnFile:
    """A column file: its lines, and its documents, whose tokens are the lines with a word, in order."""

    lines: tuple[Line, ...]
    documents: tuple[Document, ...]
    separator: str

    def annotated(self, spans: Sequence[Iterable[Span]]) -> str:
        """The file with a further last column, the IOB2 tags of ``spans`` (a list of spans for each document)."""
        tags = iter(
            [
                tag
                for document, found in zip(self.documents, spans, strict=True)
                for tag in encode(found, len(document.tokens))
            ]
        )
        return "".join(
            line.text + line.end if line.word is None else self._tagged(line, next(tags)) for line in self.lines
        )

    def _tagged(self, line: Line, tag: str) -> str:
        text = line.text.rstrip(" \t")
        # a line of a tab-separated file that an editor has left without tabs is read by its blanks
        blank = self.separator == " " or (" " in text.strip(" ") and "\t" not in text)
        return f"{text}{' ' if blank else self.separator}{tag}{line.end}"


def read_column_file(path: Path) -> ColumnFile:
    """A column file with the token in its first column, whatever columns follow.

    -DOCSTART- lines begin documents; in a file without them each block of lines is one.

    Raises:
        NerError: the file is missing, not UTF-8 or without a token, or a line has more or fewer columns than the
            first token's (names the line).
    """
    pieces = _END.split(read_text(path))
    raw = list(zip(pieces[::2], [*pieces[1::2], ""], strict=True))
    if raw[-1] == ("", ""):
        raw.pop()
    bare = [raw[0][0].removeprefix(BYTE_ORDER_MARK), *(text for text, _ in raw[1:])] if raw else []
    form = ColumnFormat(0, "tab" if any("\t" in text for text in bare) else "blank", "IOB2", "block")
    rows = [split_columns(text, form) if text.strip(" \t") else [] for text in bare]
    certain = [row for row in rows if row and not row[0].startswith("#") and row[0] != DOCUMENT_START]
    certain = certain or [row for row in rows if row and row[0] != DOCUMENT_START]
    if not certain:
        raise NerError("no token in the file", where=str(path), remedy="A token a line, a blank line after a sentence.")
    width = len(certain[0])
    tagged = width > 1 and all(_TAG.fullmatch(row[-1]) for row in certain)
    lines: list[Line] = []
    for number, ((text, end), row) in enumerate(zip(raw, rows, strict=True), 1):
        word = row[0] if row and row[0] != DOCUMENT_START and not _is_comment(row, width, tagged) else None
        if word is not None and (len(row) != width or not all(row)):
            found = "an empty one" if len(row) == width else f"found {len(row)}"
            raise NerError(
                f"expected {width} columns as in the file's first token, {found}",
                where=f"{path}:{number}",
                remedy="Mend the line.",
            )
        lines.append(Line(text, end, word))
    return ColumnFile(tuple(lines), tuple(_documents(lines, rows, path)), "\t" if form.separator == "tab" else " ")


def _is_comment(row: Sequence[str], width: int, tagged: bool) -> bool:
    return row[0].startswith("#") and (len(row) != width or (tagged and not _TAG.fullmatch(row[-1])))


def _documents(lines: Sequence[Line], rows: Sequence[Sequence[str]], path: Path) -> Iterable[Document]:
    """Documents of sentences, none of them empty."""
    by_block = all(not row or row[0] != DOCUMENT_START for row in rows)
    documents: list[list[tuple[int, list[str]]]] = [[]]
    goes_on = False
    for number, (line, row) in enumerate(zip(lines, rows, strict=True), 1):
        if line.word is None:
            starts = bool(row) and row[0] == DOCUMENT_START
            if starts:
                documents.append([])
            goes_on = goes_on and bool(row) and not starts  # a comment within a sentence does not end it
            continue
        if not goes_on:
            if by_block:
                documents.append([])
            documents[-1].append((number, []))
            goes_on = True
        documents[-1][-1][1].append(line.word)
    for number, sentences in enumerate((each for each in documents if each), 1):
        words, starts_at = [words for _, words in sentences], [line for line, _ in sentences]
        yield from_words(f"{path.name}/{number}", words, lines=starts_at, source=str(path))
