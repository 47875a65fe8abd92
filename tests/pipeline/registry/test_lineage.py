"""Hashes, the fingerprint, and the code that a served model runs."""

from __future__ import annotations

import subprocess
from pathlib import Path

from multiner.pipeline.core.files import folder_hash, read_json, write_json
from multiner.pipeline.registry import lineage


def names(paths: list[Path]) -> set[str]:
    return {path.relative_to(lineage.PACKAGE).as_posix() for path in paths}


def test_served_code_holds_inference_and_nothing_else() -> None:
    modules = names(lineage.code_closure())
    assert {
        "pipeline/inference/pyfunc.py",
        "pipeline/ensemble/model.py",
        "pipeline/text/tokenizer.py",
        "pipeline/models/transformer/inference.py",
        "pipeline/models/spacy/inference.py",
    } <= modules
    others = ("pipeline/registry", "pipeline/corpora", "pipeline/cli", "serving/", "loading")
    assert not [name for name in modules if "training" in name or name.startswith(others)]
    assert not modules & {"pipeline/models/transformer/export.py", "pipeline/models/transformer/network.py"}


def test_served_code_imports_no_training_tools() -> None:
    for path in lineage.code_closure():
        tops = {name.split(".")[0] for name in lineage._imports(path)}
        assert not tops & {"airflow", "dvc", "great_expectations", "safetensors", "torch", "transformers"}, path


def test_imports_inside_functions_and_named_in_strings_count(tmp_path: Path) -> None:
    package = tmp_path / "multiner"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "a.py").write_text("def f():\n    from multiner import b\n")
    (package / "b.py").write_text('LEGS = {"c": "multiner.c:Leg"}\n')
    (package / "c.py").touch()
    (package / "d.py").touch()
    modules = lineage.code_closure([package / "a.py"], tmp_path)
    assert [path.name for path in modules] == ["a.py", "b.py", "c.py"]


def test_folder_hash_sees_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    first = folder_hash(tmp_path)
    (tmp_path / "history.json").write_text("2")
    assert folder_hash(tmp_path, without=["history.json"]) == first
    assert folder_hash(tmp_path) != first
    (tmp_path / "history.json").unlink()
    (tmp_path / "a").rename(tmp_path / "b")
    assert folder_hash(tmp_path) != first


def test_fingerprint_follows_the_model_not_the_clock(workspace, fill, empty_leg) -> None:  # noqa: ANN001
    fill(empty_leg)
    metrics = read_json(workspace.paths.metrics("en"))
    first = lineage.fingerprint(workspace, "en", metrics)
    write_json(workspace.paths.leg("en", "transformer") / "history.json", [{"step": 1, "seconds": 99.0}])
    assert lineage.fingerprint(workspace, "en", metrics | {"minutes": {"total": 99}, "commit": "other"}) == first
    (workspace.paths.leg("en", "transformer") / "weights.bin").write_bytes(b"other")
    assert lineage.fingerprint(workspace, "en", metrics) != first


def test_git_diff_is_cut_at_its_limit(tmp_path: Path, monkeypatch) -> None:  # noqa: ANN001
    assert lineage.git_diff(tmp_path / "nowhere") == ""
    run = ["git", "-c", "user.name=n", "-c", "user.email=e@example.org", "-C", str(tmp_path)]
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "a.txt").write_text("one\n")
    subprocess.run([*run, "add", "a.txt"], check=True)
    subprocess.run([*run, "commit", "-qm", "a"], check=True)
    (tmp_path / "a.txt").write_text("two\n" * 100)
    assert "+two" in lineage.git_diff(tmp_path)
    monkeypatch.setattr(lineage, "DIFF_LIMIT", 50)
    assert "[cut: " in lineage.git_diff(tmp_path)
