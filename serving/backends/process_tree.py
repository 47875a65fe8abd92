"""The server processes of models with all that they started: signals to them, and the memory they hold."""

from __future__ import annotations

import contextlib
import os

import psutil

from multiner.pipeline.core.processes import tree as family_of


def signal_group(pid: int, number: int) -> None:
    """Send a signal to a process group, if it still is there."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and all its descendants; 0 where there is none."""
    total = 0
    for process in family_of(pid):
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
    return total
