"""Adds a column of predictions to a column file of any CoNLL-like format and leaves every other byte unchanged.

Blank lines, -DOCSTART- lines and comments are copied. A line is a comment if it is one in CoNLL-U, or if it begins with
``#`` and either the file's tokens have ids or its columns are not those of a token: their number differs, tabs separate
the columns of tokens but not its own, or the file has tags but its last column is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from multiner.pipeline.config.corpora import ColumnFormat
from multiner.pipeline.core.document import Document, Span, from_words
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.iob2 import encode
from multiner.pipeline.corpora.conll import DOCUMENT_START, is_comment, split_columns
from multiner.pipeline.corpora.text import BYTE_ORDER_MARK, LINE_END, read_text, refuse_doubled_lines

_TAG = re.compile(r"O|[A-Z]-.+")
_NUMBER = re.compile(r"\d+(?:-\d+)?(?:\.\d+)?")
_NO_WORD = re.compile(r"\d+[-.]\d+")  # a range or an empty node of CoNLL-U, whose words have the ids 1, 2, …
_PART_OF_WORD = re.compile(r"\d+-\d+\.\d+")  # a part of a word in WebAnno TSV, whose words have the ids 1-1, 1-2, …
OPEN_FROM = 12  # number of columns from which on sentences may differ: CoNLL-2012 has one column per predicate


@dataclass(frozen=True)
class Line:
    """A line and its line end; for a token's line also the token, and the columns before the added one."""

    text: str
    end: str
    word: str | None = None
    columns: str = ""


@dataclass(frozen=True)
class ColumnFile:
    """A column file: its lines, and its documents, whose tokens are the words of the lines in order."""

    lines: tuple[Line, ...]
    documents: tuple[Document, ...]

    def annotated(self, spans: Sequence[Iterable[Span]]) -> str:
        """The content of the file with a last column added: the IOB2 tags of the spans of each document."""
        tags = iter(
            [
                tag
                for document, own in zip(self.documents, spans, strict=True)
                for tag in encode(own, len(document.tokens))
            ]
        )
        return "".join(
            (line.text if line.word is None else line.columns + next(tags)) + line.end for line in self.lines
        )


def read_column_file(path: Path, column: int | None = None) -> ColumnFile:
    """A column file with any columns beside that of the tokens.

    -DOCSTART- lines begin documents; in a file without them each block of lines is a document. If any line has a tab
    between columns, single tabs separate them, else runs of blanks do. CoNLL-U's multiword ranges (``1-2``) and empty
    nodes (``1.1``) and WebAnno's parts of tokens (``1-1.1``) are not tokens.

    Args:
        path: the file.
        column: the column of the tokens, from 1; None for the first, which is refused if it evidently holds ids.

    Raises:
        NerError: the file is missing, not UTF-8 or without a token; the first column holds ids; or a token's line has
            another number of columns than the first one, or no token (names the line).
    """
    pieces = LINE_END.split(read_text(path))
    raw = list(zip(pieces[::2], [*pieces[1::2], ""], strict=True))
    if raw[-1] == ("", ""):
        raw.pop()
    bare = [raw[0][0].removeprefix(BYTE_ORDER_MARK), *(text for text, _ in raw[1:])] if raw else []
    refuse_doubled_lines(bare, str(path))
    tabs = any("\t" in text.strip(" \t") for text in bare)
    form = ColumnFormat(0, "tab" if tabs else "blank", "IOB2", "block")
    rows = [split_columns(text, form) if text.strip(" \t") else [] for text in bare]
    examples = [row for row in rows if row and not row[0].startswith("#") and row[0] != DOCUMENT_START]
    examples = examples or [row for row in rows if row and row[0] != DOCUMENT_START]
    empty = NerError("no token in the file", where=str(path), remedy="A token a line, a blank line after a sentence.")
    if not examples:
        raise empty
    layout = Layout.of(examples, (column or 1) - 1, tabs)
    if layout.token >= layout.width:
        raise NerError(f"there is no column {column}: the first token's line has {layout.width}", where=str(path),
                       remedy="Name the column of the tokens: --column N.")  # fmt: skip
    if column is None:
        _refuse_ids(bare, rows, layout, path)
    lines: list[Line] = []
    for number, ((text, end), plain, row) in enumerate(zip(raw, bare, rows, strict=True), 1):
        if not layout.is_token(plain, row):
            lines.append(Line(text, end))
            continue
        row += [""] * min(layout.width - len(row), len(text) - len(text.rstrip("\t")))  # empty columns at the end
        if not layout.fits(len(row)) or not row[layout.token]:
            problem = f"found {len(row)}" if not layout.fits(len(row)) else "that of the token is empty"
            raise NerError(
                f"expected {layout.width} columns as in the file's first token, {problem}",
                where=f"{path}:{number}",
                remedy="Mend the line.",
            )
        body = text.rstrip(" \t")
        # in a tab-separated file, an editor may have turned the tabs of a line into blanks
        separator = " " if not tabs or (" " in body.strip(" ") and "\t" not in body) else "\t"
        if separator == "\t":
            body += "\t" * (len(row) - 1 - body.count("\t"))
        lines.append(Line(text, end, row[layout.token], body + separator))
    documents = tuple(_documents(lines, rows, path))
    if not documents:
        raise empty
    return ColumnFile(tuple(lines), documents)


