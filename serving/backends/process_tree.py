"""Processes together with all they started: ending them, and the memory they hold."""

from __future__ import annotations

import contextlib
import os

import psutil


def family_of(pid: int) -> list[psutil.Process]:
    """A process and all its descendants."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def is_running(process: psutil.Process) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def still_runs(pid: int, created: float) -> bool:
    """Whether the process of this id runs and is the one that started then (seconds; ids are used again)."""
    try:
        process = psutil.Process(pid)
        return is_running(process) and abs(process.create_time() - created) < 2
    except psutil.Error:
        return False


def signal_group(pid: int, number: int) -> None:
    """Send a signal to a process group, if it still is there."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and all its descendants; 0 where there is none."""
    total = 0
    for process in family_of(pid):
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
    return total
