"""The form of what a served model answers, checked on every answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class ModelFailed(Exception):
    """The model raised an error, or answered something that is no list of entities."""


def check_predictions(texts: Sequence[str], predictions: Any) -> list[list[dict[str, Any]]]:
    """The entities of each text, with ``text`` taken from the text itself.

    Raises:
        ModelFailed: not one list of entities a text, or offsets outside of the text.
    """
    if not isinstance(predictions, list) or len(predictions) != len(texts):
        raise ModelFailed("the model did not answer every text")
    checked = []
    for text, prediction in zip(texts, predictions, strict=True):
        entities = prediction.get("entities") if isinstance(prediction, dict) else None
        if not isinstance(entities, list):
            raise ModelFailed("the model's answer has no list of entities")
        for entity in entities:
            start, end = entity.get("start"), entity.get("end")
            if not (isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(text)):
                raise ModelFailed(f"the model's offsets {start}:{end} lie outside of the text")
            if not isinstance(entity.get("label"), str) or entity.get("text") != text[start:end]:
                raise ModelFailed(f"the model's text at {start}:{end} is not what stands there")
        checked.append(entities)
    return checked
