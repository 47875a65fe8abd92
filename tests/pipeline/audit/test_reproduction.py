"""``ner reproduce``: a toy repository whose stages DVC runs anew in a copy; and what a registered version's run has."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from multiner.pipeline.audit import origin as origins
from multiner.pipeline.audit import reproduction as audit
from multiner.pipeline.audit.origin import TrainingOrigin, other_packages, output_hashes, read_origin
from multiner.pipeline.audit.remotes import use_remotes
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.object_store import ObjectStore
from multiner.pipeline.corpora.versioning import run_dvc
from multiner.pipeline.registry import lineage, register
from multiner.pipeline.registry.store import open_store
from multiner.pipeline.workspaces.working_copy import read_lock
from tests.pipeline.workspaces.conftest import git

SCRIPT = """import json, sys, yaml
params = yaml.safe_load(open("params.yaml")); text = open("data/raw/corpus/text").read()
f1 = {"f1": float(params["rate"]) + len(text) + SHIFT}
parts = {"dev": {"ensemble": f1}, "test": {"ensemble": f1}}
json.dump({"corpora": {"toy": parts}, "data_hash": text, "model_hash": {"ensemble": f1["f1"]}}, open(sys.argv[1], "w"))
"""
STAGE = {
    "foreach": ["en"],
    "do": {
        "cmd": f"mkdir -p metrics/cpu && {sys.executable} evaluate.py metrics/cpu/${{item}}.json",
        "deps": ["data/raw", "evaluate.py"],
        "params": ["rate"],
        "metrics": [{"metrics/cpu/${item}.json": {"cache": False}}],
    },
}


VARIABLES = ("NER_REPOSITORY", "NER_COMMIT", "NER_DVC_REMOTE", "NER_STORE", "DVC_STAGE", "DVC_ROOT")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository, trained with a change that was not committed; its commit would give other figures."""
    root = tmp_path_factory.mktemp("trained")
    (root / "data" / "raw" / "corpus").mkdir(parents=True)
    (root / "data" / "raw" / "corpus" / "text").write_text("one\n")
    (root / "params").mkdir()
    (root / "params" / "cpu.yaml").write_text("{}\n")
    (root / "params.yaml").write_text("profile: cpu\nrate: 50\n")
    (root / "evaluate.py").write_text(SCRIPT.replace("SHIFT", "1"))
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"evaluate": STAGE}}, sort_keys=False))
    (root / ".gitignore").write_text("/data/raw/*\n!/data/raw/*.dvc\n")
    git(root, "init", "--quiet")
    with pytest.MonkeyPatch.context() as patch:
        for name in VARIABLES:
            patch.delenv(name, raising=False)
        run_dvc(root, "init", "--quiet")
        run_dvc(root, "add", "data/raw/corpus")
        git(root, "add", "--all")
        git(root, "commit", "--quiet", "--message", "one")
        (root / "evaluate.py").write_text(SCRIPT.replace("SHIFT", "2") + "\n" * 3)
        run_dvc(root, "repro")
    return root


@pytest.fixture
def toy(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the trained repository."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NER_WORKSPACES", str(tmp_path / "copies"))
    monkeypatch.setattr(audit, "PACKAGE", "params")  # the toy has no code of its own
    return Path(shutil.copytree(trained, tmp_path / "toy", symlinks=True))


@pytest.fixture
def origin(toy: Path, monkeypatch: pytest.MonkeyPatch) -> TrainingOrigin:
    """What the toy's run has logged."""
    pointer = "data/raw/corpus.dvc"
    origin = TrainingOrigin(
        name="ner-en",
        version="1",
        profile="cpu",
        commit=lineage.commit(toy),
        changes=lineage.git_diff(toy),
        pointers={pointer: (toy / pointer).read_text()},
        params={"profile": "cpu", "rate": 50},
        requirements="",
        hashes=output_hashes(read_lock(toy)),
        figures=json.loads((toy / "metrics" / "cpu" / "en.json").read_text()),
    )
    monkeypatch.setattr(audit, "read_origin", lambda *_: origin)
    return origin


def workspace_of(root: Path) -> Workspace:
    return Workspace(root, {"profile": "cpu", "languages": {"en": {}}})


@pytest.mark.slow
def test_a_version_is_trained_again_with_its_changes_and_data(toy: Path, origin: TrainingOrigin) -> None:
    (toy / "data" / "raw" / "corpus" / "text").write_text("newer data\n")
    run_dvc(toy, "add", "data/raw/corpus")
    git(toy, "checkout", "--", "evaluate.py")
    lines: list[str] = []
    audit.check(workspace_of(toy), "en", "1", lines.append, any_environment=False)
    assert lines[-1].endswith("everything is there")
    assert "changes since the commit: applied" in lines
    assert "parameters: as committed" in lines
    assert "data: corpus" in lines
    result = audit.reproduce(workspace_of(toy), "en", "1", lines.append, noise=0.0)
    assert result.breaches == []
    assert result.exact
    assert lines[-1] == "1 of 1 outputs are equal bit by bit"
    assert not [path for path in (toy.parent / "copies").iterdir() if not path.name.startswith(".")], "nothing is left"


