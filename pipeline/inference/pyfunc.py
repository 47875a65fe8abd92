"""The model that MLflow serves: texts in, entities out. MLflow stores this file (models from code).

It imports no training code. A registered model has a copy of all modules it imports, so its answers do not change.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd  # MLflow reads the hint of `predict`, so not for type checking alone
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from multiner.pipeline.core.document import Document, Span
    from multiner.pipeline.ensemble.model import Prediction

COLUMN = "text"
BATCH = 32  # texts whose windows share the encoder's calls
DIGITS = 6  # decimals of a score


class NerModel(PythonModel):
    """An ensemble behind MLflow's pyfunc interface.

    Input: a table with the column ``text``. Output: for each row ``{"entities": [...]}``, in order; an entity has
    ``start`` and ``end`` (Unicode code points into the text as sent, ``text[start:end]`` is the entity), ``text``,
    ``label``, ``score`` and ``legs``: for each base model ``label``, ``score``, ``start`` and ``end`` of its span
    there, or nulls.

    Parameters: with ``tokens`` each row also has ``"tokens": [...]``, each with ``start``, ``end``, ``text`` and
    ``probabilities`` by type and of ``O``, which sum to 1; ``call`` names the call, and ``cancel`` names a call to
    cancel instead of answering (see :mod:`multiner.pipeline.inference.cancelled_calls`).
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Load the ensemble from the model's artifacts."""
        from multiner.pipeline.ensemble.model import Ensemble

        legs = {name: Path(path) for name, path in context.artifacts.items() if name != "ensemble"}
        self.ensemble = Ensemble.load(Path(context.artifacts["ensemble"]), legs)

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """The entities of each text; no answer depends on the other texts.

        Raises:
            ValueError: there is no column ``text``, or a value is no string.
            Cancelled: the call was cancelled.
            ModelError: any other error.
        """
        from multiner.pipeline.core.cancellation import cancelled_when
        from multiner.pipeline.inference.cancelled_calls import CALL, CANCEL, cancel, is_cancelled

        params = params or {}
        if call := params.get(CANCEL):
            cancel(call)
            return []
        if COLUMN not in getattr(model_input, "columns", ()):
            raise ValueError(f"the input needs a column {COLUMN!r}")
        texts = [checked(value, row) for row, value in enumerate(model_input[COLUMN].tolist())]
        with cancelled_when(partial(is_cancelled, params.get(CALL, ""))), quoting_nothing():
            return [
                answer
                for start in range(0, len(texts), BATCH)
                for answer in self.answers(texts[start : start + BATCH], tokens=params.get("tokens", False))
            ]

    def answer(self, text: str, *, tokens: bool = False) -> dict[str, Any]:
        """The answer to one text."""
        return self.answers([text], tokens=tokens)[0]

    def answers(self, texts: Sequence[str], *, tokens: bool = False) -> list[dict[str, Any]]:
        """The answer to each text; lone surrogates, which no encoder takes, are read as U+FFFD."""
        from multiner.pipeline.core.cancellation import check_cancelled
        from multiner.pipeline.text.surrogates import without_surrogates
        from multiner.pipeline.text.tokenizer import document_from_text

        documents = []
        for text in texts:
            check_cancelled()
            documents.append(document_from_text(without_surrogates(text), self.ensemble.language))
        filled = [index for index, document in enumerate(documents) if document.tokens]
        predictions = self.ensemble.predict([documents[index] for index in filled], types=tokens)
        answers: list[dict[str, Any]] = [{"entities": []} | ({"tokens": []} if tokens else {}) for _ in texts]
        for index, prediction in zip(filled, predictions, strict=True):
            document = replace(documents[index], text=texts[index])
            answers[index]["entities"] = as_json(document, prediction)
            if prediction.types is not None:
                answers[index]["tokens"] = tokens_json(document, prediction.types, ["O", *self.ensemble.types])
        return answers


class ModelError(Exception):
    """The model failed on a text; the message says where it failed, and quotes nothing of the text."""


@contextmanager
def quoting_nothing() -> Iterator[None]:
    """Keep the messages of errors to this process: they may quote a text, and MLflow answers and logs them.

    Raises:
        Cancelled: unchanged.
        ModelError: in place of any other error; it names the error's type and place.
    """
    from multiner.pipeline.core.cancellation import Cancelled

    try:
        yield
    except Cancelled:
        raise
    except Exception as error:
        from multiner.pipeline.core.error_location import origin

        raise ModelError(f"a text could not be read: {origin(error)}") from None


def checked(value: Any, row: int) -> str:
    """The text of a row; a missing value is an empty text. Raises ValueError for anything but a string."""
    if value is None or (isinstance(value, float) and math.isnan(value)) or type(value).__name__ == "NAType":
        return ""
    if not isinstance(value, str):
        raise ValueError(f"row {row}: expected a text, got {type(value).__name__}")
    return value


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


set_model(NerModel())
