"""DVC's command line, with locks that show on every machine whether their holder lives.

DVC notes a process id and a command for whoever reads or writes a path. In another container, or on another host that
shares the workspace, that id is a stranger's or nobody's. So the command that is noted names a file, too, which its
process keeps locked: the kernel frees it when the process ends, however it ends.
"""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.single_writer import only_one

NAME = re.compile(r"dvc@\S*:(holder-[0-9a-f]+\.lock)(?= |$)")


def dvc(*arguments: str) -> list[str]:
    """The command that runs DVC so, and waits for its main lock."""
    return [sys.executable, "-m", __name__, "--wait-for-lock", *arguments]


@contextmanager
def holder(root: Path) -> Iterator[str]:
    """What this process calls itself in DVC's notes, in place of the program's path: ``dvc@HOST:FILE``."""
    file = root / ".dvc" / "tmp" / f"holder-{uuid4().hex[:12]}.lock"
    with only_one(file):
        try:
            yield f"dvc@{platform.node()}:{file.name}"
        finally:
            file.unlink(missing_ok=True)


def holder_file(root: Path, command: str) -> Path | None:
    """The file that the holder keeps locked who noted ``command``; None where DVC was started in another way."""
    found = NAME.match(command)
    return root / ".dvc" / "tmp" / found[1] if found else None


def is_held(file: Path) -> bool:
    """Whether the process that made the file still runs, on whatever machine."""
    if not file.is_file():
        return False
    try:
        with only_one(file, patience=0):
            return False
    except NerError:
        return True


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
