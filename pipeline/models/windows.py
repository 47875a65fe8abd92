"""Documents as windows of subword pieces, which is what an encoder takes.

A window holds as many whole sentences as fit, with a separator piece between them; at inference it begins with
preceding sentences as context. A sentence longer than a window is divided among several overlapping windows. The label
of each token is read from exactly one window, so no part of a document is lost; where windows overlap, it is the one in
which the token is farther from the edge.
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
"""Pieces of a token at most. The label is read at the first piece, so the end of a very long token adds nothing."""


@dataclass(frozen=True)
class WindowTokens:
    """The tokens of one window: it shows ``start:end``, and the labels of ``read_start:read_end`` are read from it."""

    start: int
    end: int
    read_start: int
    read_end: int


@dataclass(frozen=True)
class Window:
    """The piece ids of a window, and the positions at which labels are read.

    Attributes:
        pieces: piece ids, special pieces included.
        tokens: indices of the tokens whose labels are read from this window.
        positions: for each of these tokens the index in ``pieces`` of its first piece.
    """

    pieces: list[int]
    tokens: range
    positions: list[int]


def divide(sentences: Sequence[Sentence], lengths: Sequence[int], limit: int, context: int) -> list[WindowTokens]:
    """Divide the tokens of a document among windows of at most ``limit`` pieces.

    Args:
        sentences: the sentences of the document, in order.
        lengths: the number of pieces of each token; each sentence takes one more, its separator.
        limit: pieces in a window at most, without the first special piece.
        context: pieces of preceding sentences at most, which the window shows and does not read.
    """
    windows: list[WindowTokens] = []
    sizes = [sum(lengths[sentence.start : sentence.end]) + 1 for sentence in sentences]
    at = 0
    while at < len(sentences):
        if sizes[at] > limit:
            windows += _divide_sentence(sentences[at], lengths, limit)
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
        last = sentences[end - 1].end
        windows.append(WindowTokens(sentences[first].start, last, sentences[at].start, last))
        at = end
    return windows


def _divide_sentence(sentence: Sentence, lengths: Sequence[int], limit: int) -> list[WindowTokens]:
    """Divide a sentence that is too long for one window; windows overlap, and reading changes in mid-overlap."""
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
        WindowTokens(start, end, read_start, read_end)
        for (start, end), read_start, read_end in zip(bounds, edges, edges[1:], strict=False)
        if read_start < read_end  # beside a token that fills a whole window, nothing may be left to read
    ]


CASES = 6
"""The kinds of case that :func:`case_of` tells apart."""


def case_of(word: str) -> int:
    """A word's case: 0 lower case, 1 a capital first, 2 capitals, 3 mixed, 4 digits, 5 neither letter nor digit."""
    letters = [letter for letter in word if letter.isalpha()]
    if not letters:
        return 4 if any(letter.isdigit() for letter in word) else 5
    rest = [letter.isupper() for letter in letters[1:]]
    if not letters[0].isupper():
        return 3 if any(rest) else 0
    if not any(rest):
        return 1
    return 2 if all(rest) else 3


@dataclass(frozen=True)
class SpecialPieces:
    """Ids of the pieces that stand for no text.

    Attributes:
        first: the piece that begins a window (``[CLS]`` of BERT, ``<s>`` of XLM-R).
        border: the piece that ends each sentence (``[SEP]``, ``</s>``).
        unknown: the piece for a token that the tokenizer gives no pieces.
    """

    first: int
    border: int
    unknown: int


class Windower:
    """Divides documents into windows of at most ``max_pieces`` pieces, special pieces included.

    Truncation and padding of the ``tokenizer`` are switched off here. If it drops case, ``vocabulary`` is the number of
    its pieces, and a piece of a word of the case ``kind`` (:func:`case_of`) gets the id ``piece + kind * vocabulary``.
    """

    def __init__(self, tokenizer: Tokenizer, special: SpecialPieces, max_pieces: int, vocabulary: int = 0) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self.special = special
        self.max_pieces = max_pieces
        self.vocabulary = vocabulary

    def pieces(self, document: Document) -> list[list[int]]:
        """The piece ids of each token, at least one and at most :data:`LONGEST_TOKEN`."""
        if not document.tokens:
            return []
        words = document.norms()
        encoded = self._tokenizer.encode(words, is_pretokenized=True, add_special_tokens=False)
        first = [self.vocabulary and self.vocabulary * case_of(word) for word in words]
        by_token: list[list[int]] = [[] for _ in words]
        for piece, word in zip(encoded.ids, encoded.word_ids, strict=True):
            if word is not None:  # as of special pieces, which are not asked for here
                by_token[word].append(first[word] + piece)
        return [pieces[:LONGEST_TOKEN] or [self.special.unknown] for pieces in by_token]

    def windows(
        self, document: Document, pieces: Sequence[Sequence[int]], *, context: int = 0, limit: int | None = None
    ) -> list[Window]:
        """The windows of a document, in order; each token is read from exactly one of them.

        Args:
            document: a document with its sentences.
            pieces: the piece ids of each token, from :meth:`pieces`.
            context: pieces of preceding sentences shown at most.
            limit: pieces in a window, where training asks for fewer than ``max_pieces``.
        """
        borders = {sentence.end for sentence in document.sentences}
        size = min(limit or self.max_pieces, self.max_pieces) - 1
        windows: list[Window] = []
        for tokens in divide(document.sentences, [len(each) for each in pieces], size, context):
            ids = [self.special.first]
            positions: list[int] = []
            for index in range(tokens.start, tokens.end):
                if tokens.read_start <= index < tokens.read_end:
                    positions.append(len(ids))
                ids += pieces[index]
                if index + 1 in borders:
                    ids.append(self.special.border)
            if ids[-1] != self.special.border:
                ids.append(self.special.border)
            windows.append(Window(ids, range(tokens.read_start, tokens.read_end), positions))
        return windows


class WindowedModel(ABC):
    """A base model that predicts window by window.

    Args:
        windower: divides documents into windows.
        labels: the labels, in the order of the model's outputs.
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
