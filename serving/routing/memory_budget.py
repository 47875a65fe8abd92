"""Whether there is enough memory to keep the previous version warm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import psutil

from multiner.serving.backends.backend import Backend

Keep = bool | Literal["auto"]
TIMES = 2  # available memory, in multiples of the version's own, that keeping it takes
GROUP = Path("/sys/fs/cgroup")


def keeper(keep: Keep) -> Callable[[Backend], bool]:
    """The rule of ``serving.keep_previous``: always, never, or while memory permits (``auto``)."""
    if keep == "auto":
        return lambda backend: available_bytes() > TIMES * backend.memory
    return lambda backend: keep


def available_bytes(group: Path = GROUP) -> int:
    """Bytes available without swapping, on the machine or in the container, whichever is less.

    Source: https://docs.kernel.org/admin-guide/cgroup-v2.html (``memory.max``, ``memory.current``, ``memory.stat``)
    """
    machine = psutil.virtual_memory().available
    try:
        most = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no limit ("max"), or not Linux
        return machine
    return min(machine, most - used + int(stat.get("inactive_file", 0)))
