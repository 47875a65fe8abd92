"""The answer of an ensemble to a text, ready for JSON: entities with character offsets, and on request tokens.

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

DIGITS = 6  # decimals of a score


def answer_text(ensemble: Ensemble, text: str, *, tokens: bool = False) -> dict[str, Any]:
    """The answer to one text; lone surrogates, which no encoder takes, are read as U+FFFD."""
    check_cancelled()
    document = document_from_text(without_surrogates(text), ensemble.language)
    if not document.tokens:
        return {"entities": []} | ({"tokens": []} if tokens else {})
    prediction = ensemble.predict([document], types=tokens)[0]
    document = replace(document, text=text)
    answer: dict[str, Any] = {"entities": as_json(document, prediction)}
    if prediction.types is not None:
        answer["tokens"] = tokens_json(document, prediction.types, ["O", *ensemble.types])
    return answer


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
