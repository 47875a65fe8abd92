"""One supervisor a workspace: the lock it holds, what it says of itself, and the signals that end it."""

from __future__ import annotations

import contextlib
import fcntl
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json, write_json
from multiner.pipeline.core.processes import still_runs


class Stopped(BaseException):
    """The user, or the service manager, asked the system to end."""


def state_path(workspace: Workspace) -> Path:
    """The file that says which supervisor runs."""
    return workspace.paths.run / "system.json"


def read_system(workspace: Workspace) -> dict[str, Any] | None:
    """What the running supervisor says of itself; None where none runs."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):  # without its lock: a start would fail by it
        state = read_json(state_path(workspace))
        return state if still_runs(state["pid"], state["created"]) else None
    return None


def write_system(workspace: Workspace, **facts: Any) -> None:
    """Say that this process is the supervisor, with ``facts`` about it."""
    process = psutil.Process()
    write_json(state_path(workspace), {"pid": process.pid, "created": process.create_time(), **facts})


@contextlib.contextmanager
def only_supervisor(workspace: Workspace) -> Iterator[None]:
    """Hold the workspace's lock; the kernel frees it however we end.

    Raises:
        NerError: a supervisor runs already.
    """
    path = workspace.paths.run / "system.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            running = read_system(workspace) or {}
            raise NerError(
                f"the system is running already (process {running.get('pid', '?')})",
                where=str(path),
                remedy="See `ner status`; end it with `ner down`, or with Ctrl-C where it runs.",
            ) from None
        try:
            yield
        finally:
            state_path(workspace).unlink(missing_ok=True)


@contextlib.contextmanager
def stop_signals() -> Iterator[None]:
    """Turn SIGINT and SIGTERM into :class:`Stopped`, once; while things are being ended, further ones are ignored."""

    def stop(number: int, frame: FrameType | None) -> None:
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
        raise Stopped

    before = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
