"""A base model that predicts long documents chunk by chunk, so that each of its calls is short and can be cancelled.

The spaCy base models are convolutional: the label of a token depends on near tokens only. A chunk is shown with
``CONTEXT`` tokens on either side, whose labels are not read. That is far more than the networks see (4 tokens with a
``MaxoutWindowEncoder`` of depth 4, 3 with slovnet). Only the parser's memory of its last entity and the CRF reach
farther, and their influence fades within it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from multiner.pipeline.core.cancellation import check_cancelled
from multiner.pipeline.core.document import Document, Sentence
from multiner.pipeline.models.base import TokenClassifier

SIZE = 500  # tokens: under a tenth of a second with the slowest base model
CONTEXT = 16


class ChunkedModel:
    """A base model whose calls get one chunk each; a document of at most ``size`` tokens is one chunk.

    Each chunk is shown with ``context`` tokens on either side.
    """

    def __init__(self, model: TokenClassifier, size: int = SIZE, context: int = CONTEXT) -> None:
        self.model = model
        self.labels = model.labels
        self._size = size
        self._context = context

    def predict(self, documents: Sequence[Document]) -> list[np.ndarray]:
        """Label probabilities as :class:`TokenClassifier` gives them. Raises Cancelled if nobody waits for them."""
        if all(len(document.tokens) <= self._size for document in documents):
            check_cancelled()
            return self.model.predict(documents)
        return [np.concatenate([*self._rows(document)]) for document in documents]

    def _rows(self, document: Document) -> Iterator[np.ndarray]:
        if len(document.tokens) <= self._size:
            check_cancelled()
            yield self.model.predict([document])[0]
            return
        for start, end in chunk_ranges(document, self._size):
            check_cancelled()
            first, last = max(0, start - self._context), min(len(document.tokens), end + self._context)
            yield self.model.predict([excerpt(document, first, last)])[0][start - first : end - first]


def chunk_ranges(document: Document, size: int) -> Iterator[tuple[int, int]]:
    """Token ranges that divide a document into chunks of at most ``size`` tokens, if possible between sentences."""
    starts = [sentence.start for sentence in document.sentences]
    start, length = 0, len(document.tokens)
    while start < length:
        end = min(start + size, length)
        if end < length and (at := bisect_right(starts, end)) and starts[at - 1] > start:
            end = starts[at - 1]
        yield start, end
        start = end


def excerpt(document: Document, start: int, end: int) -> Document:
    """The tokens ``start:end`` as a document of the same text; sentences are cut at its borders."""
    first = bisect_right(document.sentences, start, key=lambda sentence: sentence.end)
    last = bisect_left(document.sentences, end, key=lambda sentence: sentence.start)
    sentences = tuple(
        Sentence(max(sentence.start, start) - start, min(sentence.end, end) - start, sentence.line)
        for sentence in document.sentences[first:last]
    )
    return replace(document, tokens=document.tokens[start:end], sentences=sentences, spans=())
