"""WebAnno TSV 3, which WebAnno and INCEpTION export: a file for each document.

The offsets count UTF-16 units, as INCEpTION's do; in a file whose tokens fit code points only, they count these. The
text between sentences is not in the file: a line break stands for it, and blanks where it is longer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from multiner.pipeline.core.document import Document, Sentence, Token
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora.formats.source import Losses, Source, cell, encoded, gaps, sentence_bounds

LAYER = "de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity"
_ROW = re.compile(r"(\d{1,9})-(\d{1,9})(\.\d{1,9})?")
_OFFSETS = re.compile(r"(\d{1,9})-(\d{1,9})")
_LONGEST_GAP = 1_000_000  # units between sentences: a text longer than this has none
_STACKED = re.compile(r"(?:\\.|[^|\\])+", re.DOTALL)
_VALUE = re.compile(r"((?:\\.|[^\\])*?)(?:\[(\d+)\])?", re.DOTALL)
_TEXT_ESCAPES = {"\t": "t", "\f": "f", "\r": "r", "\b": "b", "\\": "\\"}
_TEXT_SIGNS = {escape: sign for sign, escape in _TEXT_ESCAPES.items()} | {"n": "\n"}


@dataclass
class _Row:
    """A token, or a part of one, with the columns of the layers."""

    line: int
    start: int
    end: int
    form: str
    part: bool
    columns: list[str]


@dataclass
class _Sentence:
    text: str
    rows: list[_Row]


def read(source: Source, *, layer: str = "", feature: str = "value") -> list[Document]:
    """The document of a WebAnno TSV file.

    Args:
        source: the file.
        layer: name of the span layer with the entities, or its last part; empty: NamedEntity, or the only span layer.
        feature: of the layer, with the entity's type.

    Raises:
        NerError: the file is malformed, or has no such layer or feature (names the line).
    """
    lines = source.lines()
    if not lines or not re.match(r"#FORMAT=WebAnno TSV 3\.\d", lines[0]):
        raise NerError("no WebAnno TSV 3", where=f"{source.name}:1", remedy="Export the document as WebAnno TSV v3.")
    column = _column([line for line in lines if line.startswith("#T_")], layer, feature, source.name)
    sentences = _sentences(lines, source.name)
    try:
        return [_document(sentences, column, source, lambda sign: 1 + (sign > "\uffff"))]
    except NerError as error:
        try:
            return [_document(sentences, column, source, lambda _: 1)]
        except NerError:
            raise error from None


def _column(headers: Sequence[str], layer: str, feature: str, file: str) -> int:
    """The index of the entities' column among those of the layers."""
    places: dict[str, tuple[int, list[str]]] = {}
    at = 0
    for header in headers:
        name, *features = header.partition("=")[2].split("|")
        if header.startswith("#T_SP="):
            places[name] = at, features
        at += max(1, len(features))
    wanted = layer or (LAYER if LAYER in places else "")
    names = [name for name in places if not wanted or name == wanted or name.rpartition(".")[2] == wanted]
    if len(names) != 1:
        choices = ", ".join(places) or "none"
        raise NerError(
            f"which layer has the entities? Span layers: {choices}", where=file, remedy="Name it: layer=NAME."
        )
    start, features = places[names[0]]
    if feature not in features:
        choices = ", ".join(filter(None, features)) or "none"
        raise NerError(f"the layer {names[0]} has no feature {feature!r}", where=file,
                       remedy=f"Name it: feature=NAME. It has: {choices}.")  # fmt: skip
    return start + features.index(feature)


def _sentences(lines: Sequence[str], file: str) -> list[_Sentence]:
    sentences: list[_Sentence] = []
    for number, line in enumerate(lines, 1):
        if line.startswith("#Text="):
            text = _unescaped(line.removeprefix("#Text="), _TEXT_SIGNS)
            if sentences and not sentences[-1].rows:
                sentences[-1].text += f"\n{text}"
            else:
                sentences.append(_Sentence(text, []))
        elif line.strip() and not line.startswith("#"):
            id, offsets, *rest = (*line.split("\t"), "", "")
            row, place = _ROW.fullmatch(id), _OFFSETS.fullmatch(offsets)
            if not row or not place or not rest[0] or not sentences:
                raise NerError("no token: a line has an id, offsets and the token", where=f"{file}:{number}",
                               remedy="Mend the line, or export the document anew.")  # fmt: skip
            sentences[-1].rows.append(_Row(number, int(place[1]), int(place[2]), rest[0], bool(row[3]), rest[1:-2]))
    sentences = [each for each in sentences if each.rows]
    return sentences


