"""A stream of JSON lines: split into lines, read, put into batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from multiner.serving.client.batching import Batcher
from multiner.serving.http.entity_requests import Item, Offer, StreamRequest, is_line_id
from multiner.serving.http.payload import Limits, parse_json, validate
from multiner.serving.http.problems import Problem, invalid, too_large

BATCH_TEXTS = 16
BATCH_CHARACTERS = 20_000
Line = tuple[int, bytes | None]  # its number, from 1, and its bytes; None if it is too long


class LineSplitter:
    """Splits the chunks of a body into lines, and never holds more than ``limit`` bytes of one."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.number = 0  # of the last whole line
        self._start = bytearray()  # of the line that has not ended yet
        self._too_long = False

    def feed(self, chunk: bytes) -> Iterator[Line]:
        """The lines that end in ``chunk``."""
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            self._add(end)
            yield self._line()
        self._add(rest)

    def finish(self) -> Iterator[Line]:
        """The last line, if no line break ended it."""
        if self._start or self._too_long:
            yield self._line()

    def _add(self, piece: bytes) -> None:
        self._too_long = self._too_long or len(self._start) + len(piece) > self.limit
        if self._too_long:
            self._start.clear()
        else:
            self._start += piece

    def _line(self) -> Line:
        line = None if self._too_long else bytes(self._start)
        self.number += 1
        self._start.clear()
        self._too_long = False
        return self.number, line


@dataclass(frozen=True, slots=True)
class Entry:
    """A line: its number, its ``id`` if it has one, and its text, or why it cannot be answered."""

    number: int
    id: str | int | None
    content: Item | Problem


def line_bytes(limits: Limits) -> int:
    """Bytes of the largest line within the limits."""
    return 12 * limits.characters + 4096


def read_lines(lines: Iterable[Line], offer: Offer) -> Iterator[Entry]:
    """The entries of all lines that are not blank."""
    return (read_line(number, line, offer) for number, line in lines if line is None or line.strip())


def read_line(number: int, line: bytes | None, offer: Offer) -> Entry:
    """The entry of a line; where the line is wrong, the entry says why."""
    id = None
    try:
        if line is None:
            raise too_large(f"The line is larger than {line_bytes(offer.limits)} bytes.")
        value = parse_json(line, number)
        if isinstance(value, str):
            value = {"text": value}
        if not isinstance(value, dict):
            raise invalid('A line must be a string, or an object such as {"text": "…"}.', "")
        id = value.get("id") if is_line_id(value.get("id")) else None
        return Entry(number, id, validate(StreamRequest, value).items(offer)[0])
    except Problem as problem:
        return Entry(number, id, problem)


def batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Entries in batches for a call to a model; a longer text stands alone."""
    batcher = Batcher[Entry](
        BATCH_TEXTS, BATCH_CHARACTERS, lambda entry: len(entry.content.text) if isinstance(entry.content, Item) else 0
    )
    return batcher.batches(entries)
