"""The report of a verdict: one HTML page that loads nothing from elsewhere and has no text of the corpora."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multiner.pipeline.registry.gate.noninferiority import MEAN

TEMPLATE = Path(__file__).with_name("verdict.html")


def page(record: Mapping[str, Any]) -> str:
    """The page of a verdict.

    Args:
        record: ``model``, ``version``, ``champion``, ``passed``, ``final``, ``reasons``, ``at``, and the verdict's
            details as far as the gate came.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(record=record, mean=MEAN)
