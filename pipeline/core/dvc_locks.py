"""DVC's notes of who reads and writes a path, rid of those whose writer is gone.

DVC keeps them in ``.dvc/tmp/rwlock`` by process id, and takes a note for live as long as any process has that id. After
a crash and a restart, above all of a container, where ids are small, that may be a stranger: whatever needs the path
is then refused for as long as the stranger lives. A file that was cut off while it was written is refused for ever.

Of DVC that we started (:mod:`.dvc_command`) it is known on every machine whether it lives; of DVC that somebody
started by hand only where it runs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psutil

from multiner.pipeline.core.dvc_command import holder_file, is_held
from multiner.pipeline.core.files import write_json


def holds(pid: int, command: str) -> bool:
    """Whether process ``pid`` runs ``command``, which DVC noted as its ``sys.argv`` joined by spaces.

    Start times are not compared: they move with the clock. A process with the same id and the same command passes for
    the holder in DVC's own eyes, too, and ends as one would.
    """
    try:
        words = psutil.Process(pid).cmdline()
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # of it, nothing is known but that it lives
        return True
    if command.partition(" ")[0] in ("", "-c"):  # DVC as a library of a program without a name
        return True
    tails = [" ".join(words[at:]) for at in range(len(words))]
    # `dvc repro x` is noted as such, `python -m dvc repro x` as `/…/dvc/__main__.py repro x`
    return any(tail and (command == tail or command.endswith(f".py {tail}")) for tail in tails)


def release(root: Path) -> list[str]:
    """Drop the stale notes of the workspace at ``root``, under DVC's own lock; returns them, readable.

    While DVC itself writes the file, nothing is done.
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
            notes = _read(path)  # again, now that nobody else writes it
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
    """The notes; None where they are no JSON of that form."""
    try:
        notes: dict[str, Any] = json.loads(path.read_bytes())
        _holders(notes)
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return notes


def _holders(notes: dict[str, Any]) -> dict[tuple[int, str], str]:
    """Everyone who is noted, by process id and command: readable."""
    infos = [info for infos in notes.get("read", {}).values() for info in infos]
    infos += notes.get("write", {}).values()
    return {(info["pid"], info["cmd"]): f"process {info['pid']}: {info['cmd']}" for info in infos}


def _stale(root: Path, notes: dict[str, Any] | None) -> dict[tuple[int, str], str]:
    """Those who are noted but gone; something, too, where the file cannot be read."""
    if notes is None:
        return {(0, ""): "a file that was cut off"}
    return {holder: text for holder, text in _holders(notes).items() if not _lives(root, *holder)}


def _lives(root: Path, pid: int, command: str) -> bool:
    file = holder_file(root, command)
    return is_held(file) if file else holds(pid, command)


def _without(notes: dict[str, Any], stale: dict[tuple[int, str], str]) -> dict[str, Any]:
    def live(info: dict[str, Any]) -> bool:
        return (info["pid"], info["cmd"]) not in stale

    read = {path: [info for info in infos if live(info)] for path, infos in notes.get("read", {}).items()}
    write = {path: info for path, info in notes.get("write", {}).items() if live(info)}
    return {"read": {path: infos for path, infos in read.items() if infos}, "write": write}
