"""The raw data under DVC: one ``.dvc`` file per folder, and its content in the cache and the remote."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import sleep

from multiner.pipeline.core.dvc_command import dvc, holder
from multiner.pipeline.core.dvc_locks import release
from multiner.pipeline.core.environment import quiet_environment
from multiner.pipeline.core.errors import NerError

LOCK_ATTEMPTS = 6
REMOTE_COMMANDS, LACKING = ("fetch", "pull", "push"), "nor on remote. Missing cache files"
LOCKED = ("Unable to acquire lock", "is busy, it is being blocked by", "RWLock-file")
INVALID = re.compile(r"^'(?:\./)?(?P<file>.+)' is invalid")  # no YAML: git may have left marks of a conflict
LINE = re.compile(r"in line (\d+)")


def is_versioned(root: Path) -> bool:
    """Whether the workspace is a DVC repository."""
    return (root / ".dvc" / "config").is_file()


def changed_folders(root: Path, folders: Sequence[Path]) -> list[Path]:
    """Those of ``folders`` without a ``.dvc`` file, or with one of other content."""
    pointers = {folder: folder.with_name(folder.name + ".dvc") for folder in folders}
    changed = [folder for folder, pointer in pointers.items() if not pointer.is_file()]
    targets = {folder: pointers[folder].relative_to(root).as_posix() for folder in folders if folder not in changed}
    if targets:
        status = json.loads(run_dvc(root, "status", "--json", *targets.values()))
        changed += [folder for folder, target in targets.items() if target in status]
    return changed


def track(root: Path, folders: Sequence[Path]) -> list[Path]:
    """Put the changed ones of ``folders`` under DVC; returns the ``.dvc`` files that were written."""
    changed = changed_folders(root, folders)
    if changed:
        run_dvc(root, "add", *[folder.relative_to(root).as_posix() for folder in changed])
    return [folder.with_name(folder.name + ".dvc") for folder in changed]


def push(root: Path, pointers: Sequence[Path]) -> str | None:
    """Copy the content of ``.dvc`` files to the default remote; returns the error's message, or None.

    An unreachable remote is no error here: trainings use the data in the workspace and its cache.
    """
    try:
        run_dvc(root, "push", *[pointer.relative_to(root).as_posix() for pointer in pointers])
    except NerError as error:
        return error.message
    return None


@contextmanager
def writing(root: Path, folder: Path) -> Iterator[None]:
    """Hold DVC's lock on ``folder``, which is to be replaced. Raises NerError if a stage reads or writes it now."""
    if not is_versioned(root):
        yield
        return
    from dvc.config import Config  # heavy; needed only now
    from dvc.fs import localfs
    from dvc.lock import LockError
    from dvc.rwlock import rwlock

    root = root.resolve()  # DVC notes resolved paths
    hardlink = Config(str(root / ".dvc"))["core"].get("hardlink_lock", False)
    with ExitStack() as stack:
        command = f"{stack.enter_context(holder(root))} pull {folder.name}"
        for again in (True, False):
            lock = rwlock(str(root / ".dvc" / "tmp"), localfs, command, [], [str(folder.resolve())], hardlink)
            try:
                stack.enter_context(lock)
                break
            except LockError as error:
                if not (again and release(root)):
                    remedy = "Pull again when that process has ended. The data is unchanged."
                    raise NerError(str(error), where="ner pull", remedy=remedy, transient=True) from None
        yield


def run_dvc(root: Path, *arguments: str) -> str:
    """Run ``dvc`` in ``root``, waiting for its locks; returns its output. Raises NerError with DVC's message."""
    for attempt in range(LOCK_ATTEMPTS):
        process = subprocess.run(
            dvc(*arguments), cwd=root, env=quiet_environment(), capture_output=True, text=True, check=False
        )
        if process.returncode == 0:
            return process.stdout
        locked = any(words in process.stderr for words in LOCKED)
        if not locked:
            break
        if not release(root):
            sleep(2**attempt)  # --wait-for-lock does not cover DVC's read-write lock
    raise _failure(process, arguments[0], locked)


def _failure(process: subprocess.CompletedProcess[str], command: str, locked: bool) -> NerError:
    lines = [line for line in process.stderr.splitlines() if line.strip()]
    if lines and (invalid := INVALID.match(lines[0])):
        line = LINE.search(process.stderr)
        return NerError(
            "DVC cannot read this file; has git left marks of a conflict (<<<<<<<) in it?",
            where=f"{invalid['file']}:{line[1]}" if line else invalid["file"],
            remedy="Resolve the conflict (git status lists the files), then run the same command again.",
        )
    lines = [line for line in lines if line.startswith("ERROR: ")] or lines  # a hint follows them
    message = lines[-1].removeprefix("ERROR: ") if lines else f"exit code {process.returncode}"
    away = command in REMOTE_COMMANDS and LACKING not in process.stderr  # the remote did not answer, or broke off
    remedy = "Check that DVC's remote can be reached." if away else "See: dvc doctor, dvc status"
    return NerError(message, where=f"dvc {command}", remedy=remedy, transient=locked or away)
