"""What house-keeping removes, by kind, with its size; and the lock of its commands."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core import locks
from multiner.pipeline.core.locks import LockKind

HOUSEKEEPING = LockKind("house-keeping", 30)
DAY = 86_400  # seconds


@dataclass(frozen=True, slots=True)
class Removal:
    """What is removed of a kind, or would be.

    Attributes:
        kind: in the plural, for people.
        items: a line for each thing.
        size: in bytes.
        rows: how many there are, of records that have no lines.
        note: what a person has to know, such as why nothing of this kind could be removed.
    """

    kind: str
    items: list[str] = field(default_factory=list)
    size: int = 0
    rows: int = 0
    note: str = ""

    @property
    def count(self) -> int:
        """How many things these are."""
        return self.rows or len(self.items)


@contextmanager
def only_housekeeper(workspace: Workspace) -> Iterator[None]:
    """Exclude other house-keeping of this workspace: no backup reads files that `ner gc` deletes.

    Raises:
        NerError: another one still runs after half a minute.
    """
    with locks.hold(workspace.paths.run / "housekeeping.lock", HOUSEKEEPING):
        yield


def readable(size: int) -> str:
    """A number of bytes for people, such as ``1.5 MB``."""
    number, units = float(size), ["bytes", "kB", "MB", "GB", "TB"]
    while number >= 1000 and len(units) > 1:
        number, units = number / 1000, units[1:]
    return f"{size:,} bytes" if units[0] == "bytes" else f"{number:,.1f} {units[0]}"


def files_below(path: Path) -> Iterator[Path]:
    """A file itself, or the files below a folder."""
    yield from [path] if path.is_file() else (file for file in path.rglob("*") if file.is_file())


def size_of(path: Path) -> int:
    """The bytes of a file or of a folder's files; a file that goes meanwhile counts nothing."""
    total = 0
    for file in files_below(path):
        with suppress(FileNotFoundError):
            total += file.stat().st_size
    return total


def changed(path: Path) -> float:
    """When anything in a file or folder was last written, in seconds since 1970; 0 if it has gone."""
    times = [0.0]
    for file in (path, *files_below(path)):
        with suppress(FileNotFoundError):
            times.append(file.stat().st_mtime)
    return max(times)


def remove(paths: Iterable[Path]) -> None:
    """Remove files and folders; what has gone already is no error."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
