"""Figures of the benchmark of training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TRAINER, OURS = "Hugging Face's `Trainer`", "`ner train transformer`"


@dataclass(frozen=True)
class Figure:
    """A training; the seconds are those of an epoch."""

    system: str
    precision: str
    steps: int
    seconds: float
    cpu_seconds: float
    words_per_second: float
    ratio: float
    """Of seconds, the Trainer's by these."""
    dev_f1: float


def table(result: Mapping[str, Any]) -> str:
    """The figures of a result as Markdown."""
    lines = ["| System | precision | steps | seconds an epoch | CPU seconds | words/s | ratio | development F1 |",
             "|---|---|" + "---:|" * 6]  # fmt: skip
    lines += [f"| {' | '.join(map(str, figure.values()))} |" for figure in result["figures"]]
    return "\n".join(lines)
