"""The raw data under DVC: a ``.dvc`` file for each folder, its content in the cache and the remote."""

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
LOCKED = ("Unable to acquire lock", "is busy, it is being blocked by", "RWLock-file")
INVALID = re.compile(r"^'(?:\./)?(?P<file>.+)' is invalid")  # no YAML: git may have left marks of a conflict
LINE = re.compile(r"in line (\d+)")


def is_versioned(root: Path) -> bool:
    """Whether the workspace is a DVC repository."""
    return (root / ".dvc" / "config").is_file()


def changed_folders(root: Path, folders: Sequence[Path]) -> list[Path]:
    """Those of ``folders`` whose ``.dvc`` file is missing or tells of another content."""
    pointers = {folder: folder.with_name(folder.name + ".dvc") for folder in folders}
    changed = [folder for folder, pointer in pointers.items() if not pointer.is_file()]
    known = [folder for folder in folders if folder not in changed]
    if known:
        targets = [pointers[folder].relative_to(root).as_posix() for folder in known]
        status = json.loads(run_dvc(root, "status", "--json", *targets))
        changed += [folder for folder, target in zip(known, targets, strict=True) if target in status]
    return changed


def track(root: Path, folders: Sequence[Path]) -> list[Path]:
    """Put what changed of ``folders`` under DVC; returns the ``.dvc`` files that were written.

    Raises:
        NerError: DVC fails.
    """
    changed = changed_folders(root, folders)
    if changed:
        run_dvc(root, "add", *[folder.relative_to(root).as_posix() for folder in changed])
    return [folder.with_name(folder.name + ".dvc") for folder in changed]


def push(root: Path, pointers: Sequence[Path]) -> str | None:
    """Copy the content of ``.dvc`` files to the default remote; returns what went wrong, if anything did.

    A remote that cannot be reached stops no training: the data lies in the workspace and its cache.
    """
    try:
        run_dvc(root, "push", *[pointer.relative_to(root).as_posix() for pointer in pointers])
    except NerError as error:
        return error.message
    return None


@contextmanager
def writing(root: Path, folder: Path) -> Iterator[None]:
    """Hold DVC's lock on ``folder``, so that no stage reads it while it is replaced.

    Raises:
        NerError: a stage reads or writes it now.
    """
    if not is_versioned(root):
        yield
        return
    from dvc.config import Config  # heavy; needed only now
    from dvc.fs import localfs
    from dvc.lock import LockError
    from dvc.rwlock import rwlock

    root = root.resolve()  # as DVC itself notes paths
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
                    remedy = "Pull again when the process that is named has ended. What was there stays."
                    raise NerError(str(error), where="ner pull", remedy=remedy, transient=True) from None
        yield


def run_dvc(root: Path, *arguments: str) -> str:
    """Standard output of ``dvc`` in ``root``; waits for DVC's locks.

    Raises:
        NerError: it fails; the message is DVC's.
    """
    for attempt in range(LOCK_ATTEMPTS):
        done = subprocess.run(
            dvc(*arguments), cwd=root, env=quiet_environment(), capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return done.stdout
        locked = any(words in done.stderr for words in LOCKED)
        if not locked:
            break
        if not release(root):
            sleep(2**attempt)  # --wait-for-lock does not cover DVC's read-write lock
    raise _failure(done, arguments[0], locked)


def _failure(done: subprocess.CompletedProcess[str], command: str, locked: bool) -> NerError:
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    if lines and (invalid := INVALID.match(lines[0])):
        line = LINE.search(done.stderr)
        return NerError(
            "DVC cannot read this file; has git left marks of a conflict (<<<<<<<) in it?",
            where=f"{invalid['file']}:{line[1]}" if line else invalid["file"],
            remedy="Resolve the conflict (git status lists the files), then run the same command again.",
        )
    lines = [line for line in lines if line.startswith("ERROR: ")] or lines  # help follows them
    message = lines[-1].removeprefix("ERROR: ") if lines else f"exit code {done.returncode}"
    return NerError(message, where=f"dvc {command}", remedy="See: dvc doctor, dvc status", transient=locked)
