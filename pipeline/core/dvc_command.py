"""Starts DVC's command line such that every machine can tell whether it still runs.

DVC records a process id and a command for each reader and writer of a path. In another container, or on another host
that shares the workspace, that id belongs to no process or to a different one. So the recorded command also names a
lock file, which the process holds until it ends.
"""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

from multiner.pipeline.core import locks

HOLDER = re.compile(r"dvc@\S*:(holder-[0-9a-f]+\.lock)(?= |$)")


def dvc(*arguments: str) -> list[str]:
    """The command that runs DVC by this module and waits for DVC's main lock."""
    return [sys.executable, "-m", __name__, "--wait-for-lock", *arguments]


@contextmanager
def holder(root: Path) -> Iterator[str]:
    """Hold a new lock file; yields ``dvc@HOST:FILE``, which DVC is to record in place of the program's path."""
    file = root / ".dvc" / "tmp" / f"holder-{uuid4().hex[:12]}.lock"
    with locks.hold(file, locks.DVC_COMMAND):
        try:
            yield f"dvc@{platform.node()}:{file.name}"
        finally:
            file.unlink(missing_ok=True)


def holder_file(root: Path, command: str) -> Path | None:
    """The lock file that a recorded command names; None if DVC was not started by this module."""
    match = HOLDER.match(command)
    return root / ".dvc" / "tmp" / match[1] if match else None


def main() -> int:
    """Run DVC with this process's arguments in the current folder; its exit code."""
    from dvc.cli import main as run

    with ExitStack() as stack:
        if Path(".dvc").is_dir():
            sys.argv[0] = stack.enter_context(holder(Path.cwd()))
        code: int = run(sys.argv[1:])
        return code


if __name__ == "__main__":
    sys.exit(main())