@pytest.mark.slow
def test_other_figures_are_named(toy: Path, origin: TrainingOrigin, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = replace(origin, changes=None, params=origin.params | {"rate": 51.5})
    monkeypatch.setattr(audit, "read_origin", lambda *_: changed)
    lines: list[str] = []
    result = audit.reproduce(workspace_of(toy), "en", "1", lines.append)
    assert "parameters: from the run" in lines
    assert result.breaches == ["toy dev: +0.50 F1 points", "toy test: +0.50 F1 points"]
    assert lines[-1].startswith("0 of 1 outputs are equal bit by bit; others (")
    assert lines[-1].endswith("minutes): metrics/cpu/en.json")


@pytest.mark.slow
def test_what_is_missing_is_named(toy: Path, origin: TrainingOrigin, monkeypatch: pytest.MonkeyPatch) -> None:
    pointer = origin.pointers["data/raw/corpus.dvc"]
    digest = yaml.safe_load(pointer)["outs"][0]["md5"]
    for change, message in (
        ({"commit": "0" * 40}, "the commit 0000.* is not in this repository"),
        ({"changes": "--- a/none.py\n+++ b/none.py\n@@ -1 +1 @@\n-a\n+b\n"}, "cannot be applied"),
        (
            {"pointers": {"data/raw/corpus.dvc": pointer.replace(digest, "0" * 32 + ".dir")}},
            "its data corpus is neither",
        ),
        ({"requirements": "click==0.1\nnever-installed==1\n"}, r"than its lock has: click .* \(locked 0.1\)"),
    ):
        monkeypatch.setattr(audit, "read_origin", lambda *_, change=change: replace(origin, **change))
        with pytest.raises(NerError, match=message):
            audit.check(workspace_of(toy), "en", "1", lambda _: None, any_environment=False)
    audit.check(workspace_of(toy), "en", "1", lambda _: None, any_environment=True)


def test_packages_are_compared_with_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"torch": "2.13.0+cpu", "numpy": "2.4.6"}
    monkeypatch.setattr(origins, "installed_version", installed.__getitem__)
    assert other_packages("# a note\ntorch==2.13.0\nnumpy==2.5.0 ; python_version > '3'\n") == [
        "numpy 2.4.6 (locked 2.5.0)"
    ]


def test_a_version_for_another_python_is_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origins, "installed_version", lambda _: "13.1.2")
    lock = "extensions==12.3 ; python_full_version < '3.11'\nextensions==13.1.2 ; python_full_version >= '3.11'\n"
    assert other_packages(lock) == []


def test_a_logged_diff_can_be_applied(tmp_path: Path) -> None:
    """It ends with blank lines, has another line end and no text in it."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "a.txt").write_bytes(b"one\r\ntwo\r\n\n\n\n")
    (tmp_path / "b.bin").write_bytes(bytes(range(256)))
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "one")
    git(tmp_path, "config", "diff.noprefix", "true")
    (tmp_path / "a.txt").write_bytes(b"one\r\n2\r\n\n\n\n")
    (tmp_path / "b.bin").write_bytes(bytes(range(255)))
    diff = lineage.git_diff(tmp_path)
    git(tmp_path, "checkout", "--", ".")
    subprocess.run(["git", "-C", str(tmp_path), "apply", "-"], input=diff.encode(), check=True)
    assert (tmp_path / "a.txt").read_bytes() == b"one\r\n2\r\n\n\n\n"
    assert (tmp_path / "b.bin").read_bytes() == bytes(range(255))


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_the_origin_of_a_registered_version(workspace, fill, empty_leg, monkeypatch) -> None:  # noqa: ANN001
    monkeypatch.setenv("NER_COMMIT", "c" * 40)
    monkeypatch.setattr(lineage, "git_diff", lambda _: "--- a/x\r\n+++ b/x\n \n")
    lock = {"stages": {"ensemble@en": {"outs": [{"path": "ensemble.json", "md5": "e" * 32}]}}}
    (workspace.root / "dvc.lock").write_text(json.dumps(lock))
    fill(empty_leg)
    run_id = register(workspace, "en").run_id
    origin = read_origin(workspace, "en", "1")
    assert (origin.name, origin.version, origin.profile, origin.commit) == ("ner-en", "1", "cpu", "c" * 40)
    assert origin.changes == "--- a/x\r\n+++ b/x\n \n", "to the last blank"
    assert set(origin.pointers) == {"data/raw/conll2003.dvc", "data/raw/wnut17.dvc"}
    assert origin.params == workspace.params
    assert origin.requirements == "numpy==2\n"
    assert origin.hashes == {"ensemble.json": "e" * 32}
    assert origin.figures["corpora"]["conll2003"]["test"]["ensemble"]["f1"] == 91.25
    with pytest.raises(NerError, match="no version 7"):
        read_origin(workspace, "en", "7")
    client = open_store(workspace)
    client.log_text(run_id, f"--- a/x\n{lineage.CUT}7 more characters]\n", "lineage/changes.diff")
    with pytest.raises(NerError, match="too long"):
        read_origin(workspace, "en", "1")
    client.delete_tag(run_id, "git_commit")
    with pytest.raises(NerError, match="lacks the commit"):
        read_origin(workspace, "en", "1")


def test_the_remote_of_the_workers_is_that_of_a_reproduction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "copy" / ".dvc").mkdir(parents=True)
    (tmp_path / "workspace" / ".dvc").mkdir(parents=True)
    monkeypatch.setenv("NER_DVC_REMOTE", "s3://dvc")
    use_remotes(tmp_path / "workspace", tmp_path / "copy", ObjectStore(f"file://{tmp_path}/store"))
    config = (tmp_path / "copy" / ".dvc" / "config.local").read_text(encoding="utf-8")
    assert "url = s3://dvc\n" in config
    assert "store" not in config
