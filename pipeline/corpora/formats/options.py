"""The options of a format: the keyword-only arguments of its reader and of its writer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import Parameter, signature
from typing import Any, get_type_hints

from multiner.pipeline.core.errors import NerError


def options_of(function: Callable[..., Any]) -> dict[str, Parameter]:
    """The options of a reader or writer: its keyword-only arguments."""
    return {name: each for name, each in signature(function).parameters.items() if each.kind is Parameter.KEYWORD_ONLY}


def checked_options(function: Callable[..., Any], options: Mapping[str, Any], purpose: str) -> dict[str, Any]:
    """The options of a reader or writer, words turned into numbers and truth values where it takes these.

    Raises:
        NerError: there is no such option, or its value is of another kind.
    """
    parameters, hints = options_of(function), get_type_hints(function)
    values: dict[str, Any] = {}
    for name, value in options.items():
        key = name.replace("-", "_")
        if key not in parameters:
            choices = f"Its options are: {', '.join(parameters)}." if parameters else "It has no options."
            raise NerError(f"{purpose}: there is no option {name!r}", remedy=choices)
        try:
            values[key] = _converted(value, hints[key])
        except ValueError:
            raise NerError(
                f"{purpose}: {name} cannot be {value!r}", remedy=f"For example: {name}={parameters[key].default}"
            ) from None
    return values


def _converted(value: Any, hint: Any) -> Any:
    if hint is int:
        return int(value)
    if hint is bool and isinstance(value, str):
        try:
            return {"true": True, "false": False, "yes": True, "no": False}[value.lower()]
        except KeyError:
            raise ValueError(value) from None
    return value
