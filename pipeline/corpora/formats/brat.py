"""brat standoff: the text in ``NAME.txt``, and its entities in ``NAME.ann`` (``T1<tab>PER 0 6<tab>Ingrid``)."""

from __future__ import annotations

import re
from itertools import pairwise

from multiner.pipeline.core.document import Document
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora.formats.source import Entity, Losses, Source, cell, encoded, entities_of
from multiner.pipeline.corpora.text import read_text

_ENTITY = re.compile(r"T[^\t]*\t(\S+) (\d{1,9} \d{1,9}(?:;\d{1,9} \d{1,9})*)\t(.*)", re.DOTALL)
_BREAKS = re.compile(r"[\n\r]+")


def read(source: Source) -> list[Document]:
    """The document of a text file (``.txt``, or the name of its ``.ann``) and of the annotations beside it.

    An entity in several pieces, which brat writes where it crosses a line break, is one entity if only blanks are
    between the pieces; others are left out, as are relations, events, attributes and notes.

    Raises:
        NerError: a file is missing, a line is malformed, or an entity's text is not at its offsets (names the line).
    """
    if source.path is None:
        raise NerError("brat needs files: the text and its entities are two", remedy="Name the .txt file or a folder.")
    text_file, file = source.path.with_suffix(".txt"), source.path.with_suffix(".ann")
    text = source.text() if source.path.suffix.lower() == ".txt" else read_text(text_file)
    if not file.is_file():
        raise NerError("the annotations are missing", where=str(file), remedy="An empty file stands for no entities.")
    entities: list[Entity] = []
    for number, line in enumerate(read_text(file).removeprefix("\ufeff").split("\n"), 1):
        line = line.rstrip("\r")
        if line.startswith("T"):
            entities += _entity(line, text, f"{file}:{number}", source)
        elif line.strip():
            source.losses.add("relations, events, attributes and notes")
    return [source.document(text, entities, id=text_file.stem, where=str(file))]


def _entity(line: str, text: str, where: str, source: Source) -> list[Entity]:
    match = _ENTITY.fullmatch(line)
    if match is None:
        raise NerError(f"no entity: {line[:100]!r}", where=where, remedy="It is: T1<tab>TYPE START END<tab>TEXT.")
    label, places, stated = match.groups()
    source.label(label, where)
    pieces = [(int(start), int(end)) for start, end in (place.split(" ") for place in places.split(";"))]
    start, end = pieces[0][0], pieces[-1][1]
    actual = " ".join(text[start:end] for start, end in pieces)
    if stated.split() != actual.split() or any(start >= end or end > len(text) for start, end in pieces):
        raise NerError(
            f"the text at {places} is {actual[:80]!r}, not {stated[:80]!r}",
            where=where,
            remedy="Mend the offsets; they count the text file's characters, each sign of a line end as one.",
        )
    if any(text[before[1] : after[0]].strip() or after[0] < before[1] for before, after in pairwise(pieces)):
        source.losses.add("entities in several pieces")
        return []
    return [(start, end, label, None)]


def write(document: Document, losses: Losses) -> dict[str, bytes]:
    """The files of a document by suffix.

    Raises:
        NerError: a type has a blank.
    """
    lines = []
    for number, (start, end, label, _) in enumerate(entities_of(document), 1):
        pieces, at = [], start
        for gap in _BREAKS.finditer(document.text, start, end):  # brat allows no line break in an entity
            pieces.append((at, gap.start()))
            at = gap.end()
        pieces.append((at, end))
        places = ";".join(f"{start} {end}" for start, end in pieces)
        words = " ".join(document.text[start:end] for start, end in pieces).replace("\t", " ")
        lines.append(f"T{number}\t{cell(label, ' ')} {places}\t{words}\n")
    return {".txt": encoded(document.text), ".ann": encoded("".join(lines))}
