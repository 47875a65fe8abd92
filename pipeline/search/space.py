"""The search space: the ranges in ``search.transformer`` of params.yaml, and values in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from multiner.pipeline.config.settings import Workspace

if TYPE_CHECKING:
    from optuna import Trial


def suggest(trial: Trial, space: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The values of a trial by parameter, from the ranges of ``search.transformer``."""
    values: dict[str, Any] = {}
    for key, span in space.items():
        if choices := span.get("choices"):
            values[key] = trial.suggest_categorical(key, choices)
        elif isinstance(span["low"], int) and isinstance(span["high"], int):
            values[key] = trial.suggest_int(key, span["low"], span["high"], log=span.get("log", False))
        else:
            values[key] = trial.suggest_float(key, span["low"], span["high"], log=span.get("log", False))
    return rounded(values)


def rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with three significant digits, as they are trained with and written."""
    return {key: float(f"{value:.3g}") if isinstance(value, float) else value for key, value in values.items()}


def current_values(workspace: Workspace, language: str) -> dict[str, Any] | None:
    """The current values of the searched parameters; None if one lies outside its range."""
    section = workspace.section("transformer", language)
    space = workspace.params["search"]["transformer"]
    for key, span in space.items():
        value = section[key]
        if value not in span["choices"] if "choices" in span else not span["low"] <= value <= span["high"]:
            return None
    return {key: section[key] for key in space}
