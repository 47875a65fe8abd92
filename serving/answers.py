"""The form of what a served model answers, checked on every answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import httpx

from multiner.pipeline.core.error_location import origin_of_text

MODEL_RAISED = "Encountered an unexpected error while evaluating the model"  # how MLflow's message then begins


class ModelFailed(Exception):
    """The model raised an error, or answered something that is no list of entities."""


class NoTokens(Exception):
    """The model version was registered before models could tell tokens."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why MLflow gave no predictions: ``raised`` by the model; ``reason`` is for the log and quotes no text."""

    raised: bool
    reason: str


def failure(response: httpx.Response) -> Failure:
    """What an error of MLflow's says; its message and stack trace may quote the text, and are not kept."""
    try:
        value = response.json()
        code, message, trace = (str(value.get(name) or "") for name in ("error_code", "message", "stack_trace"))
    except (ValueError, AttributeError):
        return Failure(False, "out of form")
    return Failure(
        message.startswith(MODEL_RAISED), f"{code[:100] or 'no code'}; {origin_of_text(trace) or 'no trace'}"
    )


def check_predictions(texts: Sequence[str], predictions: Any) -> list[list[dict[str, Any]]]:
    """The entities of each text, with ``text`` taken from the text itself.

    Raises:
        ModelFailed: not one list of entities a text, offsets outside of the text, or scores that are no numbers; where
            tokens are told, the same of them.
    """
    if not isinstance(predictions, list) or len(predictions) != len(texts):
        raise ModelFailed("the model did not answer every text")
    checked = []
    for text, prediction in zip(texts, predictions, strict=True):
        entities = prediction.get("entities") if isinstance(prediction, dict) else None
        if not isinstance(entities, list):
            raise ModelFailed("the model's answer has no list of entities")
        for entity in entities:
            _check_entity(text, entity)
        if "tokens" in prediction:
            _check_tokens(text, prediction["tokens"])
        checked.append(entities)
    return checked


def _check_tokens(text: str, tokens: Any) -> None:
    last = 0
    for token in tokens if isinstance(tokens, list) else [None]:
        fields = token if isinstance(token, dict) else {}
        start, end = fields.get("start"), fields.get("end")
        if not (isinstance(start, int) and isinstance(end, int) and last <= start < end <= len(text)):
            raise ModelFailed("the model's tokens are out of order, or lie outside of the text")
        chances = fields.get("probabilities")
        if fields.get("text") != text[start:end] or not isinstance(chances, dict):
            raise ModelFailed(f"the model's token at {start}:{end} is out of form")
        if not all(isinstance(chance, int | float) and 0 <= chance <= 1 for chance in chances.values()):
            raise ModelFailed(f"the probabilities of the token at {start}:{end} are none")
        last = end


def _check_entity(text: str, entity: Any) -> None:
    if not isinstance(entity, dict):
        raise ModelFailed("an entity of the model is no object")
    start, end = entity.get("start"), entity.get("end")
    if not (isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(text)):
        raise ModelFailed(f"the model's offsets {start}:{end} lie outside of the text")
    if not isinstance(entity.get("label"), str) or entity.get("text") != text[start:end]:
        raise ModelFailed(f"the model's text at {start}:{end} is not what stands there")
    score, legs = entity.get("score"), entity.get("legs") or {}
    if score is not None and not (isinstance(score, int | float) and isfinite(score)):
        raise ModelFailed("a score of the model is no number")
    if not isinstance(legs, dict) or not all(_is_view(text, view) for view in legs.values()):
        raise ModelFailed(f"what the model's legs say at {start}:{end} is out of form")


def _is_view(text: str, view: Any) -> bool:
    """Whether it is what a leg says about a span: offsets within the text, or none."""
    places = [view.get("start"), view.get("end")] if isinstance(view, dict) else [-1]
    return all(place is None or (isinstance(place, int) and 0 <= place <= len(text)) for place in places)
