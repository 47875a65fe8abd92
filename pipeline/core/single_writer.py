"""One writer at a time, and none that outlives the command that started it."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from multiner.pipeline.core.errors import NerError


def follow_parent(name: str = "dvc", seconds: float = 1.0) -> None:
    """End this process soon after the ``dvc`` command that started it has died.

    ``kill -9`` of ``dvc repro`` leaves its stage running; a second run would then train beside it. Without such a
    command among the ancestors, nothing is watched.
    """
    chain: list[psutil.Process] = []
    for ancestor in psutil.Process().parents():
        chain.append(ancestor)
        if any(name in Path(part).name for part in ancestor.cmdline()[:4]):
            break
    else:
        return

    def watch() -> None:
        while all(alive(process) for process in chain):
            time.sleep(seconds)
        os._exit(143)

    threading.Thread(target=watch, daemon=True, name="lifeline").start()


def alive(process: psutil.Process) -> bool:
    """Whether a process still runs; one that ends while it is looked at does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def only_one(lock: Path, *, patience: float = 30.0) -> Iterator[None]:
    """Hold an exclusive lock file; the kernel frees it however the holder ends.

    Raises:
        NerError: another process still holds it after ``patience`` seconds.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+") as file:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    file.seek(0)
                    raise NerError(
                        f"process {file.read().strip() or '?'} is already at this work",
                        where=str(lock),
                        remedy="Wait for it, or end it; then run the same command again.",
                        transient=True,
                    ) from None
                time.sleep(0.5)
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield
