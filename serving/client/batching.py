"""Texts in batches that a request may hold."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator


class Batcher:
    """Gathers texts into batches of ``most`` texts and ``characters`` at most; a longer text stands alone.

    Args:
        most: texts in a batch, 1 at least.
        characters: characters in a batch, all texts together.
    """

    def __init__(self, most: int, characters: int) -> None:
        self.most = most
        self.characters = characters
        self._batch: list[str] = []
        self._size = 0

    def batches(self, texts: Iterable[str]) -> Iterator[list[str]]:
        """The texts in order; each batch as soon as it is full."""
        for text in texts:
            yield from self._add(text)
        yield from self._take()

    async def async_batches(self, texts: Iterable[str] | AsyncIterable[str]) -> AsyncIterator[list[str]]:
        """The same of texts that may come asynchronously."""
        if isinstance(texts, AsyncIterable):
            async for text in texts:
                for batch in self._add(text):
                    yield batch
            for batch in self._take():
                yield batch
        else:
            for batch in self.batches(texts):
                yield batch

    def _add(self, text: str) -> Iterator[list[str]]:
        """Take a text; yield what is full by it."""
        if self._size + len(text) > self.characters:
            yield from self._take()
        self._batch.append(text)
        self._size += len(text)
        if len(self._batch) == self.most:
            yield from self._take()

    def _take(self) -> Iterator[list[str]]:
        if self._batch:
            batch, self._batch, self._size = self._batch, [], 0
            yield batch
