"""Lock files: their kinds, how long a process waits for each kind, and its message if the lock stays held.

The kernel locks the file (flock) and frees it when the holder ends, however it ends. The file holds the holder's
process id, and stays: if it were removed, two processes could each lock a file of that name.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from multiner.pipeline.core.errors import NerError

log = logging.getLogger(__name__)
LOCK_FOLDER = "NER_LOCK_FOLDER"  # of the registry's lock files, in place of mlruns
SILENT_SECONDS = 1  # a shorter wait is not logged


@dataclass(frozen=True, slots=True)
class LockKind:
    """What a lock protects, as messages call it, and the seconds that another process waits for it."""

    subject: str
    seconds: float


TRAINING = LockKind("this training", 30)
DVC_COMMAND = LockKind("a DVC command", 0)  # each command has a file of its own
DVC_REMOTE = LockKind("the choice of DVC's remote", 30)  # held for milliseconds
REGISTRY = LockKind("the model registry", 300)  # longest while a registration copies a model
GATE = LockKind("the gate", 7200)  # the gate itself takes minutes
SEARCH = LockKind("the search's database", 300)  # only while it is made
GROWING = LockKind("the growing corpora", 600)
REVIEW_QUEUE = LockKind("the review queue", math.inf)  # held for milliseconds


@contextmanager
def hold(path: Path, kind: LockKind) -> Iterator[None]:
    """Hold the lock file ``path``; log who holds it while this process waits (a command logs to the terminal).

    Raises NerError if another process still holds it after ``kind.seconds``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    silent = min(SILENT_SECONDS, kind.seconds)
    try:
        try:
            lock.acquire(timeout=silent)
        except Timeout:
            log.warning("waiting for %s, which holds the lock of %s: %s", _holder(path), kind.subject, path)
            lock.acquire(timeout=kind.seconds - silent)
    except Timeout:
        raise NerError(
            f"{_holder(path)} still holds this lock of {kind.subject} after {kind.seconds:g} seconds",
            where=str(path),
            remedy="Wait until that process is done, or end it; then try again. Nothing was changed.",
            transient=True,
        ) from None
    try:
        path.write_text(str(os.getpid()), encoding="utf-8")
        yield
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Whether a process, on whatever machine, holds the lock file ``path``."""
    if not path.is_file():
        return False
    try:
        with FileLock(path, blocking=False):
            return False
    except Timeout:
        return True


def _holder(path: Path) -> str:
    number = path.read_text(encoding="utf-8").strip()
    return f"process {number}" if number else "another process"
