"""Finding and ending every process of a workspace's system, however it came to be and whoever its parent is now."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

import psutil

MARK = "NER_SYSTEM"  # every process that the system starts carries the workspace's path in this variable
PR_SET_CHILD_SUBREAPER = 36
TIED = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the system has gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


def adopt_orphans() -> None:
    """Make this process the parent of whatever its descendants leave behind, so that nothing slips away (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def tied(command: list[str]) -> list[str]:
    """``command`` such that it ends when this process ends, even by SIGKILL (Linux); call it from the main thread."""
    return [sys.executable, "-I", "-c", TIED, str(os.getpid()), *command]


def marked(root: Path) -> list[psutil.Process]:
    """Processes that belong to a workspace's system, without this one and its ancestors."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid not in own and process.environ().get(MARK) == str(root):
                found.append(process)
        except (psutil.Error, OSError):  # gone meanwhile, or another user's
            continue
    return found


def members(root: Path) -> list[psutil.Process]:
    """The marked processes, and all that descend from this one."""
    together = {process.pid: process for process in [*psutil.Process().children(recursive=True), *marked(root)]}
    return [process for process in together.values() if _alive(process)]


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _signal(processes: list[psutil.Process], number: int) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.Error:
            continue


def end_all(root: Path, patience: float = 15.0) -> int:
    """End every process of the system: SIGTERM, and SIGKILL for what is there ``patience`` seconds later.

    Returns:
        how many had to be killed.
    """
    _signal(members(root), signal.SIGTERM)
    deadline = time.monotonic() + patience
    while (left := members(root)) and time.monotonic() < deadline:
        psutil.wait_procs(left, timeout=0.5)
    killed = 0
    for _ in range(20):  # what is killed may have started something in its last moment
        if not (left := members(root)):
            break
        killed += len(left)
        _signal(left, signal.SIGKILL)
        psutil.wait_procs(left, timeout=1)
    reap()
    return killed


def reap(keep: frozenset[int] = frozenset()) -> None:
    """Collect adopted children that have ended, without taking the exit codes of those in ``keep``."""
    for child in psutil.Process().children():
        try:
            if child.pid not in keep and child.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(child.pid, os.WNOHANG)
        except (psutil.Error, ChildProcessError):
            continue
