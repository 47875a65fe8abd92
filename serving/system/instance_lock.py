"""A workspace has one supervisor: its lock, its state file, and the signals that end it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
from filelock import FileLock, Timeout

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json, write_json
from multiner.pipeline.core.processes import still_runs


class Stopped(BaseException):
    """A signal asked the system to end."""


def state_path(workspace: Workspace) -> Path:
    """The state file of the running supervisor."""
    return workspace.paths.run / "system.json"


def read_system(workspace: Workspace) -> dict[str, Any] | None:
    """The content of the state file; None if no supervisor runs. It takes no lock, which could make a start fail."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        state = read_json(state_path(workspace))
        return state if still_runs(state["pid"], state["created"]) else None
    return None


def write_system(workspace: Workspace, **facts: Any) -> None:
    """Write the state file with this process as the supervisor, and ``facts``."""
    process = psutil.Process()
    write_json(state_path(workspace), {"pid": process.pid, "created": process.create_time(), **facts})


@contextlib.contextmanager
def only_supervisor(workspace: Workspace) -> Iterator[None]:
    """Hold the workspace's lock, which the kernel frees when this process ends.

    Raises:
        NerError: a supervisor runs already.
    """
    lock = FileLock(workspace.paths.run / "system.lock", blocking=False)
    try:
        lock.acquire()
    except Timeout:
        running = read_system(workspace) or {}
        raise NerError(
            f"the system is running already (process {running.get('pid', '?')})",
            where=lock.lock_file,
            remedy="See `ner status`; end it with `ner down`, or with Ctrl-C where it runs.",
        ) from None
    try:
        yield
    finally:
        state_path(workspace).unlink(missing_ok=True)
        lock.release()


@contextlib.contextmanager
def stop_signals() -> Iterator[None]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into :class:`Stopped`, and ignore further ones."""

    def stop(number: int, frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped

    before = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
