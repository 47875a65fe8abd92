"""The reference of the Python API: mkdocstrings' directives for the public names, whose docstrings it reads."""

from __future__ import annotations

from pathlib import Path

import multiner


def markdown(root: Path) -> str:
    """A directive for each name of ``multiner.__all__``; in the order in which a newcomer needs them."""
    first = [name for name in ("load", "Client", "AsyncClient") if name in multiner.__all__]
    names = [*first, *(name for name in multiner.__all__ if name not in first)]
    return "\n\n".join(f"::: multiner.{name}" for name in names)
