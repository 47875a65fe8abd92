"""Whether there is the memory to keep the version before warm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import psutil

from multiner.serving.backends.backend import Backend

Keep = bool | Literal["auto"]
TIMES = 2  # its own memory that must be available beside it
GROUP = Path("/sys/fs/cgroup")


def keeper(keep: Keep) -> Callable[[Backend], bool]:
    """The rule that ``serving.keep_previous`` names: always, never, or as long as the memory permits (``auto``)."""
    if keep == "auto":
        return lambda backend: available_bytes() > TIMES * backend.memory
    return lambda backend: keep


def available_bytes(group: Path = GROUP) -> int:
    """Memory that can be had without swapping: of the machine, or of the container if that is less.

    Source: https://docs.kernel.org/admin-guide/cgroup-v2.html (``memory.max``, ``memory.current``, ``memory.stat``)
    """
    machine = psutil.virtual_memory().available
    try:
        most = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no such limit ("max"), or another kind of system
        return machine
    return min(machine, most - used + int(stat.get("inactive_file", 0)))
