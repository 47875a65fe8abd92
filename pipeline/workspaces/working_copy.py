"""A working copy at a run's state, in a temporary folder, with a DVC cache of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import yaml

from multiner.pipeline.core import processes
from multiner.pipeline.core.environment import quiet_environment
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import temporary_folder
from multiner.pipeline.core.object_store import ObjectStore
from multiner.pipeline.workspaces.state import RunState

FOLDER, REMOTE = "NER_WORKSPACES", "NER_DVC_REMOTE"
REPOSITORY, COMMIT = "NER_REPOSITORY", "NER_COMMIT"
PACKAGE = "multiner"
POINTERS = ("data/*.dvc", "data/raw/*.dvc")
Lock = dict[str, Any]


@dataclass(frozen=True, slots=True)
class WorkingCopy:
    """A working copy; ``code`` is the folder on whose account processes import the copy's own code."""

    root: Path
    code: Path

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of processes in the copy."""
        path = os.pathsep.join(filter(None, [str(self.code), os.environ.get("PYTHONPATH")]))
        programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        return quiet_environment(NER_ROOT=str(self.root), PYTHONPATH=path, PATH=programs, **more)

    def run(self, command: Sequence[str], **more: str) -> int:
        """Run a command in the copy, its output as this process's; returns its exit code. It ends with this process."""
        with subprocess.Popen(processes.tied(command), cwd=self.root, env=self.environment(**more)) as process:
            try:
                return process.wait()
            except BaseException:
                tree = processes.tree(process.pid)
                processes.end(lambda: processes.running(tree))
                raise

    @property
    def pointers(self) -> dict[str, str]:
        """The ``.dvc`` files of the raw data, by path."""
        files = sorted(file for pattern in POINTERS for file in self.root.glob(pattern))
        return {file.relative_to(self.root).as_posix(): file.read_text(encoding="utf-8") for file in files}

    @property
    def lock(self) -> Lock:
        """The entries of dvc.lock, by the stage's address."""
        return read_lock(self.root)

    def write_lock(self, entries: Lock) -> None:
        """Make dvc.lock of these entries."""
        text = yaml.safe_dump({"schema": "2.0", "stages": entries}, sort_keys=False, allow_unicode=True)
        (self.root / "dvc.lock").write_text(text, encoding="utf-8")


def read_lock(root: Path) -> Lock:
    """The entries of a workspace's dvc.lock, by the stage's address."""
    file = root / "dvc.lock"
    content = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else None
    return dict((content or {}).get("stages") or {})


@contextmanager
def working_copy(state: RunState, store: ObjectStore | None) -> Iterator[WorkingCopy]:
    """A working copy at a run's state, which is removed in the end, however this process ends.

    One that was left by a killed process is removed by the next. Without a store the copy has the committed remote.

    Raises:
        NerError: the repository cannot be cloned, or lacks the commit.
    """
    parent = Path(os.environ.get(FOLDER) or Path(tempfile.gettempdir()) / "ner-workspaces")
    with _ended_by_sigterm(), temporary_folder(parent / "task") as folder:
        copy = WorkingCopy(folder.resolve() / "copy", folder.resolve() / "code")
        copy.code.mkdir()
        _clone(state, store, folder, copy.root)
        for path, text in (state.pointers | state.files).items():
            file = copy.root / path
            file.unlink(missing_ok=True)
            if text is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
        copy.write_lock(state.lock)
        if (copy.root / PACKAGE).is_dir():
            (copy.code / PACKAGE).symlink_to(copy.root / PACKAGE)
        if store:
            _set_remote(copy.root, store)
        yield copy


