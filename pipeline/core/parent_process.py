"""A stage of DVC ends with the command that started it."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import psutil


def follow_parent(name: str = "dvc", seconds: float = 1.0) -> None:
    """End this process soon after the ``dvc`` command that started it has died.

    ``kill -9`` of ``dvc repro`` leaves its stage running, and a second run would train beside it. Nothing is watched
    where no ancestor is such a command.
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
    """Whether a process runs; False, too, where it ends during the check."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
