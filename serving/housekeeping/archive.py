"""An archive: a tar file whose last member, ``manifest.json``, has the SHA-256 of every other member.

It is written beside its place and renamed, and unpacked beside its place and renamed: both are whole or absent.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path, PurePosixPath
from tempfile import mkstemp
from typing import IO, Any

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import temporary_folder

MANIFEST = "manifest.json"
CHUNK = 1 << 20  # bytes read at a time
Advance = Callable[[int], object]


class Damaged(NerError):
    """The archive is not what was written, or is none."""


@contextmanager
def new_archive(path: Path) -> Iterator[IO[bytes]]:
    """A file, readable by its owner alone, that becomes ``path`` when the block ends without an error.

    Raises:
        NerError: there is such a file already.
    """
    if path.exists():
        raise NerError("there is such a file already", where=str(path), remedy="Name a new file, or move this one.")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def write(file: IO[bytes], members: Mapping[str, Path], facts: Mapping[str, Any], advance: Advance = int) -> None:
    """Write files as members of these names, then the manifest with ``facts``.

    A file that has gone by now is left out. One that is written meanwhile is stored as it was read: its hash is of what
    the archive has.

    Args:
        file: opened for writing.
        members: the files, by their names in the archive.
        facts: what the manifest says besides the hashes.
        advance: gets the number of bytes written since its last call.
    """
    hashes = {}
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for name, path in members.items():
            try:
                opened = path.open("rb")
            except FileNotFoundError:
                continue
            with opened:
                info = archive.gettarinfo(arcname=name, fileobj=opened)
                info.uid = info.gid = 0
                info.uname = info.gname = ""
                reader = _Reader(opened, info.size, advance)
                archive.addfile(info, reader)
            hashes[name] = reader.digest.hexdigest()
        text = json.dumps({**facts, "files": hashes}, ensure_ascii=False, indent=2).encode()
        info = tarfile.TarInfo(MANIFEST)
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text))


class _Reader(io.RawIOBase):
    """The first ``size`` bytes of a file, hashed as they are read; what it has lost meanwhile is read as zeros."""

    def __init__(self, file: IO[bytes], size: int, advance: Advance) -> None:
        self.digest = sha256()
        self._file, self._left, self._advance = file, size, advance

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes."""
        count = self._left if size < 0 else min(size, self._left)
        content = self._file.read(count).ljust(count, b"\0")
        self._left -= count
        self.digest.update(content)
        self._advance(count)
        return content


@contextmanager
def unpacked(path: Path, folder: Path, advance: Advance = int) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Unpack an archive into a new folder beside ``folder``, which it becomes when the block ends without an error.

    Yields the new folder and the manifest.

    Args:
        path: the archive.
        folder: missing, or empty.
        advance: gets the number of bytes read since its last call.

    Raises:
        Damaged: the archive is cut off, was altered, or has a member that no archive of ours has.
        NerError: the folder holds something.
    """
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise NerError("not an empty folder", where=str(folder), remedy="Name a folder that is empty, or is not there.")
    with temporary_folder(folder) as temporary:
        inner = temporary / "content"
        inner.mkdir()
        manifest = _unpack(path, inner, advance)
        yield inner, manifest
        inner.rename(folder)  # replaces an empty folder, and no other


def _unpack(path: Path, folder: Path, advance: Advance) -> dict[str, Any]:
    hashes: dict[str, str] = {}
    manifest: dict[str, Any] | None = None
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r|") as archive:
            for member in archive:
                if manifest is not None or not member.isreg():
                    raise Damaged(f"it has a member that no backup has: {member.name!r}", where=str(path))
                content = archive.extractfile(member)
                assert content is not None  # of a regular file there is one
                if member.name == MANIFEST:
                    manifest = json.loads(content.read())
                else:
                    hashes[member.name] = _copy(content, _place(folder, member.name, path), advance)
    except (tarfile.TarError, EOFError, ValueError, FileExistsError, NotADirectoryError) as error:
        raise Damaged(f"it cannot be read: {error}", where=str(path)) from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise Damaged("it has no manifest: it is cut off, or no backup", where=str(path))
    if wrong := sorted(hashes.items() ^ manifest["files"].items()):
        raise Damaged(f"{wrong[0][0]} is not what was written, or is missing", where=str(path))
    return manifest


def _place(folder: Path, name: str, archive: Path) -> Path:
    """Where a member goes.

    Raises:
        Damaged: outside the folder.
    """
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or {"..", ""} & set(name.split("/")) or "\0" in name:
        raise Damaged(f"a member would leave the folder: {name!r}", where=str(archive))
    return folder.joinpath(*parts)


def _copy(source: IO[bytes], target: Path, advance: Advance) -> str:
    """Write a new file; its SHA-256."""
    digest = sha256()
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        while content := source.read(CHUNK):
            file.write(content)
            digest.update(content)
            advance(len(content))
    return digest.hexdigest()
