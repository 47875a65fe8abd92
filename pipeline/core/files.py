"""Files that are whole or absent: written beside their place, then renamed."""

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

    What a process that was killed in this block has left is removed by the next one. The folder is locked meanwhile, so
    that a process on another machine is known to live, too.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*.d"):
        with suppress(OSError), _locked(left):
            shutil.rmtree(left, ignore_errors=True)
    with _temporary_folder(path) as temporary:
        yield temporary
        temporary.chmod(0o755)
        for file in temporary.rglob("*"):
            if file.is_file():
                file.chmod(0o644)  # some writers leave files that only their owner can read
        if path.exists():
            # A rename is done at once, a removal is not: the gap in which a kill leaves nothing is as short as can be.
            old = Path(mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".d"))
            path.replace(old)
            temporary.replace(path)
            shutil.rmtree(old, ignore_errors=True)
        else:
            temporary.replace(path)


@contextmanager
def _temporary_folder(path: Path) -> Iterator[Path]:
    """A locked folder beside ``path``; removed in the end, if it is there still."""
    with ExitStack() as stack:
        while True:
            folder = Path(mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".d"))
            try:
                stack.enter_context(_locked(folder))
            except (BlockingIOError, FileNotFoundError):
                continue  # another process has taken it for left over
            except OSError:
                pass  # a file system without locks: nothing is ever taken for left over there
            if folder.exists():
                break
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, which the kernel frees however the process ends.

    Raises:
        OSError: the folder is not there, or cannot be locked; ``BlockingIOError``: another process holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


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


def folder_hash(folder: Path, *, without: Iterable[str] = ()) -> str:
    """SHA-256 over the names and contents of a folder's files."""
    digest = sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in set(without)):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{sha256_of(path)}\n".encode())
    return digest.hexdigest()
