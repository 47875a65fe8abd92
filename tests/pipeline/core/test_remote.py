"""DVC's remote by the environment: the working copy's own settings stay, what was written is taken back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from multiner.pipeline.core.environment import quiet_environment

CONFIG = "[core]\n    remote = local\n['remote \"local\"']\n    url = ../near\n"
OWN = "[cache]\n    type = hardlink\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "work"
    (root / ".dvc").mkdir(parents=True)
    (root / ".dvc" / "config").write_text(CONFIG.replace("[core]\n", "[core]\n    no_scm = true\n"))
    (root / ".dvc" / "config.local").write_text(OWN)
    (root / "words.txt").write_text("Ada\n")
    assert dvc(root, "add", "words.txt").returncode == 0
    return root


def dvc(root: Path, *arguments: str, remote: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "multiner.pipeline.core.dvc_command", *arguments]
    environment = quiet_environment(NER_DVC_REMOTE=remote, DVC_SITE_CACHE_DIR=str(root.parent / "site"))
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


def files(folder: Path) -> int:
    return sum(1 for path in folder.rglob("*") if path.is_file())


def test_data_goes_to_the_remote_of_the_environment_and_comes_back_from_it(repository: Path, tmp_path: Path) -> None:
    far, near = tmp_path / "far", repository / "near"
    done = dvc(repository, "push", remote=str(far))
    assert (done.returncode, files(far), files(near)) == (0, 1, 0), done.stderr
    (repository / "words.txt").unlink()
    for file in (repository / ".dvc" / "cache").rglob("*"):
        if file.is_file():
            file.unlink()
    assert dvc(repository, "pull", remote=str(far)).returncode == 0
    assert (repository / "words.txt").read_text() == "Ada\n"


def test_without_the_variable_the_remote_is_that_of_the_repository(repository: Path, tmp_path: Path) -> None:
    assert dvc(repository, "push", remote=str(tmp_path / "far")).returncode == 0
    assert "hardlink" in (repository / ".dvc" / "config.local").read_text()
    assert dvc(repository, "push").returncode == 0
    assert files(repository / "near") == 1
    local = (repository / ".dvc" / "config.local").read_text()
    assert "hardlink" in local
    assert "environment" not in local


def test_an_unknown_kind_of_remote_is_refused_by_name(repository: Path) -> None:
    done = dvc(repository, "push", remote="nowhere://bucket")
    assert done.returncode == 1
    assert done.stderr.startswith("error: NER_DVC_REMOTE: DVC refuses this remote")
    assert (repository / ".dvc" / "config.local").read_text() == OWN
