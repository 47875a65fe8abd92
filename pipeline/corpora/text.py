"""Reads text files of corpora: UTF-8, with or without a byte order mark, with any line ends."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from multiner.pipeline.config.type_maps import TypeMap
from multiner.pipeline.core.errors import NerError

BYTE_ORDER_MARK = "\ufeff"
LINE_END = re.compile(r"(\r+\n|\n|\r)")
"""A line's end. ``\\r\\r\\n`` counts as one: some programs turn the line feed of CRLF into CRLF again."""


def read_text(path: Path) -> str:
    """The characters of a file as they are. Raises NerError if the file is missing or not UTF-8 (names the line)."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise NerError("file is missing", where=str(path)) from None
    return decode(content, str(path))


def decode(content: bytes, file: str, encoding: str = "utf-8") -> str:
    """The characters of a file's bytes. Raises NerError if they have another encoding (names the line)."""
    name = "UTF-8" if encoding == "utf-8" else encoding
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise NerError(
            f"not {name}: byte 0x{content[error.start]:02x}",
            where=f"{file}:{line}",
            remedy=f"Convert the file to {name}.",
        ) from None
    except (LookupError, UnicodeError):  # "undefined" is a codec that refuses every file
        raise NerError(f"unknown encoding {encoding!r}", where=file, remedy="Name one such as utf-8.") from None


def normalise(text: str) -> str:
    """``text`` without a byte order mark and with a line feed as every line end."""
    return LINE_END.sub("\n", text.removeprefix(BYTE_ORDER_MARK))


def read_lines(path: Path) -> list[str]:
    """The lines of a file (see :func:`read_text`) without their ends.

    Only line feed and carriage return end a line, since other separators (NEL, U+2028) may be part of a token.
    """
    lines = normalise(read_text(path)).split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def refuse_doubled_lines(lines: Sequence[str], file: str) -> None:
    """Refuse a column file in which a blank line follows every line: each word would become a sentence."""
    rows = lines[::2]
    if any(line.strip() for line in lines[1::2]):
        return
    words = [bool(line.strip()) for line in rows]
    if sum(words) >= 4 and False in words[words.index(True) : len(words) - words[::-1].index(True)]:
        raise NerError(
            "a blank line follows every line: the line ends are doubled",
            where=file,
            remedy="Write each line end once, and a blank line only between sentences.",
        )


def code_points(text: str) -> str:
    """A note for messages that names the characters of ``text`` beyond ASCII, since many look like ASCII's.

    For example `` (with U+0420 CYRILLIC CAPITAL LETTER ER)``; empty where there are none.
    """
    others = dict.fromkeys(character for character in text if not character.isascii())
    names = [f"U+{ord(other):04X} {unicodedata.name(other, '')}".rstrip() for other in others]
    return f" (with {', '.join(names)})" if names else ""


def map_type(name: str, types: TypeMap, where: str) -> str | None:
    """The pipeline's type for a corpus's type; None if it is left out. Raises NerError for a type without an entry."""
    try:
        return types[name]
    except KeyError:
        raise NerError(
            f"unknown entity type {name!r}{code_points(name)}",
            where=where,
            remedy=f"Known are: {', '.join(types)}. Mend the line, or add the type to the corpus's `types`.",
        ) from None
