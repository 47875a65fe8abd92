"""Files and folders that are whole or absent: written beside their place, then renamed."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from hashlib import file_digest, sha256
from pathlib import Path, PurePath
from tempfile import mkdtemp, mkstemp
from typing import IO, Any

_SYSTEM_FILES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


@contextmanager
def write_atomically(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary file beside ``path``; it replaces ``path`` when the block ends without an error."""
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
    """A temporary folder beside ``path``; it replaces ``path`` when the block ends without an error."""
    with temporary_folder(path) as temporary:
        yield temporary
        temporary.chmod(0o755)
        for file in temporary.rglob("*"):
            if file.is_file():
                file.chmod(0o644)  # some writers leave files that only their owner can read
        if path.exists():
            # Renames are quick, a removal is not: they keep the gap short in which a kill would leave no folder.
            old = Path(mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".d"))
            path.replace(old)
            temporary.replace(path)
            shutil.rmtree(old, ignore_errors=True)
        else:
            temporary.replace(path)


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """A new folder beside ``path``; removed at the end if it is still there.

    The folder is locked during the block, so that every machine can tell whether its process runs. Folders that killed
    processes have left are removed first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f".{path.name}.*.d"):
        with suppress(OSError), _locked(leftover):
            shutil.rmtree(leftover, ignore_errors=True)
    with ExitStack() as stack:
        while True:
            folder = Path(mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".d"))
            try:
                stack.enter_context(_locked(folder))
            except (BlockingIOError, FileNotFoundError):
                continue  # another process is removing it as a leftover
            except OSError:
                pass  # a file system without locks: no leftover is ever removed there
            if folder.exists():
                break
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a folder itself, which filelock cannot (it locks files that it may write); the kernel frees it in any case.

    Raises:
        OSError: the folder is missing or cannot be locked; ``BlockingIOError`` where another process holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def is_system_file(path: PurePath) -> bool:
    """Whether an operating system made the file, and it holds no content: ``.DS_Store``, ``._name``, ``Thumbs.db``."""
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


def folder_hash(folder: Path, *, without: Iterable[str] = ()) -> str:
    """SHA-256 over the names and contents of a folder's files."""
    digest = sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in set(without)):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{sha256_of(path)}\n".encode())
    return digest.hexdigest()
