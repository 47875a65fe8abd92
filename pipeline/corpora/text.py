"""Reading a corpus's text files: UTF-8, with or without a byte order mark, with whatever ends the lines."""

from __future__ import annotations

from pathlib import Path

from multiner.pipeline.core.errors import NerError

BYTE_ORDER_MARK = "\ufeff"


def read_text(path: Path) -> str:
    """The characters of a file exactly as they stand in it, byte order mark and carriage returns included.

    Raises:
        NerError: the file is missing, or is not UTF-8 (names the line).
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise NerError("file is missing", where=str(path)) from None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise NerError(
            f"not UTF-8: byte 0x{content[error.start]:02x}",
            where=f"{path}:{line}",
            remedy="Convert the file to UTF-8.",
        ) from None


def normalise(text: str) -> str:
    """``text`` without a byte order mark, every line ended by a line feed."""
    return text.removeprefix(BYTE_ORDER_MARK).replace("\r\n", "\n").replace("\r", "\n")


def read_lines(path: Path) -> list[str]:
    """The lines of a file, in order and without their ends.

    Only line feed and carriage return end a line: other separators (NEL, U+2028) may be part of a token.

    Raises:
        NerError: as :func:`read_text`.
    """
    lines = normalise(read_text(path)).split("\n")
    return lines[:-1] if lines[-1] == "" else lines
