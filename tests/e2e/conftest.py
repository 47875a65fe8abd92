"""A clone in which the main job has run for real, on slices of the real corpora; once for all tests that need it.

One worker of xdist runs them all, one after the other (see ``MAIN_JOB`` in tests/conftest.py).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from multiner.pipeline.config.settings import Workspace, overlay
from multiner.pipeline.core import processes
from multiner.pipeline.core.environment import quiet_environment
from multiner.serving.backends.local_server import free_port

BIN = Path(sys.executable).parent
RUN_SECONDS = 2400  # far more than a run takes on two quiet cores


class Job:
    """A clone with ports of its own.

    Args:
        root: the clone's folder, empty.
        source: the working tree that is cloned.
        mirror: where ``ner pull`` finds corpora and packages.
    """

    def __init__(self, root: Path, source: Path, mirror: Path) -> None:
        self.root = root
        self.mirror = mirror
        self.ports = {name: free_port() for name in ("port", "mlflow_port", "airflow_port")}
        inherited = ("AIRFLOW", "MLFLOW_TRACKING", "CI")
        self.environment = {
            name: value for name, value in quiet_environment().items() if not name.startswith(inherited)
        } | {"NER_ROOT": str(root), "NER_CORPORA_MIRROR": str(mirror), "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
        copy_working_tree(source, root)
        self.set_params({"serving": self.ports})

    @property
    def gateway(self) -> str:
        """The address of the API."""
        return f"http://127.0.0.1:{self.ports['port']}"

    def set_params(self, values: dict[str, Any]) -> None:
        """Put values into params.yaml, as a user edits it."""
        path = self.root / "params.yaml"
        params = overlay(yaml.safe_load(path.read_text(encoding="utf-8")), values)
        path.write_text(yaml.safe_dump(params, sort_keys=False, allow_unicode=True), encoding="utf-8")

    def ner(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run ``ner`` to its end, output and errors together."""
        return subprocess.run(
            [str(BIN / "ner"), *arguments],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )

    def ask(self, text: str, language: str = "auto") -> dict[str, Any]:
        """The gateway's result for one text."""
        answer = httpx.post(f"{self.gateway}/v1/entities", json={"text": text, "language": language}, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()["results"][0]

    def status(self) -> dict[str, Any]:
        """What ``ner status`` tells."""
        return json.loads(self.ner("status", "--json").stdout)

    def leftovers(self) -> list[str]:
        """Processes of this clone's system that are still there."""
        return [" ".join(process.cmdline()) for process in processes.marked(self.root)]


def copy_working_tree(source: Path, to: Path) -> None:
    """What git tracks, and what it would: a clone as it would be after a commit."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=source, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if os.path.lexists(source / name):  # tracked, and deleted since
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, to / name, follow_symlinks=False)
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "A clone"]):
        subprocess.run([*git, *command], cwd=to, check=True)


@contextmanager
def cloned(folder: Path, root: Path, corpora: Path) -> Iterator[Job]:
    """A fresh clone with a mirror of the corpora, and of the packages' files where this clone has them."""
    mirror = folder / "mirror"
    mirror.mkdir()
    for place in (corpora, root / "data" / "raw"):
        for source in place.iterdir() if place.is_dir() else ():
            if source.is_dir() and not (mirror / source.name).exists():
                (mirror / source.name).symlink_to(source)
    (folder / "clone").mkdir()
    job = Job(folder / "clone", root, mirror)
    yield job
    job.ner("down")


@pytest.fixture(scope="session")
def job(tmp_path_factory: pytest.TempPathFactory, root: Path, corpora: Path) -> Iterator[Job]:
    """The clone of the main job."""
    with cloned(tmp_path_factory.mktemp("job"), root, corpora) as job:
        yield job


@pytest.fixture(scope="session")
def first_run(job: Job) -> str:
    """The output of the clone's first run, of the profile smoke."""
    done = job.ner("run", "--profile", "smoke", "--once", timeout=RUN_SECONDS)
    assert done.returncode == 0, done.stdout[-8000:]
    keep_trained(job.root, job.root.parent / "trained")
    return done.stdout


def keep_trained(clone: Path, to: Path) -> None:
    """Keep what a run has trained; the outputs by hard links, since DVC deletes a file before it writes another."""
    shutil.copytree(clone / "data" / "out", to / "data" / "out", copy_function=os.link)
    shutil.copytree(clone / "params", to / "params")
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(clone / name, to / name)
    (to / "data" / "raw").symlink_to(clone / "data" / "raw")


@pytest.fixture(scope="session")
def trained(request: pytest.FixtureRequest) -> Workspace:
    """A workspace with trained ensembles: what the job's first run left, whatever other tests do to its clone since.

    ``NER_TRAINED`` names another in its place, such as a clone where ``make run`` has trained on the whole corpora.
    """
    if named := os.environ.get("NER_TRAINED"):
        return Workspace.load(root=Path(named).resolve())
    request.getfixturevalue("first_run")
    return Workspace.load(root=request.getfixturevalue("job").root.parent / "trained")
