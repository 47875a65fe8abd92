"""The manifest ``data/manifest.json``: the SHA-256 of every file of the raw data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json, sha256_of, write_json

Manifest = dict[str, dict[str, str]]
"""``{folder under data/raw: {relative path: sha256 in hex}}``."""


@dataclass(frozen=True)
class Mismatch:
    """A file that differs from the manifest; ``actual`` is None where the file is missing."""

    name: str
    expected: str
    actual: str | None

    def __str__(self) -> str:
        return f"{self.name}: expected sha256 {self.expected}, found {self.actual or 'no such file'}"


def manifest_path(root: Path) -> Path:
    """The manifest's path in a workspace."""
    return root / "data" / "manifest.json"


def read_manifest(root: Path) -> Manifest:
    """The manifest of a workspace. Raises NerError if it is missing or no manifest."""
    path = manifest_path(root)
    remedy = "Restore it: git checkout -- data/manifest.json"
    try:
        manifest = read_json(path)
    except FileNotFoundError:
        raise NerError("the manifest of the raw data is missing", where=str(path), remedy=remedy) from None
    except ValueError as error:
        raise NerError(f"no valid JSON: {error}", where=str(path), remedy=remedy) from None
    if not isinstance(manifest, dict) or not all(isinstance(files, dict) for files in manifest.values()):
        raise NerError("expected {corpus: {file: sha256}}", where=str(path), remedy=remedy)
    for corpus, files in manifest.items():
        for name in [corpus, *files]:
            if not is_safe(name):
                raise NerError(f"a path that leads out of the data folder: {name!r}", where=str(path), remedy=remedy)
    return manifest


def write_manifest(root: Path, manifest: Mapping[str, Mapping[str, str]]) -> None:
    """Write the manifest with sorted files, so that its git diff shows what changed."""
    write_json(manifest_path(root), {corpus: dict(sorted(files.items())) for corpus, files in manifest.items()})


def is_safe(name: str) -> bool:
    """Whether a relative path stays below the folder it is joined to."""
    parts = name.replace("\\", "/").split("/")
    return bool(name) and not name.startswith(("/", "\\")) and ".." not in parts and ":" not in parts[0]


def hash_files(folder: Path, names: Iterable[str], progress: tqdm | None = None) -> dict[str, str | None]:
    """SHA-256 of the files ``names`` under ``folder``; None for a missing file."""
    hashes: dict[str, str | None] = {}
    for name in names:
        path = folder / name
        hashes[name] = sha256_of(path) if path.is_file() else None
        if progress is not None:
            progress.update()
    return hashes


def mismatches(expected: Mapping[str, str], actual: Mapping[str, str | None]) -> list[Mismatch]:
    """The files of ``expected`` that differ or are missing in ``actual``, sorted by name."""
    return [Mismatch(name, sha, actual.get(name)) for name, sha in sorted(expected.items()) if actual.get(name) != sha]


def list_files(folder: Path) -> list[str]:
    """Relative paths of all files under ``folder``, sorted; empty where there is no such folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
