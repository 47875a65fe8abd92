"""A leg that answers long documents a stretch at a time, so that no call of it takes long.

The spaCy legs are convolutional: what a token's label depends on is near. A stretch is shown with ``CONTEXT`` tokens on
either side, far more than the networks reach (4 with a ``MaxoutWindowEncoder`` of depth 4, 3 with slovnet), of which
nothing is read; that leaves the parser's memory of its last entity and a CRF's far ends, which fade within it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from multiner.pipeline.core.cancellation import check_cancelled
from multiner.pipeline.core.document import Document, Sentence
from multiner.pipeline.models.base import Leg

STEP = 500  # tokens: under a tenth of a second of the slowest leg
CONTEXT = 16


class SteppingLeg:
    """A leg that gives another one stretches of ``step`` tokens; documents up to that length are seen as they are.

    Args:
        leg: answers; its labels are this one's.
        step: tokens in a stretch at most, 1 or more.
        context: tokens shown on either side of it.
    """

    def __init__(self, leg: Leg, step: int = STEP, context: int = CONTEXT) -> None:
        self.leg = leg
        self.labels = leg.labels
        self._step = step
        self._context = context

    def predict(self, documents: Sequence[Document]) -> list[np.ndarray]:
        """Label probabilities, one float32 array ``[tokens, labels]`` per document; rows sum to 1.

        Raises:
            Cancelled: see :func:`multiner.pipeline.core.cancellation.check_cancelled`.
        """
        if all(len(document.tokens) <= self._step for document in documents):
            check_cancelled()
            return self.leg.predict(documents)
        return [np.concatenate([*self._rows(document)]) for document in documents]

    def _rows(self, document: Document) -> Iterator[np.ndarray]:
        if len(document.tokens) <= self._step:
            check_cancelled()
            yield self.leg.predict([document])[0]
            return
        for start, end in stretches(document, self._step):
            check_cancelled()
            first, last = max(0, start - self._context), min(len(document.tokens), end + self._context)
            yield self.leg.predict([part(document, first, last)])[0][start - first : end - first]


def stretches(document: Document, step: int) -> Iterator[tuple[int, int]]:
    """Token ranges of at most ``step`` tokens that tile the document, cut between sentences where there is a cut."""
    starts = [sentence.start for sentence in document.sentences]
    start, length = 0, len(document.tokens)
    while start < length:
        end = min(start + step, length)
        if end < length and (at := bisect_right(starts, end)) and starts[at - 1] > start:
            end = starts[at - 1]
        yield start, end
        start = end


def part(document: Document, start: int, end: int) -> Document:
    """Tokens ``start:end`` as a document of the same text, with what lies of each sentence among them."""
    first = bisect_right(document.sentences, start, key=lambda sentence: sentence.end)
    last = bisect_left(document.sentences, end, key=lambda sentence: sentence.start)
    sentences = tuple(
        Sentence(max(sentence.start, start) - start, min(sentence.end, end) - start, sentence.line)
        for sentence in document.sentences[first:last]
    )
    return replace(document, tokens=document.tokens[start:end], sentences=sentences, spans=())
