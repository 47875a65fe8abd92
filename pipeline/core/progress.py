"""Progress bars for a terminal (redrawn) and for a log file (a line every 15 seconds)."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm


def bar(total: int | None, description: str, *, initial: int = 0, unit: str = "it", hidden: bool = False) -> tqdm[Any]:
    """A progress bar on standard error with rate and time left; a context manager.

    ``total`` counts steps of the name ``unit`` (None: unknown); ``initial`` of them are behind a job that resumes.
    ``hidden``: show nothing.
    """
    terminal = sys.stderr.isatty()
    return tqdm(
        total=total,
        desc=description,
        initial=initial,
        unit=unit,
        disable=hidden,
        mininterval=0.5 if terminal else 15.0,
        ascii=None if terminal else True,
        dynamic_ncols=terminal,
    )
