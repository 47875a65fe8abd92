"""From raw text: how well the ensemble does where our own tokeniser comes first, as in serving.

factRuEval's documents are raw texts already. Those of column corpora are lists of tokens: :func:`detokenised` joins
them as they would be written, with the place of each token in the text. Entities are compared by their characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from multiner.pipeline.core.document import Document, Span, Token
from multiner.pipeline.core.progress import bar
from multiner.pipeline.evaluation.predictions import (
    ENSEMBLE,
    EvaluatedPart,
    Predictor,
    predict,
)
from multiner.pipeline.evaluation.scores import precision_recall_f1
from multiner.pipeline.text.tokenizer import document_from_text

Place = tuple[int, int, str]

_CLOSING = re.compile(r"[.,;:!?%)\]}…]+|'{2}|”|»|\.{2,}")
_OPENING = re.compile(r"[(\[{$£€#]|`{1,2}|“|«|(?:US|A|C|HK|NZ)\$")
_CLITIC = re.compile(r"(?:'(?:s|m|d|re|ve|ll)|n't)", re.IGNORECASE)
_CLITIC_ENDS = frozenset({"s", "t", "m", "d", "re", "ve", "ll"})
_QUOTES = ('"', "'")


def _before(words: Sequence[str]) -> Iterator[bool]:
    """For each word of a sentence whether a blank stands before it."""
    open_quotes: set[str] = set()
    attach = True
    for index, word in enumerate(words):
        if word == "'" and index and words[index + 1 : index + 2] and words[index + 1].lower() in _CLITIC_ENDS:
            yield False  # a clitic cut in two: that ' s
            attach = True
            continue
        closes = word in open_quotes
        glued = attach or closes or bool(_CLOSING.fullmatch(word) or _CLITIC.fullmatch(word))
        # A lone apostrophe after an s is a possessive, not a quote.
        possessive = word == "'" and not closes and index > 0 and words[index - 1].lower().endswith("s")
        yield not (glued or possessive)
        opens = word in _QUOTES and not closes and not possessive
        if opens:
            open_quotes.add(word)
        elif closes:
            open_quotes.discard(word)
        attach = opens or bool(_OPENING.fullmatch(word))


def is_joined(document: Document) -> bool:
    """Whether the text was made of the tokens: a blank between words, a line break between sentences."""
    lines = [" ".join(document.words(sentence.start, sentence.end)) for sentence in document.sentences]
    return document.text == "\n".join(lines)


def detokenised(document: Document) -> tuple[str, tuple[Token, ...]]:
    """The text as it would be written, and where each token stands in it.

    Sentences stand on lines of their own, as the corpora's headlines and posts do. Each token is in the text,
    letter by letter: ``text[token.start:token.end]`` is its word.
    """
    pieces: list[str] = []
    tokens: list[Token] = []
    at = 0
    for number, sentence in enumerate(document.sentences):
        words = document.words(sentence.start, sentence.end)
        for index, (word, blank) in enumerate(zip(words, _before(words), strict=True)):
            gap = ("\n" if number else "") if index == 0 else " " if blank else ""
            pieces += [gap, word]
            at += len(gap)
            tokens.append(Token(at, at + len(word)))
            at += len(word)
    return "".join(pieces), tuple(tokens)


def places(tokens: Sequence[Token], spans: Sequence[Span]) -> set[Place]:
    """First character, last character + 1 and type of each span."""
    return {(tokens[span.start].start, tokens[span.end - 1].end, span.label) for span in spans}


def raw(document: Document, language: str) -> tuple[Document, set[Place]]:
    """The document as raw text read by our own tokeniser, and the gold's places in that text."""
    text, tokens = detokenised(document) if is_joined(document) else (document.text, document.tokens)
    return document_from_text(text, language, document.id), places(tokens, document.spans)


def compare(gold: Sequence[set[Place]], found: Sequence[set[Place]], types: Sequence[str]) -> dict[str, Any]:
    """Strict precision, recall and F1 of places, micro-averaged and per type.

    Returns:
        As :func:`multiner.pipeline.evaluation.scores.score`, in percent.

    Raises:
        ValueError: the lengths differ.
    """
    pairs = list(zip(gold, found, strict=True))

    def figures(type_: str | None = None) -> dict[str, Any]:
        def count(places_: set[Place]) -> int:
            return sum(type_ is None or label == type_ for *_, label in places_)

        return precision_recall_f1(
            sum(count(one & other) for one, other in pairs),
            sum(count(other) for _, other in pairs),
            sum(count(one) for one, _ in pairs),
        )

    return figures() | {"per_type": {type_: figures(type_) for type_ in types}}


def raw_text_scores(
    predictor: Predictor, tests: Sequence[EvaluatedPart], language: str, types: Sequence[str], description: str
) -> dict[str, Any]:
    """The ensemble's F1 from raw text beside its F1 on the corpora's own tokens, by corpus.

    Args:
        predictor: the ensemble.
        tests: predicted parts; those of one text are predicted once more once.
        language: whose tokeniser to use.
        types: types to report.
        description: of the progress bar.

    Returns:
        corpus → ``{f1, precision, recall, support, per_type, tokenised_f1, difference}``, in percent and points.
    """
    read = [[raw(document, language) for document in part.documents] for part in tests]
    keys = [[document.text for document, _ in documents] for documents in read]
    known: list[tuple[list[str], list[set[Place]]]] = []
    scores: dict[str, Any] = {}
    sentences = sum(len(document.sentences) for documents in read for document, _ in documents)
    with bar(sentences, description, unit="sentence") as progress:
        for part, documents, key in zip(tests, read, keys, strict=True):
            own = [document for document, _ in documents]
            found = next((found for other, found in known if other == key), None)
            if found is None:
                spans = predict(predictor, own, progress.update).get(ENSEMBLE, [])
                found = [places(document.tokens, each) for document, each in zip(own, spans, strict=True)]
                known.append((key, found))
            else:
                progress.update(sum(len(document.sentences) for document in own))
            result = compare([gold for _, gold in documents], found, types)
            tokenised = [places(document.tokens, document.spans) for document in part.documents]
            given = [
                places(document.tokens, each)
                for document, each in zip(part.documents, part.systems[ENSEMBLE], strict=True)
            ]
            before = compare(tokenised, given, types)["f1"]
            difference = round(result["f1"] - before, 4)
            scores[part.corpus] = result | {"tokenised_f1": before, "difference": difference}
    return scores
