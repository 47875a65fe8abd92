"""Documents as windows of subword pieces: neighbouring sentences share a window, long ones span several.

Nothing is cut: every token's label is taken from exactly one window. A window holds whole sentences, with a separator
between them, as far as they fit; at inference it begins with preceding sentences as context. A sentence longer than a
window is spread over several that overlap, and each token is read where it is farther from the edge.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from multiner.pipeline.core.document import Document, Sentence

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LONGEST_TOKEN = 48
"""Pieces of one token at most: its label sits on its first piece, the tail of a monster adds nothing."""


@dataclass(frozen=True)
class Stretch:
    """Tokens ``start:end`` shown in a window; of these, ``keep_start:keep_end`` are read from it."""

    start: int
    end: int
    keep_start: int
    keep_end: int


@dataclass(frozen=True)
class Window:
    """Piece ids of a window, and where the tokens to be read begin in it.

    Attributes:
        pieces: ids with special pieces.
        tokens: indices of the tokens to be read.
        positions: place in ``pieces`` of each of these tokens' first piece.
    """

    pieces: list[int]
    tokens: range
    positions: list[int]


def stretches(sentences: Sequence[Sentence], lengths: Sequence[int], limit: int, context: int) -> list[Stretch]:
    """Divide a document into stretches of at most ``limit`` pieces (one more counted for each sentence).

    Args:
        sentences: of the document, in order.
        lengths: pieces of each token.
        limit: pieces a window holds, without its first and last special piece.
        context: of these, how many may be preceding sentences, shown but not read.
    """
    found: list[Stretch] = []
    sizes = [sum(lengths[sentence.start : sentence.end]) + 1 for sentence in sentences]
    at = 0
    while at < len(sentences):
        if sizes[at] > limit:
            found += _spread(sentences[at], lengths, limit)
            at += 1
            continue
        first = at
        room = limit
        while first > 0 and limit - room + sizes[first - 1] <= min(context, limit - sizes[at]):
            first -= 1
            room -= sizes[first]
        end = at
        while end < len(sentences) and sizes[end] <= room:
            room -= sizes[end]
            end += 1
        found.append(
            Stretch(sentences[first].start, sentences[end - 1].end, sentences[at].start, sentences[end - 1].end)
        )
        at = end
    return found


def _spread(sentence: Sentence, lengths: Sequence[int], limit: int) -> list[Stretch]:
    """Overlapping stretches over a sentence that no window holds; neighbours meet in the middle of their overlap."""
    bounds: list[tuple[int, int]] = []
    start = sentence.start
    while True:
        end, room = start, limit - 1
        while end < sentence.end and (lengths[end] <= room or end == start):  # one token at least, however long
            room -= lengths[end]
            end += 1
        bounds.append((start, end))
        if end == sentence.end:
            break
        start = max(start + 1, end - max(1, (end - start) // 4))
    edges = [sentence.start]
    edges += [(left[1] + right[0]) // 2 for left, right in pairwise(bounds)]
    edges.append(sentence.end)
    return [
        Stretch(start, end, keep_start, keep_end)
        for (start, end), keep_start, keep_end in zip(bounds, edges, edges[1:], strict=False)
        if keep_start < keep_end  # next to a token that fills a window, an overlap may leave nothing to read
    ]


@dataclass(frozen=True)
class Special:
    """Ids of the pieces that stand for no text.

    Attributes:
        first: begins a window (BERT's ``[CLS]``, XLM-R's ``<s>``).
        border: ends each sentence in it (``[SEP]``, ``</s>``).
        unknown: stands for a token without pieces.
    """

    first: int
    border: int
    unknown: int


class Windower:
    """Cuts documents into windows.

    Args:
        tokenizer: of the encoder; its truncation and padding are switched off.
        special: ids of its special pieces.
        max_pieces: pieces in a window, special ones included.
    """

    def __init__(self, tokenizer: Tokenizer, special: Special, max_pieces: int) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self.special = special
        self.max_pieces = max_pieces

    def pieces(self, document: Document) -> list[list[int]]:
        """Piece ids of each token of a document, at least one and at most :data:`LONGEST_TOKEN`."""
        if not document.tokens:
            return []
        encoded = self._tokenizer.encode(document.norms(), is_pretokenized=True, add_special_tokens=False)
        by_token: list[list[int]] = [[] for _ in document.tokens]
        for piece, word in zip(encoded.ids, encoded.word_ids, strict=True):
            if word is not None:  # as of special pieces, which are not asked for here
                by_token[word].append(piece)
        return [pieces[:LONGEST_TOKEN] or [self.special.unknown] for pieces in by_token]

    def windows(
        self, document: Document, pieces: Sequence[Sequence[int]], *, context: int = 0, limit: int | None = None
    ) -> list[Window]:
        """The windows of a document, in order; together they read every token once.

        Args:
            document: with its sentences.
            pieces: of each token, from :meth:`pieces`.
            context: pieces of preceding sentences shown at most.
            limit: a smaller size than ``max_pieces`` (training varies it).
        """
        borders = {sentence.end for sentence in document.sentences}
        size = min(limit or self.max_pieces, self.max_pieces) - 1
        found: list[Window] = []
        for stretch in stretches(document.sentences, [len(each) for each in pieces], size, context):
            ids = [self.special.first]
            positions: list[int] = []
            for index in range(stretch.start, stretch.end):
                if stretch.keep_start <= index < stretch.keep_end:
                    positions.append(len(ids))
                ids += pieces[index]
                if index + 1 in borders:
                    ids.append(self.special.border)
            if ids[-1] != self.special.border:
                ids.append(self.special.border)
            found.append(Window(ids, range(stretch.keep_start, stretch.keep_end), positions))
        return found


class WindowedLeg(ABC):
    """A leg that answers window by window.

    Args:
        windower: cuts documents into windows.
        labels: the label set, in the order of the model's outputs.
        context: pieces of preceding sentences shown at most.
    """

    def __init__(self, windower: Windower, labels: list[str], context: int) -> None:
        self.windower = windower
        self.labels = labels
        self.context = context

    def predict(self, documents: Sequence[Document]) -> list[np.ndarray]:
        """Label probabilities, one float32 array ``[tokens, labels]`` per document; rows sum to 1."""
        jobs = [
            (index, window)
            for index, document in enumerate(documents)
            for window in self.windower.windows(document, self.windower.pieces(document), context=self.context)
        ]
        results = [np.zeros((len(document.tokens), len(self.labels)), dtype=np.float32) for document in documents]
        for (index, window), rows in zip(jobs, self.forward([window for _, window in jobs]), strict=True):
            results[index][window.tokens.start : window.tokens.stop] = rows[window.positions]
        return results

    @abstractmethod
    def forward(self, windows: Sequence[Window]) -> Iterable[np.ndarray]:
        """Label probabilities of each window, in order: ``[pieces, labels]``."""
