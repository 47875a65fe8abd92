"""Texts in batches: of a request to the gateway, or of a call to a model."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Batcher(Generic[T]):
    """Gathers items, each with a text, into batches; a text longer than a batch may be stands alone.

    Args:
        most: items in a batch, 1 at least.
        characters: characters in a batch, all texts together.
        length: characters of an item's text.
    """

    def __init__(self, most: int, characters: int, length: Callable[[T], int]) -> None:
        self._most, self._characters, self._length = most, characters, length
        self._batch: list[T] = []
        self._size = 0

    def batches(self, items: Iterable[T]) -> Iterator[list[T]]:
        """The items in order; each batch as soon as it is full."""
        for item in items:
            yield from self._add(item)
        yield from self._take()

    async def async_batches(self, items: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[list[T]]:
        """The same of items that may come asynchronously."""
        if isinstance(items, AsyncIterable):
            async for item in items:
                for batch in self._add(item):
                    yield batch
            items = ()
        for batch in self.batches(items):
            yield batch

    def _add(self, item: T) -> Iterator[list[T]]:
        length = self._length(item)
        if self._size + length > self._characters:
            yield from self._take()
        self._batch.append(item)
        self._size += length
        if len(self._batch) == self._most:
            yield from self._take()

    def _take(self) -> Iterator[list[T]]:
        if self._batch:
            batch, self._batch, self._size = self._batch, [], 0
            yield batch
