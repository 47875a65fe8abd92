"""Reads column files: one token per line, its tag in the last column, a blank line between sentences.

CoNLL-2003, WNUT17 and files of the same layout can be read. Tolerated: CRLF, a byte order mark, a missing final
newline, tabs in place of blanks and blanks in place of tabs, blanks in blank lines, CoNLL-U's comments. Refused with
file and line: a missing or surplus column, an unknown type, a tag that the scheme forbids.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from multiner.pipeline.config.corpora import ColumnFormat
from multiner.pipeline.config.type_maps import TypeMap
from multiner.pipeline.core.document import Document, Span, from_words
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora.text import code_points, map_type, read_lines, refuse_doubled_lines

DOCUMENT_START = "-DOCSTART-"
_TAG = re.compile(r"([BI])-(.+)")
_COMMENT = re.compile(r"# +(?:(?:newdoc|newpar)\b|\S+ = )")


@dataclass
class _Sentence:
    """A sentence: its first line, its words and their tags."""

    line: int
    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)


def is_comment(line: str) -> bool:
    """Whether a line is a comment as CoNLL-U defines it: ``# name = value``, ``# newdoc`` or ``# newpar``."""
    return _COMMENT.match(line) is not None


def split_columns(line: str, form: ColumnFormat) -> list[str]:
    """The columns of a token's line.

    In a tab-separated file a line without a tab is split at its blanks, since some editors turn tabs into blanks.
    """
    if form.separator == "tab" and "\t" in line:
        return [column.strip(" ") for column in line.rstrip(" \t").split("\t")]
    return re.split(r"[ \t]+", line.strip(" \t"))


def read_tags(tags: Sequence[str], scheme: str, types: TypeMap, file: str, line: int) -> list[Span]:
    """The spans of one sentence.

    Args:
        tags: one tag per token, with the corpus's types.
        scheme: IOB1 or IOB2. In IOB1 a B- is accepted where I- would do.
        types: map from the corpus's types to the pipeline's; types that map to None give no span.
        file, line: the file, as errors name it, and the line of the first tag.

    Raises:
        NerError: an illegal tag, an unknown type, or in IOB2 an I- that continues nothing.
    """
    spans: list[Span] = []
    start, type_ = 0, ""
    for index, tag in enumerate([*tags, "O"]):
        where = f"{file}:{line + index}"
        match = _TAG.fullmatch(tag)
        if match is None and tag != "O":
            raise NerError(
                f"illegal tag {tag!r}{code_points(tag)}",
                where=where,
                remedy="A tag is O, B-TYPE or I-TYPE. Mend the line.",
            )
        prefix, name = match.groups() if match else ("O", "")
        continues = prefix == "I" and name == type_
        if prefix == "I" and not continues and scheme == "IOB2":
            before = tags[index - 1] if index else "nothing"
            raise NerError(
                f"{tag} follows {before}{code_points(before + tag)}, which IOB2 forbids",
                where=where,
                remedy=f"Write B-{name} where the entity begins, or declare the corpus as IOB1.",
            )
        if continues:
            continue
        if type_ and (label := types[type_]):
            spans.append(Span(start, index, label))
        if name:
            map_type(name, types, where)
        start, type_ = index, name
    return spans


def _sentences(lines: Sequence[str], form: ColumnFormat, file: str) -> list[list[_Sentence]]:
    """The documents that hold a sentence, as lists of sentences."""
    refuse_doubled_lines(lines, file)
    rows = [split_columns(line, form) for line in lines]
    by_block = form.documents == "block" and all(columns[0] != DOCUMENT_START for columns in rows)
    documents: list[list[_Sentence]] = [[]]
    current: _Sentence | None = None
    for number, (line, columns) in enumerate(zip(lines, rows, strict=True), 1):
        if is_comment(line):
            continue
        if not line.strip(" \t"):
            current = None
            continue
        if columns[0] == DOCUMENT_START:
            documents.append([])
            current = None
            continue
        if len(columns) != form.columns or not all(columns):
            problem = "the token is empty" if not columns[0] else f"found {len(columns)}"
            raise NerError(
                f"expected {form.columns} columns, {problem}", where=f"{file}:{number}", remedy="Mend the line."
            )
        if current is None:
            current = _Sentence(number)
            if by_block:
                documents.append([])
            documents[-1].append(current)
        current.words.append(columns[0])
        current.tags.append(columns[-1])
    return [sentences for sentences in documents if sentences]


def cut_signs(words: Sequence[str], spans: Sequence[Span], signs: str) -> tuple[list[str], list[Span]]:
    """Words whose first character, one of ``signs``, is a word of its own, and the spans of these words.

    A span does not begin with such a sign: of ``#Kells`` the name is ``Kells``. Signs before no letter or digit stay.
    """
    cut: list[str] = []
    starts: list[int] = []  # where each word begins, without the sign
    for word in words:
        if signs and word[0] in signs and word[1:2].isalnum():
            cut.append(word[0])
            word = word[1:]
        starts.append(len(cut))
        cut.append(word)
    return cut, [Span(starts[span.start], starts[span.end - 1] + 1, span.label) for span in spans]


def read_columns(
    path: Path, form: ColumnFormat, types: TypeMap, *, corpus: str = "", split: str = "", source: str = ""
) -> list[Document]:
    """The documents of a column file, with ids ``<corpus>/<split>/<number>``, in the order of the file.

    A -DOCSTART- without sentences gives no document; sentences before the first -DOCSTART- are a document. ``source``
    is the documents' name for the file, by default its path.

    Raises:
        NerError: the file is missing, malformed or without a sentence.
    """
    file = str(path)
    documents = _sentences(read_lines(path), form, file)
    if not documents:
        remedy = "Write one token per line, and a blank line after each sentence."
        raise NerError("no sentence in the file", where=file, remedy=remedy)
    width = 4 if form.documents == "docstart" else 5
    return [
        _document(f"{corpus}/{split}/{number:0{width}d}", sentences, form, types, file, (corpus, split, source or file))
        for number, sentences in enumerate(documents, 1)
    ]


def _document(
    id: str, sentences: list[_Sentence], form: ColumnFormat, types: TypeMap, file: str, origin: tuple[str, str, str]
) -> Document:
    """One document; ``origin`` is corpus, split and source."""
    spans: list[Span] = []
    offset = 0
    words: list[list[str]] = []
    for sentence in sentences:
        own = read_tags(sentence.tags, form.scheme, types, file, sentence.line)
        cut, own = cut_signs(sentence.words, own, form.cut)
        spans += [Span(span.start + offset, span.end + offset, span.label) for span in own]
        offset += len(cut)
        words.append(cut)
    corpus, split, source = origin
    lines = [sentence.line for sentence in sentences]
    return from_words(id, words, spans, lines=lines, corpus=corpus, split=split, source=source)
