"""Nested parameters and figures under the flat names that MLflow takes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any

from multiner.pipeline.config.settings import for_language

ODD = re.compile(r"[^\w\-. :/]")  # characters that MLflow takes in no name
RUNTIME = ("pull", "serving", "airflow")  # sections that do not concern a model


def flatten(value: Any, separator: str = ".", prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names and leaves of nested mappings; a list is a leaf."""
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from flatten(below, separator, f"{prefix}{separator}{key}" if prefix else str(key))
    elif prefix:
        yield prefix, value


def model_params(params: Mapping[str, Any], language: str) -> dict[str, str]:
    """The parameters of a language's model, by dotted name."""
    sections = {key: value for key, value in for_language(params, language).items() if key not in RUNTIME}
    return {name: str(value) for name, value in flatten(sections)}


def final_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Figures by name: ``<corpus>/<split>/<system>/f1``, ``…/<system>/<type>/f1``, ``minutes/total`` …"""
    others = {key: value for key, value in metrics.items() if key not in ("corpora", "seed", "threads")}
    figures = [*flatten(metrics.get("corpora", {}), "/"), *flatten(others, "/")]
    return {ODD.sub("_", name.replace("/per_type/", "/")): float(value) for name, value in figures if _is_number(value)}


def history_metrics(leg: str, history: list[Mapping[str, Any]]) -> Iterator[tuple[str, float, int]]:
    """Name, value and step of every figure in a base model's training history."""
    for entry in history:
        for key, value in entry.items():
            if key != "step" and _is_number(value):
                yield f"{leg}/{key}", float(value), int(entry["step"])


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
