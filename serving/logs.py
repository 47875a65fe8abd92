"""Logs of the system's processes: appended to, and moved to numbered copies when they are large.

A process has its log as an inherited descriptor, which a renamed file would keep. So a log is copied and emptied
(logrotate's ``copytruncate``); since it was opened to append, what the process writes next stands at its new end.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout

from multiner.pipeline.core.files import write_atomically
from multiner.serving import executors

log = logging.getLogger("serving")
LARGEST = 10_000_000  # bytes
COPIES = 3
LOOK_SECONDS = 30  # between two looks at the logs' sizes


def open_log(path: Path) -> IO[bytes]:
    """Open a log to append to, for the output of a process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("ab")


def rotate_all(folder: Path) -> None:
    """Rotate the large logs (``*.log``) under a folder; on a full disk they stay as they are."""
    try:
        large = [path for path in folder.rglob("*.log") if path.stat().st_size > LARGEST]
        if not large:
            return
        with FileLock(folder / "rotation.lock", blocking=False):
            for path in large:
                if path.stat().st_size > LARGEST:  # else another process has just rotated it
                    rotate(path)
    except Timeout:  # supervisor and gateway both look
        return
    except OSError as error:
        log.warning("logs not rotated: %s (%s)", error.filename or folder, error.strerror)


def rotate(path: Path) -> None:
    """Move a log's content to its first copy, the first copy to the second, and so on; the last is dropped.

    Raises:
        OSError: it cannot be written; the log stays as it is.
    """
    handler = RotatingFileHandler(path, backupCount=COPIES, delay=True)
    handler.rotator = _copy_and_empty
    try:
        handler.doRollover()
    finally:
        handler.close()


def _copy_and_empty(source: str, target: str) -> None:
    with Path(source).open("r+b") as file:
        with write_atomically(Path(target), "wb") as copy:
            shutil.copyfileobj(file, copy)
        shutil.copymode(source, target)
        with Path(target).open("ab") as copy:
            shutil.copyfileobj(file, copy)  # written in the meantime
            file.truncate(0)


async def keep_rotated(folder: Path) -> None:
    """Rotate a folder's logs at intervals, until cancelled."""
    while True:
        await executors.run(executors.FILES, rotate_all, folder)
        await asyncio.sleep(LOOK_SECONDS)
