"""The resources that a stage uses: time, CPU time, peak memory. They lie beside the state, not among DVC's outputs.

A stage that was killed and goes on from a checkpoint has the sum of its tries.
"""

from __future__ import annotations

import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from multiner.pipeline.core import processes
from multiner.pipeline.core.files import read_json, write_json

SAMPLE_SECONDS = 2.0  # between two looks at the memory
WRITE_SECONDS = 60.0  # between two writes of the file, for a process that is killed
UNIT = 1 if sys.platform == "darwin" else 1024  # bytes in a unit of ru_maxrss


@dataclass(frozen=True, slots=True)
class Usage:
    """What a stage has used.

    Attributes:
        started: ISO 8601, UTC: the last try's beginning.
        seconds: by the clock, all tries together.
        cpu_seconds: of the process and its children that have ended.
        peak_bytes: resident memory of the process and its descendants together, at most.
        tries: how often it was begun, since a stage that was killed goes on.
        complete: whether it ended well.
    """

    started: str
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    tries: int
    complete: bool


def so_far() -> Usage:
    """What this process and its children that have ended have used since it began."""
    process = psutil.Process()
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return Usage(
        started=datetime.fromtimestamp(process.create_time(), UTC).isoformat(timespec="seconds"),
        seconds=round(time.time() - process.create_time(), 1),
        cpu_seconds=round(own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime, 1),
        peak_bytes=UNIT * max(own.ru_maxrss, children.ru_maxrss),
        tries=1,
        complete=True,
    )


@contextmanager
def recorded(file: Path) -> Iterator[None]:
    """Write what this process uses to ``file``, every minute and at the block's end; a full disk stops nothing."""
    before, peak, over = read(file), 0, threading.Event()
    if before and before.complete:
        before = None

    def write(complete: bool) -> None:
        now = so_far()
        total = Usage(
            now.started,
            round(now.seconds + (before.seconds if before else 0), 1),
            round(now.cpu_seconds + (before.cpu_seconds if before else 0), 1),
            max(now.peak_bytes, peak, before.peak_bytes if before else 0),
            1 + (before.tries if before else 0),
            complete,
        )
        with suppress(OSError):
            write_json(file, asdict(total))

    def watch() -> None:
        nonlocal peak
        written = time.monotonic()
        while not over.wait(SAMPLE_SECONDS):
            peak = max(peak, memory())
            if time.monotonic() - written > WRITE_SECONDS:
                write(complete=False)
                written = time.monotonic()

    watcher = threading.Thread(target=watch, daemon=True, name="resource use")
    watcher.start()
    complete = False
    try:
        yield
        complete = True
    finally:
        over.set()
        watcher.join()
        write(complete)


def memory() -> int:
    """Resident memory of this process and its descendants together, in bytes; what they share counts for each."""
    total = 0
    for process in processes.tree(psutil.Process().pid):
        with suppress(psutil.Error):
            total += process.memory_info().rss
    return total


def read(file: Path) -> Usage | None:
    """The content of a file that :func:`recorded` wrote; None where there is none, or it cannot be read."""
    try:
        return Usage(**read_json(file))
    except (OSError, ValueError, TypeError):
        return None
