"""The answers of an ensemble to texts, ready for JSON: entities with character offsets, and on request tokens.

It needs neither MLflow nor pandas: :func:`multiner.load` answers with it, and so does the model that MLflow serves.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from multiner.pipeline.core.cancellation import check_cancelled
from multiner.pipeline.core.document import Document, Span
from multiner.pipeline.text.surrogates import without_surrogates
from multiner.pipeline.text.tokenizer import document_from_text

if TYPE_CHECKING:
    import numpy as np

    from multiner.pipeline.ensemble.model import Ensemble, Prediction

BATCH = 32  # texts whose windows share the encoder's calls
DIGITS = 6  # decimals of a score


def answers(ensemble: Ensemble, texts: Sequence[str], *, tokens: bool = False) -> list[dict[str, Any]]:
    """The answer to each text, which does not depend on the others; lone surrogates are read as U+FFFD."""
    return [
        answer
        for start in range(0, len(texts), BATCH)
        for answer in _batch(ensemble, texts[start : start + BATCH], tokens=tokens)
    ]


def _batch(ensemble: Ensemble, texts: Sequence[str], *, tokens: bool) -> list[dict[str, Any]]:
    documents = []
    for text in texts:
        check_cancelled()
        documents.append(document_from_text(without_surrogates(text), ensemble.language))
    filled = [index for index, document in enumerate(documents) if document.tokens]
    predictions = ensemble.predict([documents[index] for index in filled], types=tokens)
    found: list[dict[str, Any]] = [{"entities": []} | ({"tokens": []} if tokens else {}) for _ in texts]
    for index, prediction in zip(filled, predictions, strict=True):
        document = replace(documents[index], text=texts[index])
        found[index]["entities"] = as_json(document, prediction)
        if prediction.types is not None:
            found[index]["tokens"] = tokens_json(document, prediction.types, ["O", *ensemble.types])
    return found


def as_json(document: Document, prediction: Prediction) -> list[dict[str, Any]]:
    """Token spans as entities with character offsets, ready for JSON."""
    return [
        place(document, span)
        | {"text": document.span_text(span)}
        | {"legs": {leg: opinion(document, span, spans) for leg, spans in prediction.legs.items()}}
        for span in prediction.spans
    ]


def tokens_json(document: Document, types: np.ndarray, names: Sequence[str]) -> list[dict[str, Any]]:
    """Tokens with character offsets and their probabilities ``[tokens, names]``, ready for JSON."""
    return [
        {
            "start": token.start,
            "end": token.end,
            "text": document.text[token.start : token.end],
            "probabilities": dict(zip(names, row, strict=True)),
        }
        for token, row in zip(document.tokens, types.round(DIGITS).tolist(), strict=True)
    ]


def place(document: Document, span: Span) -> dict[str, Any]:
    """Offsets, label and score of a span."""
    return {
        "start": document.tokens[span.start].start,
        "end": document.tokens[span.end - 1].end,
        "label": span.label,
        "score": None if span.score is None else round(float(span.score), DIGITS),
    }


def opinion(document: Document, span: Span, predicted: Sequence[Span]) -> dict[str, Any]:
    """What a base model predicts where ``span`` is: the span of the same range, else the one that shares most tokens.

    ``predicted`` are the spans of the base model, in order and not overlapping.
    """

    def shared(other: Span) -> int:
        return min(span.end, other.end) - max(span.start, other.start)

    first = bisect_right(predicted, span.start, key=lambda other: other.end)
    after = (predicted[index] for index in range(first, len(predicted)))
    touching = list(takewhile(lambda other: other.start < span.end, after))
    if not touching:
        return {"start": None, "end": None, "label": None, "score": None}
    best = max(touching, key=lambda other: (shared(other), other.start - other.end, other.score or 0.0))
    return place(document, best)
