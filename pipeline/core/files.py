"""Files that are whole or absent: written beside their place, then renamed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path, PurePath
from tempfile import mkdtemp, mkstemp
from typing import IO, Any

_SYSTEM_FILES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


@contextmanager
def write_atomically(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary file beside ``path`` that takes its place when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = mkstemp(dir=path.parent, prefix=f".{path.name}.")
    encoding = None if "b" in mode else "utf-8"
    try:
        with os.fdopen(handle, mode, encoding=encoding) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def replace_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside ``path`` that takes its place when the block ends without an error.

    What a process that was killed in this block has left is removed by the next one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*.d"):
        if not _runs(left.name.split(".")[-3]):
            shutil.rmtree(left, ignore_errors=True)
    temporary = Path(mkdtemp(dir=path.parent, prefix=f".{path.name}.{os.getpid()}.", suffix=".d"))
    try:
        yield temporary
        temporary.chmod(0o755)
        for file in temporary.rglob("*"):
            if file.is_file():
                file.chmod(0o644)  # some writers leave files that only their owner can read
        if path.exists():
            # A rename is done at once, a removal is not: the gap in which a kill leaves nothing is as short as can be.
            old = Path(mkdtemp(dir=path.parent, prefix=f".{path.name}.{os.getpid()}.", suffix=".d"))
            path.replace(old)
            Path(temporary).replace(path)
            shutil.rmtree(old)
        else:
            Path(temporary).replace(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _runs(process: str) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(int(process), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return True


def is_system_file(path: PurePath) -> bool:
    """Whether a file is an operating system's own and no content: ``.DS_Store``, ``._name``, ``Thumbs.db``."""
    return path.name.startswith("._") or path.name in _SYSTEM_FILES or "__MACOSX" in path.parts


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as readable JSON; the file is whole or absent."""
    with write_atomically(path) as file:
        json.dump(value, file, ensure_ascii=False, indent=2)
        file.write("\n")


def read_json(path: Path) -> Any:
    """The value of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
