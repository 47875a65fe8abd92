"""The form of what a served model answers, checked on every answer."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any


class ModelFailed(Exception):
    """The model raised an error, or answered something that is no list of entities."""


class NoTokens(Exception):
    """The model version was registered before models could tell tokens."""


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
        start, end = (token.get("start"), token.get("end")) if isinstance(token, dict) else (None, None)
        if not (isinstance(start, int) and isinstance(end, int) and last <= start < end <= len(text)):
            raise ModelFailed("the model's tokens are out of order, or lie outside of the text")
        chances = token.get("probabilities")
        if token.get("text") != text[start:end] or not isinstance(chances, dict):
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
