"""Evaluation from raw text: the scores of the ensemble with our own tokenizer, as in serving.

The documents of factRuEval are raw texts. Those of column corpora are lists of tokens, which :func:`detokenised` joins
to a text as a person would write it. Entities are compared by their character offsets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from multiner.pipeline.core.document import Document, Span, Token
from multiner.pipeline.evaluation.predictions import ENSEMBLE, EvaluatedPart, Predictor, predict_parts
from multiner.pipeline.evaluation.scores import DIGITS, score_items
from multiner.pipeline.text.tokenizer import document_from_text

EntityOffsets = tuple[int, int, str]
"""First character, last character + 1 and type of an entity."""

_CLOSING = re.compile(r"[.,;:!?%)\]}…]+|'{2}|”|»|\.{2,}")
_OPENING = re.compile(r"[(\[{$£€#]|`{1,2}|“|«|(?:US|A|C|HK|NZ)\$")
_CLITIC = re.compile(r"(?:'(?:s|m|d|re|ve|ll)|n't)", re.IGNORECASE)
_CLITIC_ENDS = frozenset({"s", "t", "m", "d", "re", "ve", "ll"})
_QUOTES = ('"', "'")


def _blanks(words: Sequence[str]) -> Iterator[bool]:
    """For each word of a sentence, whether there is a blank before it."""
    open_quotes: set[str] = set()
    attach = True
    for index, word in enumerate(words):
        if word == "'" and index and words[index + 1 : index + 2] and words[index + 1].lower() in _CLITIC_ENDS:
            yield False  # a clitic in two tokens: that ' s
            attach = True
            continue
        closes = word in open_quotes
        glued = attach or closes or bool(_CLOSING.fullmatch(word) or _CLITIC.fullmatch(word))
        # A single apostrophe after an s is a possessive, not a quote.
        possessive = word == "'" and not closes and index > 0 and words[index - 1].lower().endswith("s")
        yield not (glued or possessive)
        opens = word in _QUOTES and not closes and not possessive
        if opens:
            open_quotes.add(word)
        elif closes:
            open_quotes.discard(word)
        attach = opens or bool(_OPENING.fullmatch(word))


def is_joined(document: Document) -> bool:
    """Whether the text is just the tokens, with a blank between words and a line break between sentences."""
    lines = [" ".join(document.words(sentence.start, sentence.end)) for sentence in document.sentences]
    return document.text == "\n".join(lines)


def detokenised(document: Document) -> tuple[str, tuple[Token, ...]]:
    """The text as a person would write it, and the offsets of the tokens in it.

    Each sentence is on a line of its own, like the headlines and posts of the corpora. ``text[token.start:token.end]``
    is always the word of the token.
    """
    pieces: list[str] = []
    tokens: list[Token] = []
    at = 0
    for number, sentence in enumerate(document.sentences):
        words = document.words(sentence.start, sentence.end)
        for index, (word, blank) in enumerate(zip(words, _blanks(words), strict=True)):
            gap = ("\n" if number else "") if index == 0 else " " if blank else ""
            pieces += [gap, word]
            at += len(gap)
            tokens.append(Token(at, at + len(word)))
            at += len(word)
    return "".join(pieces), tuple(tokens)


def entity_offsets(tokens: Sequence[Token], spans: Sequence[Span]) -> set[EntityOffsets]:
    """The spans as character offsets."""
    return {(tokens[span.start].start, tokens[span.end - 1].end, span.label) for span in spans}


def raw_document(document: Document, language: str) -> tuple[Document, set[EntityOffsets]]:
    """The document as raw text with our own tokens, and the gold entities in this text."""
    text, tokens = detokenised(document) if is_joined(document) else (document.text, document.tokens)
    return document_from_text(text, language, document.id), entity_offsets(tokens, document.spans)


def score_entities(
    gold: Sequence[set[EntityOffsets]], predicted: Sequence[set[EntityOffsets]], types: Sequence[str]
) -> dict[str, Any]:
    """Strict scores of the entities of each document, as :func:`multiner.pipeline.evaluation.scores.score`."""
    gold_items, predicted_items = (
        {(row, *entity) for row, entities in enumerate(side) for entity in entities} for side in (gold, predicted)
    )
    return score_items(gold_items & predicted_items, predicted_items, gold_items, types)


def raw_text_scores(
    predictor: Predictor, tests: Sequence[EvaluatedPart], language: str, types: Sequence[str], description: str
) -> dict[str, Any]:
    """The F1 of the ensemble from raw text, beside its F1 on the tokens of the corpora (in ``tests``).

    Returns:
        corpus → ``{f1, precision, recall, support, per_type, tokenised_f1, difference}``, in percent and points.
    """
    raw = [[raw_document(document, language) for document in part.documents] for part in tests]
    predictions = predict_parts(predictor, [[document for document, _ in part] for part in raw], description)
    scores: dict[str, Any] = {}
    for part, documents, systems in zip(tests, raw, predictions, strict=True):
        predicted = [
            entity_offsets(document.tokens, spans)
            for (document, _), spans in zip(documents, systems.get(ENSEMBLE, []), strict=True)
        ]
        result = score_entities([gold for _, gold in documents], predicted, types)
        tokenised_f1 = score_entities(
            [entity_offsets(document.tokens, document.spans) for document in part.documents],
            [
                entity_offsets(document.tokens, spans)
                for document, spans in zip(part.documents, part.systems[ENSEMBLE], strict=True)
            ],
            types,
        )["f1"]
        difference = round(result["f1"] - tokenised_f1, DIGITS)
        scores[part.corpus] = result | {"tokenised_f1": tokenised_f1, "difference": difference}
    return scores
