"""Set-up: the lock pins what setup.py asks for, and nothing names a machine."""

from __future__ import annotations

import re
import subprocess
from importlib.metadata import distribution
from pathlib import Path

import yaml
from packaging.requirements import Requirement

PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)( ; .+)?$")


def pins(root: Path) -> dict[str, str]:
    lines = (root / "requirements.lock").read_text(encoding="utf-8").splitlines()
    found = [PIN.match(line) for line in lines if line and not line.startswith("#")]
    assert all(found), "a line of the lock is no exact pin"
    return {re.sub(r"[._-]+", "-", match[1].lower()): match[2] for match in found if match}


def required(root: Path) -> list[Requirement]:
    text = (root / "setup.py").read_text(encoding="utf-8")
    blocks = re.findall(r"^(?:REQUIRED|TEST) = \[(.*?)\]", text, flags=re.M | re.S)
    return [Requirement(name) for block in blocks for name in re.findall(r'"([^"]+)"', re.sub(r"#.*", "", block))]


def test_the_lock_satisfies_every_requirement(root: Path) -> None:
    locked = pins(root)
    wanted = required(root)
    assert len(wanted) > 20
    for requirement in wanted:
        version = locked[re.sub(r"[._-]+", "-", requirement.name.lower())]
        assert requirement.specifier.contains(version), requirement


def test_no_cuda_build_is_pinned(root: Path) -> None:
    assert not [name for name in pins(root) if name.startswith(("nvidia", "triton"))]


def test_no_corpus_and_no_weights_are_tracked(root: Path) -> None:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True)
    names = done.stdout.split("\0")
    assert "params.yaml" in names
    for name in names:
        assert not name.startswith(("data/out", "data/encoders", "data/vectors", "mlruns/mlflow")), name
        assert not name.startswith("data/raw/") or name.endswith((".dvc", ".gitignore")), name
        assert Path(name).suffix not in {".safetensors", ".bin", ".pkl", ".pt", ".onnx", ".db"}, name


def test_pages_docs_and_code_name_no_path_of_a_machine(root: Path) -> None:
    done = subprocess.run(["git", "ls-files", "-z", "*.py", "*.md", "*.yaml", "*.lock", "Makefile"], cwd=root,
                          capture_output=True, text=True, check=True)  # fmt: skip
    names = list(filter(None, done.stdout.split("\0")))
    assert "README.md" in names
    for name in names:
        text = (root / name).read_text(encoding="utf-8")
        assert not re.search(r"/(home|root|work|Users)/\w+/", text), name


def test_no_spacy_factory_is_an_entry_point() -> None:
    """spaCy loads them in every process, and an older model's frozen code lacks the newer modules they would name."""
    assert not [each for each in distribution("ner-pipeline").entry_points if each.group == "spacy_factories"]


def test_what_is_checked_before_a_commit_is_what_lint_checks(root: Path) -> None:
    """With the environment's own tools: no hook brings another version of them from elsewhere."""
    config = yaml.safe_load((root / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repository["repo"] for repository in config["repos"]] == ["local"]
    hooks = [hook["entry"].removeprefix(".venv/bin/").removesuffix(" --force-exclude")
             for repository in config["repos"] for hook in repository["hooks"]]  # fmt: skip
    recipe = (root / "Makefile").read_text(encoding="utf-8").partition("\nlint:")[2].partition("\n\n")[0]
    assert hooks == ["ruff check", "ruff format", "lint-imports"]
    assert all(hook in recipe for hook in [*hooks, "mypy"])
