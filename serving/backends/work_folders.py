"""The folders that model servers work in: gone with their server, or removed once nothing holds them any more.

A folder is locked by the gateway and by its server's process, which inherits the lock: the system frees it when both
have ended, however they end. So a folder that can be locked is left over from a gateway that was killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

PREFIX = "ner-model-"


@dataclass(frozen=True, slots=True)
class WorkFolder:
    """A server's folder, which only its user can enter, and the descriptor that holds its lock, for the process."""

    path: Path
    lock: int

    def remove(self) -> None:
        """Remove it with all that is in it. Not to be called twice."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self.lock)


def work_folder(parent: Path | None = None) -> WorkFolder:
    """A new folder in ``parent``, or among the system's temporary ones."""
    if parent is None:
        return _locked(mkdtemp(prefix=PREFIX))
    parent.mkdir(parents=True, exist_ok=True)
    with _alone(parent):
        return _locked(mkdtemp(prefix=PREFIX, dir=parent))


def remove_leftovers(parent: Path) -> list[Path]:
    """Remove the folders in ``parent`` whose servers live no more; returns them."""
    if not parent.is_dir():
        return []
    removed = []
    with _alone(parent):
        for path in sorted(parent.glob(f"{PREFIX}*")):
            with contextlib.suppress(OSError):  # held: its server lives
                _locked(path).remove()
                removed.append(path)
    return removed


def _locked(path: str | Path) -> WorkFolder:
    """The folder, locked.

    Raises:
        OSError: another holds it, or it is no folder.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return WorkFolder(Path(path), descriptor)


@contextmanager
def _alone(parent: Path) -> Iterator[None]:
    """Nobody removes a folder between its making and its locking."""
    with (parent / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
