"""Sentences that occur more than once in the corpora, compared by the texts of their tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256

from multiner.pipeline.core.document import Document, Sentence

Words = tuple[str, ...]


def sentences_of(documents: Iterable[Document]) -> Iterator[tuple[Document, int, Sentence, Words]]:
    """Each sentence as a tuple: document, index in the document, sentence, texts of its tokens."""
    for document in documents:
        for index, sentence in enumerate(document.sentences):
            yield document, index, sentence, tuple(document.words(sentence.start, sentence.end))


def digest(words: Words) -> str:
    """Twelve hex digits that name a sentence where its text must not appear (reports, files under git)."""
    return sha256("\x1f".join(words).encode()).hexdigest()[:12]


def overlapping_sentences(train: Iterable[Document], test: Iterable[Document]) -> set[tuple[str, int]]:
    """The test sentences, as pairs of document id and index, whose tokens are also a sentence of ``train``."""
    training = {words for *_, words in sentences_of(train)}
    return {(document.id, index) for document, index, _, words in sentences_of(test) if words in training}
