"""Processes that leave nothing behind: each ends with its parent, and those of a workspace's system end together.

A process that the project starts is tied to its parent (:func:`tied`); only the gateway and a detached supervisor
outlive the command that starts them. A stage, which DVC starts, watches DVC (:func:`end_with_dvc`). The processes of a
workspace's system have a mark in their environment, by which they are found whatever their parents are (:func:`mark`).
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import psutil

MARK = "NER_SYSTEM"  # the variable that holds the workspace's path
ROUNDS = 20  # of SIGKILL: what is killed may have started something in its last moment
# exec'd in between: the kernel sends SIGTERM when the parent ends, even by SIGKILL (prctl's PR_SET_PDEATHSIG, Linux)
_TIED = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the process that started this one has ended")
os.execvp(sys.argv[2], sys.argv[2:])
"""


def tied(command: Iterable[str]) -> list[str]:
    """``command`` such that its process gets SIGTERM when this one ends (Linux).

    The kernel watches the thread that starts the process: it must live as long as the process, as the main thread does.
    """
    return [sys.executable, "-IS", "-c", _TIED, str(os.getpid()), *command]


def end_with_dvc(seconds: float = 1.0) -> None:
    """Watch the ``dvc`` command among this process's ancestors, if there is one, and end soon after it has ended.

    ``kill -9`` of ``dvc repro`` leaves its stage running, and a second run would train beside it. A shell may stand
    between the two, so every process up to DVC is watched.
    """
    chain: list[psutil.Process] = []
    for ancestor in psutil.Process().parents():
        chain.append(ancestor)
        if any("dvc" in Path(part).name for part in ancestor.cmdline()[:4]):
            break
    else:
        return

    def watch() -> None:
        while len(running(chain)) == len(chain):
            time.sleep(seconds)
        os._exit(143)

    threading.Thread(target=watch, daemon=True, name="end with DVC").start()


def mark(root: Path) -> dict[str, str]:
    """The environment variables of every process of a workspace's system."""
    # setproctitle, which Airflow uses, else writes its titles over the environment that other processes see
    return {MARK: str(root), "SPT_NOENV": "1"}


def marked(root: Path) -> list[psutil.Process]:
    """The running processes with a workspace's mark, without this one and its ancestors."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    processes = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # it has ended, or belongs to another user
            if process.pid not in own and process.environ().get(MARK) == str(root):
                processes.append(process)
    return running(processes)


def tree(pid: int) -> list[psutil.Process]:
    """A process, then all its descendants; empty where there is no such process."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def is_running(process: psutil.Process) -> bool:
    """Whether a process runs; not, where it is a zombie or ends during the check."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def running(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those of ``processes`` that run."""
    return [process for process in processes if is_running(process)]


def still_runs(pid: int, created: float) -> bool:
    """Whether the process with this id runs and started at ``created`` (seconds since the epoch; ids recur)."""
    try:
        process = psutil.Process(pid)
        return is_running(process) and abs(process.create_time() - created) < 2
    except psutil.Error:
        return False


def end(
    find: Callable[[], list[psutil.Process]], *, patience: float = 15.0, first: Iterable[psutil.Process] | None = None
) -> int:
    """End processes: SIGTERM, and SIGKILL to those that run ``patience`` seconds later; returns how many were killed.

    Args:
        find: returns the ones that still run, those included that were started meanwhile.
        first: the ones that get SIGTERM, since they end the others themselves; by default all.
    """
    _signal(find() if first is None else first, psutil.Process.terminate)
    left = _wait(find, patience)
    killed = len(left)
    for _ in range(ROUNDS):
        if not left:
            break
        _signal(left, psutil.Process.kill)
        left = _wait(find, 1)
    return killed


def _wait(find: Callable[[], list[psutil.Process]], seconds: float) -> list[psutil.Process]:
    """What ``find`` returns in the end: nothing, or the processes that run after so many seconds."""
    deadline = time.monotonic() + seconds
    while (left := find()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def _signal(processes: Iterable[psutil.Process], send: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        with suppress(psutil.Error):
            send(process)