@dataclass(frozen=True)
class Layout:
    """The layout of a column file.

    Attributes:
        width: number of columns in the first token's line.
        token: the column of the tokens, from 0.
        tagged: whether the last column holds tags.
        tabs: whether tabs separate the columns.
        skipped: ids, in the first column, of lines that hold no token; None where that column holds no ids.
    """

    width: int
    token: int
    tagged: bool
    tabs: bool
    skipped: re.Pattern[str] | None

    @classmethod
    def of(cls, rows: Sequence[Sequence[str]], token: int, tabs: bool) -> Layout:
        """The layout of a file with these rows, none of which looks like a comment."""
        skipped = None
        if token and all(_NUMBER.fullmatch(row[0]) for row in rows):
            skipped = _NO_WORD if any(row[0].isdecimal() for row in rows) else _PART_OF_WORD
        return cls(len(rows[0]), token, all(_TAG.fullmatch(row[-1]) for row in rows), tabs, skipped)

    def fits(self, width: int) -> bool:
        """Whether a token's line may have ``width`` columns."""
        return width == self.width or min(width, self.width) >= OPEN_FROM

    def is_token(self, line: str, row: Sequence[str]) -> bool:
        """Whether a line, with the columns ``row``, holds a token: not blank, -DOCSTART-, a comment or skipped."""
        if not row or row[0] == DOCUMENT_START or is_comment(line):
            return False
        if not row[0].startswith("#"):
            return self.skipped is None or not self.skipped.fullmatch(row[0])
        if self.skipped or not self.fits(len(row)):
            return False
        if self.tagged:
            return self.width == 1 or _TAG.fullmatch(row[-1]) is not None
        return not self.tabs or row[0] != "#" or "\t" in line


def _refuse_ids(lines: Sequence[str], rows: Sequence[Sequence[str]], layout: Layout, path: Path) -> None:
    """Refuse a first column of numbers, or with one value per sentence, if a later column can hold the tokens."""
    sentences: list[list[Sequence[str]]] = [[]]
    for line, row in zip(lines, rows, strict=True):
        if not row:
            sentences.append([])
        elif layout.is_token(line, row) and not row[0].startswith("#"):  # not a possible comment
            sentences[-1].append(row)

    def may_hold_tokens(column: int) -> bool:
        columns = [[row[column] for row in sentence if column < len(row)] for sentence in sentences]
        numbers = all(_NUMBER.fullmatch(cell) for cells in columns for cell in cells)
        constant = all(len(set(cells)) <= 1 for cells in columns) and any(len(cells) > 2 for cells in columns)
        return not numbers and not constant

    if layout.width == 1 or may_hold_tokens(0):
        return
    better = next((column + 1 for column in range(1, layout.width - layout.tagged) if may_hold_tokens(column)), None)
    if better:
        formats = "CoNLL-U has it in 2, WebAnno TSV in 3, CoNLL-2012 in 4"
        remedy = f"Name the column of the tokens: --column {better} ({formats}); or --column 1."
        raise NerError("the first column does not hold the tokens, but ids", where=str(path), remedy=remedy)


def _documents(lines: Sequence[Line], rows: Sequence[Sequence[str]], path: Path) -> Iterable[Document]:
    """The documents that hold a token."""
    by_block = all(not row or row[0] != DOCUMENT_START for row in rows)
    documents: list[list[tuple[int, list[str]]]] = [[]]
    in_sentence = False
    for number, (line, row) in enumerate(zip(lines, rows, strict=True), 1):
        if line.word is None:
            starts = bool(row) and row[0] == DOCUMENT_START
            if starts:
                documents.append([])
            in_sentence = in_sentence and bool(row) and not starts  # a comment within a sentence does not end it
            continue
        if not in_sentence:
            if by_block:
                documents.append([])
            documents[-1].append((number, []))
            in_sentence = True
        documents[-1][-1][1].append(line.word)
    for number, sentences in enumerate((each for each in documents if each), 1):
        words, starts_at = [words for _, words in sentences], [line for line, _ in sentences]
        yield from_words(f"{path.name}/{number}", words, lines=starts_at, source=str(path))
