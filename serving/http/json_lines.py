"""The lines of a stream of JSON lines: cut out of chunks, read, put into batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from multiner.serving.http.entity_requests import Item, Offer, StreamRequest, is_line_id
from multiner.serving.http.payload import Limits, parse_json, validated
from multiner.serving.http.problems import Problem, invalid, too_large

BATCH_TEXTS = 16
BATCH_CHARACTERS = 20_000


class Cutter:
    """Cuts the chunks of a body into lines, of which it never keeps more than ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.number = 0  # of the last whole line
        self._kept = bytearray()
        self._over = False

    def feed(self, chunk: bytes) -> Iterator[tuple[int, bytes | None]]:
        """The lines that end in ``chunk``: number, from 1, and bytes; None in their place where there were too many."""
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            self._keep(end)
            yield self._cut()
        self._keep(rest)

    def finish(self) -> Iterator[tuple[int, bytes | None]]:
        """The last line, if no line break ended it."""
        if self._kept or self._over:
            yield self._cut()

    def _keep(self, piece: bytes) -> None:
        self._over = self._over or len(self._kept) + len(piece) > self.limit
        if self._over:
            self._kept.clear()
        else:
            self._kept += piece

    def _cut(self) -> tuple[int, bytes | None]:
        line = None if self._over else bytes(self._kept)
        self.number += 1
        self._kept.clear()
        self._over = False
        return self.number, line


@dataclass(frozen=True, slots=True)
class Entry:
    """A line as read: its number, its ``id`` if it has one, and the text it asks about, or what is wrong with it."""

    number: int
    id: str | int | None
    content: Item | Problem


def line_bytes(limits: Limits) -> int:
    """Bytes of the largest line within the limits."""
    return 12 * limits.characters + 4096


def read_lines(lines: Iterable[tuple[int, bytes | None]], offer: Offer) -> Iterator[Entry]:
    """Lines as entries, without the blank ones."""
    return (read_line(number, line, offer) for number, line in lines if line is None or line.strip())


def read_line(number: int, line: bytes | None, offer: Offer) -> Entry:
    """A line as an entry; what is wrong with it is in the entry, too."""
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
        request = validated(StreamRequest, value)
        return Entry(number, id, request.items([request.text], offer)[0])
    except Problem as problem:
        return Entry(number, id, problem)


def batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Entries in batches of at most BATCH_TEXTS entries and BATCH_CHARACTERS; a longer text stands alone."""
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        length = len(entry.content.text) if isinstance(entry.content, Item) else 0
        if batch and (len(batch) == BATCH_TEXTS or size + length > BATCH_CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += length
    if batch:
        yield batch