def _document(sentences: Sequence[_Sentence], column: int, source: Source, units: Callable[[str], int]) -> Document:
    """The document; ``units`` gives by how much a character moves the offsets."""
    text, length = "", 0
    for sentence in sentences:
        lead = len(sentence.text) - len(sentence.text.lstrip()) if sentence.rows[0].form.strip() else 0
        gap = sentence.rows[0].start - lead - length
        if not 0 <= gap <= _LONGEST_GAP:
            problem = "overlaps the one before" if gap < 0 else f"begins {gap:,} characters after the one before"
            raise NerError(f"the sentence {problem}", where=f"{source.name}:{sentence.rows[0].line}",
                           remedy="Mend the offsets.")  # fmt: skip
        text += _filling(gap, bool(text)) + sentence.text
        length += gap + sum(map(units, sentence.text))
    index = {offset: at for at, offset in enumerate(accumulate(map(units, text), initial=0))}
    tokens: list[Token] = []
    bounds: list[Sentence] = []
    pieces: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for sentence in sentences:
        first = len(tokens)
        for row in sentence.rows:
            where = f"{source.name}:{row.line}"
            start, end = index.get(row.start, -1), index.get(row.end, -1)
            if text[max(start, 0) : max(end, 0)] != row.form or not row.form:
                raise NerError(f"the token {row.form!r} is not at {row.start}-{row.end} of the text", where=where,
                               remedy="Mend the offsets, or the line #Text= of the sentence.")  # fmt: skip
            if not row.part and row.form.strip():
                tokens.append(Token(start, end))
            if column >= len(row.columns):
                raise NerError(f"expected at least {column + 4} columns", where=where, remedy="Mend the line.")
            for at, (label, id) in enumerate(_values(row.columns[column])):
                source.label(label, where)
                key = id or f"{row.line}:{at}"
                pieces.setdefault((key, label), []).append((start, end))
        bounds.append(Sentence(first, len(tokens), sentence.rows[0].line))
    entities = [(min(starts)[0], max(end for _, end in starts), label, None) for (_, label), starts in pieces.items()]
    plain = Document("", text, tuple(tokens), tuple(each for each in bounds if each.start < each.end))
    id = source.path.stem if source.path else ""
    return source.document(text, entities, id=id, where=source.name, plain=plain)


def _filling(gap: int, between: bool) -> str:
    """The text of so many units before a sentence."""
    return ("\n" + " " * (gap - 1) if between else " " * gap) if gap else ""


def _values(field: str) -> list[tuple[str, str]]:
    """The stacked values of a field with their ids; values that are empty are left out."""
    if field in ("_", ""):
        return []
    matches = [_VALUE.fullmatch(value) for value in _STACKED.findall(field)]
    return [
        (_unescaped(match[1], {"t": "\t", "n": "\n"}), match[2] or "") for match in matches if match and match[1] != "*"
    ]


def _unescaped(text: str, signs: dict[str, str]) -> str:
    return re.sub(r"\\(.)", lambda match: signs.get(match[1], match[1]), text, flags=re.DOTALL)


def write(document: Document, losses: Losses) -> dict[str, bytes]:
    """The file of a document, with the layer NamedEntity of DKPro.

    Raises:
        NerError: a token holds a tab or a line break.
    """
    units = list(accumulate((1 + (sign > "\uffff") for sign in document.text), initial=0))
    bounds, blanks, words = sentence_bounds(document), gaps(document), document.words()
    labels: list[list[str]] = [[] for _ in words]
    ids: list[list[str]] = [[] for _ in words]
    stacked = Counter(at for span in document.spans for at in range(span.start, span.end))
    number = 0
    for span in document.spans:
        suffix = ""
        if span.end - span.start > 1 or stacked[span.start] > 1:
            number += 1
            suffix = f"[{number}]"
        for at in range(span.start, span.end):
            labels[at].append(f"{_escaped_value(span.label)}{suffix}")
            ids[at].append(f"*{suffix}")
    lines = ["#FORMAT=WebAnno TSV 3.3", f"#T_SP={LAYER}|identifier|value", "", ""]
    expected = [_filling(len(blanks[start].encode("utf-16-le")) // 2, start > 0) for start, _ in bounds]
    losses.add(
        "texts between sentences", sum(blanks[start] != each for (start, _), each in zip(bounds, expected, strict=True))
    )
    losses.add("blanks at the end of texts", int(bool(blanks[-1])))
    for sentence, (start, end) in enumerate(bounds, 1):
        text = document.text[document.tokens[start].start : document.tokens[end - 1].end]
        lines += [f"#Text={_escaped_text(line)}" for line in text.split("\n")]
        for at in range(start, end):
            token = document.tokens[at]
            offsets = f"{units[token.start]}-{units[token.end]}"
            values = ("|".join(each[at]) or "_" for each in (ids, labels))
            lines.append("\t".join([f"{sentence}-{at - start + 1}", offsets, cell(words[at]), *values, ""]))
        lines.append("")
    return {".tsv": encoded("".join(f"{line}\n" for line in lines[: None if bounds else 3]))}


def _escaped_text(line: str) -> str:
    return "".join(
        f"\\{_TEXT_ESCAPES[sign]}" if sign in _TEXT_ESCAPES else f"\\{sign}" if sign < " " and sign != "\v" else sign
        for sign in line
    )


def _escaped_value(label: str) -> str:
    escaped = re.sub(r"->|[\\\[\]|_;*]", lambda match: f"\\{match[0]}", label)
    return escaped.replace("\t", "\\t").replace("\n", "\\n")
