"""Entities by character offsets as spans over the tokens of a text."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import replace

from multiner.pipeline.core.document import Document, Sentence, Span, Token
from multiner.pipeline.text.tokenizer import document_from_text

Place = tuple[int, int, str, float | None]
"""An entity: its first character, the one after its last, its label, its score."""


def aligned(text: str, language: str, entities: Iterable[Place]) -> Document:
    """A document of ``text`` with the entities as spans; see :func:`with_entities`."""
    return with_entities(document_from_text(text, language), entities)


def with_entities(plain: Document, entities: Iterable[Place]) -> Document:
    """The document with the entities in place of its spans.

    A token is cut where an entity begins or ends within it, so that no entity loses or gains a character. Entities of
    blanks alone are left out.
    """
    places = list(entities)
    borders = sorted({border for start, end, *_ in places for border in (start, end)})
    tokens: list[Token] = []
    firsts = []  # of each token as it was: the index of its first piece
    for token in plain.tokens:
        firsts.append(len(tokens))
        if inner := borders[bisect_right(borders, token.start) : bisect_left(borders, token.end)]:
            tokens += map(Token, [token.start, *inner], [*inner, token.end])
        else:
            tokens.append(token)
    firsts.append(len(tokens))
    sentences = tuple(Sentence(firsts[each.start], firsts[each.end], each.line) for each in plain.sentences)
    starts = [token.start for token in tokens]
    spans = (
        Span(bisect_left(starts, start), bisect_left(starts, end), label, score) for start, end, label, score in places
    )
    document = replace(plain, tokens=tuple(tokens), sentences=sentences)
    return document.with_spans(span for span in spans if span.start < span.end)
