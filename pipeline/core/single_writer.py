"""One writer at a time."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from multiner.pipeline.core.errors import NerError


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
