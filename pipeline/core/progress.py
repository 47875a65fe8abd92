"""Progress bars for a terminal (redrawn) and for a log file (a line every 15 seconds)."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm


def bar(total: int | None, description: str, *, initial: int = 0, unit: str = "it") -> tqdm[Any]:
    """A progress bar on standard error with rate and time left; a context manager.

    Args:
        total: number of steps; None: unknown.
        description: name of the job.
        initial: number of steps that a resumed job has behind it.
        unit: name of a step.
    """
    terminal = sys.stderr.isatty()
    return tqdm(
        total=total,
        desc=description,
        initial=initial,
        unit=unit,
        mininterval=0.5 if terminal else 15.0,
        ascii=None if terminal else True,
        dynamic_ncols=terminal,
    )
