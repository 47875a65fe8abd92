"""What a served model answers: its errors, and the check of every answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import httpx

from multiner.pipeline.core.error_location import origin_of_text

MODEL_RAISED = "Encountered an unexpected error while evaluating the model"  # how MLflow's message then begins


class ModelFailed(Exception):
    """The model raised an error, or its answer is not valid."""


class NoTokens(Exception):
    """The model version was registered before models could give tokens."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why MLflow gave no predictions: whether the model ``raised`` an error, and the ``reason`` for the log."""

    raised: bool
    reason: str


def failure(response: httpx.Response) -> Failure:
    """What MLflow's error means. Its message and stack trace may quote the text, so the reason has neither."""
    try:
        value = response.json()
        code, message, trace = (str(value.get(name) or "") for name in ("error_code", "message", "stack_trace"))
    except (ValueError, AttributeError):
        return Failure(False, "not a JSON object")
    reason = f"{code[:100] or 'no code'}; {origin_of_text(trace) or 'no trace'}"
    return Failure(message.startswith(MODEL_RAISED), reason)


def check_predictions(texts: Sequence[str], predictions: Any) -> list[list[dict[str, Any]]]:
    """The entities of each text, with ``text`` taken from the text itself.

    Raises:
        ModelFailed: the answer lacks a text, or an entity or token is not valid: its offsets, text, or numbers.
    """
    if not isinstance(predictions, list) or len(predictions) != len(texts):
        raise ModelFailed("the model did not answer every text")
    answers = []
    for text, prediction in zip(texts, predictions, strict=True):
        entities = prediction.get("entities") if isinstance(prediction, dict) else None
        if not isinstance(entities, list):
            raise ModelFailed("the model's answer has no list of entities")
        for entity in entities:
            _check_entity(text, entity)
        if "tokens" in prediction:
            _check_tokens(text, prediction["tokens"])
        answers.append(entities)
    return answers


def _check_tokens(text: str, tokens: Any) -> None:
    if not isinstance(tokens, list):
        raise ModelFailed("the model's tokens are not a list")
    last = 0
    for token in tokens:
        start, last = _place(text, token, "token", last)
        probabilities = token.get("probabilities")
        values = probabilities.values() if isinstance(probabilities, dict) else [None]
        if not all(isinstance(value, int | float) and 0 <= value <= 1 for value in values):
            raise ModelFailed(f"the token at {start}:{last} has a probability that is not from 0 to 1")


def _check_entity(text: str, entity: Any) -> None:
    start, end = _place(text, entity, "entity")
    if not isinstance(entity.get("label"), str):
        raise ModelFailed(f"the model's entity at {start}:{end} has no label")
    score, legs = entity.get("score"), entity.get("legs") or {}
    if score is not None and not (isinstance(score, int | float) and isfinite(score)):
        raise ModelFailed("a score of the model is not a number")
    if not isinstance(legs, dict) or not all(_is_view(text, view) for view in legs.values()):
        raise ModelFailed(f"a leg's view of the entity at {start}:{end} is not valid")


def _place(text: str, value: Any, kind: str, first: int = 0) -> tuple[int, int]:
    """The offsets of an entity or a token, which begins at ``first`` or later."""
    start, end = (value.get("start"), value.get("end")) if isinstance(value, dict) else (None, None)
    if not (isinstance(start, int) and isinstance(end, int) and first <= start < end <= len(text)):
        raise ModelFailed(f"the model's {kind} at {start}:{end} is out of order, or lies outside of the text")
    if value.get("text") != text[start:end]:
        raise ModelFailed(f"the model's {kind} at {start}:{end} has another text")
    return start, end


def _is_view(text: str, view: Any) -> bool:
    """Whether ``view`` is a leg's view of a span: an object whose offsets are within the text, or None."""
    places = [view.get("start"), view.get("end")] if isinstance(view, dict) else [-1]
    return all(place is None or (isinstance(place, int) and 0 <= place <= len(text)) for place in places)
