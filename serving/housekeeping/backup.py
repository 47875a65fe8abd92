"""``ner backup`` and ``ner restore``: what a workspace cannot make anew, in one archive.

That is the registry with its artifacts, the pointers to the data, the review queue, and the state of Airflow and of the
gateways. Code comes from git, data and outputs from DVC's remote, secrets are made anew.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.progress import bar
from multiner.pipeline.registry.lineage import commit
from multiner.pipeline.registry.store import database, follow_move, registry_lock
from multiner.serving.housekeeping import archive
from multiner.serving.housekeeping.removal import only_housekeeper

FORMAT = 1
MEGABYTE = 1_000_000
PATTERNS = (
    "mlruns/**/*",
    "mlruns/artifacts/**/*",  # may be a link to a larger disk, as the folders in it; ** follows none
    "mlruns/artifacts/*/**/*",
    "params.yaml",
    "params/**/*.yaml",
    "dvc.yaml",
    "dvc.lock",
    "data/**/*.dvc",
    "data/raw/*.dvc",
    "data/manifest.json",
    "data/review/*",
    "metrics/**/*",
    "requirements.lock",
    ".run/*.db",
    ".run/*.jsonl",
    ".run/airflow/airflow.db",
    ".run/airflow/airflow.cfg",  # has the key of Airflow's connections
    ".run/airflow/since",
    ".run/airflow/migrated",
)
"""What an archive holds, by path from the workspace."""
ARTIFACTS = "mlruns/artifacts/"
PRIVATE = (".run", "data/review")  # whose files only their owner can read
DATABASE = b"SQLite format 3\0"  # begins every SQLite database
BESIDE = ("-wal", "-shm", "-journal")  # end the names of SQLite's files beside a database
ELSEWHERE = ("MLFLOW_TRACKING_URI", "NER_STATE_URL", "NER_STATE_URL_FILE", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN")
"""Variables that put a database elsewhere; its own backup, such as ``pg_dump``, is then needed beside ours."""


def backup(workspace: Workspace, file: Path, *, artifacts: bool = True) -> list[str]:
    """Write an archive of the workspace; the system may run meanwhile.

    Args:
        workspace: to be archived.
        file: the archive, which must not be there.
        artifacts: whether MLflow's artifacts, among them the models, are in it.

    Returns:
        the variables that name a database elsewhere, which is not in the archive.

    Raises:
        NerError: the file is there already, or the registry stays locked.
    """
    elsewhere = [name for name in ELSEWHERE if os.environ.get(name)]
    facts: dict[str, Any] = {
        "format": FORMAT,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "ner": version("ner-pipeline"),
        "commit": commit(workspace.root),
        "elsewhere": elsewhere,
        "artifacts": artifacts,
    }
    with only_housekeeper(workspace), TemporaryDirectory(prefix="ner-backup-") as folder:
        with archive.new_archive(file) as target:
            with _registrations_paused(workspace):
                members = {name: path for name, path in _members(workspace.root) if artifacts or not _artifact(name)}
                for number, (name, path) in enumerate(members.items()):
                    if _is_database(path):
                        members[name] = _copy_database(path, Path(folder) / str(number))
            total = sum(path.stat().st_size for path in members.values() if path.exists())
            with _megabytes(total, f"writing {file.name}") as advance:
                archive.write(target, members, facts, advance)
    return elsewhere


def restore(file: Path, folder: Path) -> tuple[dict[str, Any], Path]:
    """Unpack an archive into an empty folder, which becomes a workspace; its registry names the files there.

    Returns:
        the archive's manifest, and the folder.

    Raises:
        NerError: the archive is damaged or of a later release, or the folder is not empty.
    """
    folder = folder.absolute()
    if not file.is_file():
        raise NerError("there is no such file", where=str(file))
    with _megabytes(file.stat().st_size, f"reading {file.name}") as advance:
        with archive.unpacked(file, folder, advance) as (content, manifest):
            if manifest.get("format") != FORMAT:
                raise NerError(
                    f"the archive has the format {manifest.get('format')!r}, this release reads {FORMAT}",
                    where=str(file),
                    remedy="Restore it with the release that its manifest names.",
                )
            for private in PRIVATE:
                for path in (content / private).rglob("*"):
                    path.chmod(0o700 if path.is_dir() else 0o600)
    registry = Workspace(folder, {"profile": ""})
    if database(registry).is_file():
        follow_move(registry)
    return manifest, folder


@contextmanager
def _megabytes(total: int, description: str) -> Iterator[archive.Advance]:
    """A progress bar as a function of the bytes done since its last call."""
    done = 0
    with bar(total // MEGABYTE, description, unit="MB") as progress:

        def advance(count: int) -> None:
            nonlocal done
            done += count
            progress.update(done // MEGABYTE - progress.n)

        yield advance


def _members(root: Path) -> Iterator[tuple[str, Path]]:
    seen = set()
    for pattern in PATTERNS:
        for path in sorted(root.glob(pattern)):
            name = path.relative_to(root).as_posix()
            if name in seen or name.startswith(("mlruns/.", "data/review/.")) or name.endswith(BESIDE):
                continue
            if path.is_file() and (name == "dvc.lock" or not path.is_symlink()):  # a link to the volume of a container
                seen.add(name)
                yield name, path


def _artifact(name: str) -> bool:
    return name.startswith(ARTIFACTS)


def _is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(DATABASE)) == DATABASE


def _copy_database(source: Path, target: Path) -> Path:
    """Copy a SQLite database as it is at one moment, whoever writes to it; returns the copy."""
    with closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True, timeout=60)) as opened:
        with closing(sqlite3.connect(target)) as copy:
            opened.backup(copy)
    return target


@contextmanager
def _registrations_paused(workspace: Workspace) -> Iterator[None]:
    """Hold the registry's locks while the databases are copied: then no version is half registered in the copy."""
    with ExitStack() as stack:
        for folder in sorted((workspace.paths.mlruns / "artifacts").glob("ner-*")):
            stack.enter_context(registry_lock(workspace, f".{folder.name}.lock"))
        yield
