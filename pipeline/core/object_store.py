"""An object store by its URL (fsspec): a folder that machines share, S3 and others. An object is whole or absent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any

from multiner.pipeline.core.errors import NerError

STORE = "NER_STORE"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object's name, its size in bytes, and when it was written, in seconds since 1970."""

    name: str
    size: int
    changed: float


class ObjectStore:
    """A place for objects by name; every method raises NerError, transient, where the store does not answer.

    Args:
        url: such as ``s3://bucket/ner`` or ``file:///srv/ner``.

    Raises:
        NerError: the URL is not one of a kind that is installed.
    """

    def __init__(self, url: str) -> None:
        import fsspec  # only where there is a store

        self.url = url
        try:
            self._files, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise NerError(
                f"no such object store: {error}",
                where=STORE,
                remedy="Give a URL such as s3://bucket/ner, for which pip install 'ner-pipeline[s3]', or file:///srv/ner.",
            ) from None
        self._root = root.rstrip("/")

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """A stream whose content becomes the object when the block ends without an error."""
        path = f"{self._root}/{name}"
        with self._answers(), self._files.transaction:
            self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
            with self._files.open(path, "wb") as file:
                yield file

    @contextmanager
    def reading(self, name: str) -> Iterator[IO[bytes]]:
        """The object as a stream.

        Raises:
            FileNotFoundError: there is none.
        """
        with self._answers(), self._files.open(f"{self._root}/{name}", "rb") as file:
            yield file

    def write(self, name: str, content: str) -> None:
        """Make an object of a text; it replaces the one of this name."""
        with self.writing(name) as file:
            file.write(content.encode())

    def read(self, name: str) -> str | None:
        """The text of an object; None where there is none."""
        try:
            with self.reading(name) as file:
                return file.read().decode()
        except FileNotFoundError:
            return None

    def names(self, folder: str) -> list[str]:
        """The names of the objects directly in a folder, sorted; without the folder's own name."""
        with self._answers():
            self._files.invalidate_cache()
            try:
                found: list[dict[str, Any]] = self._files.ls(f"{self._root}/{folder}", detail=True)
            except FileNotFoundError:
                return []
        return sorted(entry["name"].rpartition("/")[2] for entry in found if entry["type"] == "file")

    def listing(self, folder: str) -> list[StoredObject]:
        """The objects in a folder and below it, by name; an object whose age the store does not tell counts as new."""
        with self._answers():
            self._files.invalidate_cache()
            try:
                entries: dict[str, dict[str, Any]] = self._files.find(f"{self._root}/{folder}", detail=True)
            except FileNotFoundError:
                return []
        start = len(self._root) + 1
        return [StoredObject(path[start:], info["size"] or 0, _changed(info)) for path, info in sorted(entries.items())]

    def remove(self, name: str) -> None:
        """Remove an object, if it is there."""
        with self._answers():
            try:
                self._files.rm_file(f"{self._root}/{name}")
            except FileNotFoundError:
                return

    @contextmanager
    def _answers(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise NerError(
                f"the object store does not answer: {error}",
                where=self.url,
                remedy=f"Check {STORE} and that the store can be reached from this machine.",
                transient=True,
            ) from error


def _changed(info: dict[str, Any]) -> float:
    moment = info.get("mtime", info.get("LastModified", float("inf")))
    return moment.timestamp() if isinstance(moment, datetime) else float(moment)


def object_store() -> ObjectStore | None:
    """The store that ``NER_STORE`` names; None where it is not set."""
    url = os.environ.get(STORE)
    return ObjectStore(url) if url else None


def required_store() -> ObjectStore:
    """The store that ``NER_STORE`` names.

    Raises:
        NerError: it is not set.
    """
    if store := object_store():
        return store
    raise NerError("not set", where=STORE, remedy="Name a place that all machines reach, such as s3://bucket/ner.")
