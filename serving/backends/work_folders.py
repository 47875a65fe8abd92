"""The work folders of model servers, which are removed with their server or, after a crash, by the next gateway.

The gateway locks a folder, and the server's process inherits the lock; the kernel frees it when both have ended. So a
folder that can be locked is left over from a killed gateway.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from filelock import FileLock

PREFIX = "ner-model-"


@dataclass(frozen=True, slots=True)
class WorkFolder:
    """A server's folder, private to the user, and the descriptor of its lock, which the process inherits."""

    path: Path
    lock: int

    def remove(self) -> None:
        """Remove the folder with its content. May be called once only."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self.lock)


def work_folder(parent: Path | None = None) -> WorkFolder:
    """A new folder in ``parent``, or in the system's temporary folder."""
    if parent is None:
        return _locked(mkdtemp(prefix=PREFIX))
    parent.mkdir(parents=True, exist_ok=True)
    with FileLock(parent / ".lock"):  # else the folder could be removed before it is locked
        return _locked(mkdtemp(prefix=PREFIX, dir=parent))


def remove_leftovers(parent: Path) -> list[Path]:
    """Remove the folders in ``parent`` whose servers have ended; returns them."""
    if not parent.is_dir():
        return []
    removed = []
    with FileLock(parent / ".lock"):
        for path in sorted(parent.glob(f"{PREFIX}*")):
            with contextlib.suppress(OSError):  # held: its server lives
                _locked(path).remove()
                removed.append(path)
    return removed


def _locked(path: str | Path) -> WorkFolder:
    """Lock a folder; raises OSError if another process holds it, or it is not a folder."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return WorkFolder(Path(path), descriptor)