def capture(root: Path, store: ObjectStore) -> RunState:
    """The state of the working copy at ``root``; its commit goes to the store as a bundle, unless it can be cloned.

    Without a git repository (an image without it) ``NER_REPOSITORY`` and ``NER_COMMIT`` say where the code came from.

    Raises:
        NerError: there is neither; or a changed file is no text.
    """
    address = os.environ.get(REPOSITORY)
    pointers = WorkingCopy(root, root).pointers
    if not (root / ".git").exists():
        commit = os.environ.get(COMMIT)
        if not (address and commit):
            raise NerError(
                "no git repository to make working copies from",
                where=str(root),
                remedy=f"Set {REPOSITORY} to an address that workers can clone, and {COMMIT} to this code's commit.",
            )
        return RunState(commit, address, pointers, {}, read_lock(root))
    commit = _git(root, "rev-parse", "HEAD").strip()
    names = _git(root, "diff", "--name-only", "--no-renames", "-z", "HEAD").split("\0")
    changed = [name for name in names if name and name != "dvc.lock" and name not in pointers]
    files = {name: _text(root / name) for name in changed}
    return RunState(commit, address or _bundle(root, commit, store), pointers, files, read_lock(root))


def repository_of(root: Path, commit: str, store: ObjectStore | None) -> str:
    """Where a commit can be cloned from: the working copy at ``root``, ``NER_REPOSITORY``, or a bundle in the store.

    Raises:
        NerError: from nowhere.
    """
    if (root / ".git").exists():
        try:
            _git(root, "cat-file", "-e", f"{commit}^{{commit}}")
            return str(root)
        except NerError:
            pass
    if address := os.environ.get(REPOSITORY):
        return address
    if store and f"{commit}.bundle" in store.names("bundles"):
        return f"bundles/{commit}.bundle"
    raise NerError(
        f"the commit {commit} is not in this repository",
        where=str(root),
        remedy=f"Fetch it: git fetch; or set {REPOSITORY} to the address of a repository that has it.",
    )


def _text(file: Path) -> str | None:
    if not file.is_file():
        return None
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise NerError("changed since the commit, and no text", where=str(file), remedy="Commit the change.") from None


def _bundle(root: Path, commit: str, store: ObjectStore) -> str:
    """The name of the bundle of a commit in the store, which it is brought to if it is not there."""
    name = f"{commit}.bundle"
    if name not in store.names("bundles"):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / name
            _git(root, "bundle", "create", "--quiet", str(file), "HEAD")
            with store.writing(f"bundles/{name}") as target:
                target.write(file.read_bytes())
    return f"bundles/{name}"


def _clone(state: RunState, store: ObjectStore | None, folder: Path, root: Path) -> None:
    source = state.repository
    if store and source.startswith("bundles/"):
        bundle = folder / "repository.bundle"
        with store.reading(source) as file:
            bundle.write_bytes(file.read())
        source = str(bundle)
    _git(folder, "clone", "--quiet", "--no-checkout", source, str(root))
    _git(root, "-c", "advice.detachedHead=false", "checkout", "--quiet", "--detach", state.commit)
    (folder / "repository.bundle").unlink(missing_ok=True)


def _set_remote(root: Path, store: ObjectStore) -> None:
    """Make DVC use the shared remote: ``NER_DVC_REMOTE``, by default a folder of the object store."""
    url = (os.environ.get(REMOTE) or f"{store.url.rstrip('/')}/dvc").removeprefix("file://")
    site = root.parent / "site"  # DVC's index of this copy, which it would keep in a folder of the machine
    core = f"[core]\n    remote = shared\n    site_cache_dir = {site}\n"
    remote = f"['remote \"shared\"']\n    url = {url}\n"
    (root / ".dvc" / "config.local").write_text(core + remote, encoding="utf-8")


def _git(folder: Path, *arguments: str) -> str:
    """The output of ``git``.

    Raises:
        NerError: it fails, or there is none.
    """
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except FileNotFoundError:
        raise NerError("there is no git on this machine", remedy="Install git.") from None
    if done.returncode:
        message = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise NerError(
            f"git {arguments[0]} failed: {message[0]}",
            where=str(folder),
            remedy=f"Check that this machine reaches the repository ({REPOSITORY}), and that it has the commit.",
            transient=arguments[0] == "clone",
        )
    return done.stdout


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM, which ends a task, raise SystemExit, so that the copy is removed."""

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
