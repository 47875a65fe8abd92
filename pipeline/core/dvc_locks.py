"""Removes DVC's records of readers and writers that no longer run.

DVC keeps these records in ``.dvc/tmp/rwlock`` by process id, and trusts a record as long as any process has that id.
After a crash and a restart, above all of a container, where ids are small, an unrelated process may have it: DVC then
refuses every stage that needs the path until that process ends. DVC also refuses a truncated file of records.

Every machine can tell whether a DVC that we started (:mod:`.dvc_command`) runs; a DVC that a person started by hand
can be checked only on its own machine.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psutil

from multiner.pipeline.core.dvc_command import holder_file
from multiner.pipeline.core.files import write_json
from multiner.pipeline.core.locks import is_held


def holds(pid: int, command: str) -> bool:
    """Whether process ``pid`` runs ``command``, which DVC recorded as its ``sys.argv`` joined by spaces.

    Start times are not compared, since they move with the clock. DVC, too, takes a process with the same id and command
    for the holder.
    """
    try:
        words = psutil.Process(pid).cmdline()
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # it runs; more cannot be known
        return True
    if command.partition(" ")[0] in ("", "-c"):  # DVC as a library in a program without a name
        return True
    tails = [" ".join(words[at:]) for at in range(len(words))]
    # DVC notes `dvc repro x` unchanged, but `python -m dvc repro x` as `/…/dvc/__main__.py repro x`
    return any(tail and (command == tail or command.endswith(f".py {tail}")) for tail in tails)


def release(root: Path) -> list[str]:
    """Remove the stale records of the workspace at ``root``, under DVC's own lock; returns them in readable form.

    Does nothing while DVC itself writes the file.
    """
    folder = root / ".dvc" / "tmp"
    path = folder / "rwlock"
    if not path.is_file() or not _stale(root, _read(path)):
        return []
    from dvc.config import Config  # heavy; needed only now
    from dvc.lock import LockError, make_lock

    hardlink = Config(str(root / ".dvc"))["core"].get("hardlink_lock", False)
    try:
        with make_lock(str(folder / "rwlock.lock"), tmp_dir=str(folder), hardlink_lock=hardlink):
            notes = _read(path)  # again: nothing else writes it now
            stale = _stale(root, notes)
            if notes is None:
                path.unlink(missing_ok=True)
            elif stale:
                write_json(path, _without(notes, stale))
    except LockError:
        return []
    for _, command in stale:
        if file := holder_file(root, command):
            file.unlink(missing_ok=True)
    return sorted(stale.values())


def _read(path: Path) -> dict[str, Any] | None:
    """The records; None if the file is not JSON of their form."""
    try:
        notes: dict[str, Any] = json.loads(path.read_bytes())
        _holders(notes)
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return notes


def _holders(notes: dict[str, Any]) -> dict[tuple[int, str], str]:
    """Readable form of each recorded process, by process id and command."""
    infos = [info for infos in notes.get("read", {}).values() for info in infos]
    infos += notes.get("write", {}).values()
    return {(info["pid"], info["cmd"]): f"process {info['pid']}: {info['cmd']}" for info in infos}


def _stale(root: Path, notes: dict[str, Any] | None) -> dict[tuple[int, str], str]:
    """The recorded processes that no longer run; one made-up entry if the file cannot be read."""
    if notes is None:
        return {(0, ""): "a file that was cut off"}
    return {holder: text for holder, text in _holders(notes).items() if not _lives(root, *holder)}


def _lives(root: Path, pid: int, command: str) -> bool:
    file = holder_file(root, command)
    return is_held(file) if file else holds(pid, command)


def _without(notes: dict[str, Any], stale: dict[tuple[int, str], str]) -> dict[str, Any]:
    def live(info: dict[str, Any]) -> bool:
        return (info["pid"], info["cmd"]) not in stale

    readers = {path: [info for info in infos if live(info)] for path, infos in notes.get("read", {}).items()}
    writers = {path: info for path, info in notes.get("write", {}).items() if live(info)}
    return {"read": {path: infos for path, infos in readers.items() if infos}, "write": writers}
