"""A toy repository with tiny stages: committed at the first version of its data, with the second one's pointer."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from multiner.pipeline.core.object_store import ObjectStore
from multiner.pipeline.corpora.versioning import run_dvc

STAGES = {
    "prepare": {"cmd": "sed s/$/x/ data/raw/corpus/text > prepared", "deps": ["data/raw"], "outs": ["prepared"]},
    "train": {"cmd": "tr a-z A-Z < prepared > model", "deps": ["prepared"], "outs": ["model"]},
    "evaluate": {
        "cmd": "wc -c < model > metrics.json",
        "deps": ["model"],
        "metrics": [{"metrics.json": {"cache": False}}],
    },
}


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    return subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True, text=True).stdout


def write_data(root: Path, text: str) -> None:
    (root / "data" / "raw" / "corpus").mkdir(parents=True, exist_ok=True)
    (root / "data" / "raw" / "corpus" / "text").write_text(text)
    run_dvc(root, "add", "data/raw/corpus")


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The repository, with dvc.lock of the data ``one`` and the pointer of the data ``two``."""
    for name in ("NER_REPOSITORY", "NER_COMMIT", "NER_DVC_REMOTE", "DVC_STAGE", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "toy"
    root.mkdir()
    git(root, "init", "--quiet")
    run_dvc(root, "init", "--quiet")
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}, sort_keys=False))
    (root / ".gitignore").write_text("/data/raw/*\n!/data/raw/*.dvc\n/prepared\n/model\n")
    write_data(root, "one\n")
    run_dvc(root, "repro")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "one")
    write_data(root, "two\n")
    return root


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    """An object store in a folder; DVC's remote lies in it."""
    return ObjectStore(f"file://{tmp_path / 'store'}")


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the working copies."""
    folder = tmp_path / "copies"
    monkeypatch.setenv("NER_WORKSPACES", str(folder))
    return folder
