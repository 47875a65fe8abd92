"""Nested parameters and figures as the flat names MLflow takes; pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any

from multiner.pipeline.config.settings import for_language

ODD = re.compile(r"[^\w\-. :/]")  # what MLflow takes in no name
RUNTIME = ("pull", "serving", "airflow")  # sections that say nothing about a model


def flatten(value: Any, separator: str = ".", prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names and leaves of nested mappings; a list is a leaf."""
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from flatten(below, separator, f"{prefix}{separator}{key}" if prefix else str(key))
    elif prefix:
        yield prefix, value


def model_params(params: Mapping[str, Any], language: str) -> dict[str, str]:
    """The parameters that a language's model was made with, by dotted name."""
    kept = {key: value for key, value in for_language(params, language).items() if key not in RUNTIME}
    return {name: str(value) for name, value in flatten(kept)}


def final_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Figures by name: ``<corpus>/<split>/<system>/f1``, ``…/<system>/<type>/f1``, ``minutes/total`` …"""
    kept = {key: value for key, value in metrics.items() if key not in ("corpora", "seed", "threads")}
    figures = [*flatten(metrics.get("corpora", {}), "/"), *flatten(kept, "/")]
    return {ODD.sub("_", name.replace("/per_type/", "/")): float(value) for name, value in figures if _is_number(value)}


def history_metrics(leg: str, history: list[Mapping[str, Any]]) -> Iterator[tuple[str, float, int]]:
    """Name, value and step of every figure in a leg's training history."""
    for entry in history:
        for key, value in entry.items():
            if key != "step" and _is_number(value):
                yield f"{leg}/{key}", float(value), int(entry["step"])


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
