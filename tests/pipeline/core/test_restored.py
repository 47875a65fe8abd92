"""What DVC restores from objects that were cut off, with DVC itself: found before it is used, and brought back."""

from __future__ import annotations

import subprocess
import sys
from hashlib import md5
from pathlib import Path

import pytest
import yaml

from multiner.pipeline.core.dvc_cache import discard_damaged, inputs_of, outputs_of, recorded, require_whole
from multiner.pipeline.core.environment import quiet_environment
from multiner.pipeline.core.errors import NerError

pytestmark = pytest.mark.slow  # DVC takes seconds to start

NER = Path(sys.executable).with_name("ner")
STAGES = {
    "prepare": {
        "foreach": ["en"],
        "do": {
            "cmd": "mkdir documents && seq 40 > documents/train && seq 10 > documents/dev",
            "deps": ["raw"],
            "outs": ["documents"],
        },
    },
    "train": {"cmd": f"{NER} --version > weights", "deps": ["documents"], "outs": ["weights"]},
}


def dvc(root: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=root, env=quiet_environment(), capture_output=True, text=True, check=False)


def cached_object(root: Path, name: str) -> Path:
    """The object of a file in DVC's cache."""
    digest = md5((root / name).read_bytes()).hexdigest()
    return root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]


def cut(object: Path) -> None:
    """Half of an object is lost; it stays read-only, as DVC leaves it."""
    content = object.read_bytes()
    object.chmod(0o644)
    object.write_bytes(content[: len(content) // 2])
    object.chmod(0o444)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A DVC repository after its documents were prepared."""
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    (tmp_path / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}))
    (tmp_path / "raw").write_text("raw")
    process = dvc(tmp_path, "repro", "prepare@en")
    assert process.returncode == 0, process.stderr
    return tmp_path


@pytest.fixture
def restored(root: Path) -> Path:
    """The same after the documents were restored from a cut object; DVC takes them for whole."""
    cut(cached_object(root, "documents/train"))
    for file in ("train", "dev"):
        (root / "documents" / file).unlink()
    assert "is cached - skipping run" in dvc(root, "repro", "prepare@en").stdout
    assert len((root / "documents/train").read_text()) == 55
    return root


@pytest.mark.faults("a cached object cut off")
def test_no_stage_reads_what_was_restored_from_a_cut_object(restored: Path) -> None:
    refused = dvc(restored, "repro", "train")
    assert refused.returncode
    assert "documents/train: DVC restored it from its cache, where it was cut off" in refused.stderr
    assert not (restored / "weights").read_text(), "made by the shell"
    process = dvc(restored, "repro", "train")
    assert process.returncode == 0, process.stderr
    assert (restored / "documents/train").read_text().count("\n") == 40, "made anew"


def test_whoever_reads_a_damaged_file_is_told_once(restored: Path) -> None:
    require_whole(restored, [restored / "documents" / "dev", restored / "elsewhere"])
    with pytest.raises(NerError, match="cut off or altered") as caught:
        require_whole(restored, [restored / "documents"])
    assert (caught.value.where, caught.value.exit_code) == ("documents/train", 1)
    assert not (restored / "documents/train").exists()
    require_whole(restored, [restored / "documents"])


def test_an_intact_file_mends_the_cache(root: Path) -> None:
    object = cached_object(root, "documents/train")
    cut(object)
    assert discard_damaged(root, [root / "documents"]) == []
    assert object.read_bytes() == (root / "documents/train").read_bytes()
    assert object.stat().st_mode & 0o777 == 0o444


def test_what_people_changed_stays(restored: Path) -> None:
    (restored / "documents/train").write_text("by hand")
    assert discard_damaged(restored, [restored / "documents"]) == []
    assert (restored / "documents/train").read_text() == "by hand"


def test_a_cut_list_of_files_is_made_anew(root: Path) -> None:
    digest = recorded(root)["documents"]
    listing = root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    cut(listing)
    assert discard_damaged(root, [root / "documents"]) == []
    assert not listing.exists()
    assert dvc(root, "repro", "prepare@en").returncode == 0
    assert listing.is_file()


def test_the_inputs_and_outputs_of_a_stage(root: Path) -> None:
    assert inputs_of(root, "train") == [root / "documents"]
    assert outputs_of(root, "prepare@en") == [root / "documents"]
    assert list(recorded(root)) == ["documents"]


def test_marks_of_a_conflict_are_named(root: Path) -> None:
    lock = root / "dvc.lock"
    lock.write_text(f"<<<<<<< HEAD\n{lock.read_text()}")
    with pytest.raises(NerError, match="marks of a conflict") as caught:
        require_whole(root, [root / "documents"])
    assert caught.value.where == f"{lock}:2"


@pytest.mark.parametrize(
    "content",
    [
        b"\0" * 64,
        b"schema: '2.0'\0\0",
        b"[]",
        b"- prepare",
        b"stages:",
        b"stages: []",
        b"stages: {prepare@en: }",
        b"stages: {prepare@en: {outs: }}",
        b"stages: {prepare@en: {outs: [{md5: 0}]}}",
    ],
)
@pytest.mark.parametrize("file", ["dvc.lock", "data/raw/corpus.dvc"])
def test_a_record_of_dvc_that_was_cut_off_is_named(tmp_path: Path, file: str, content: bytes) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if file == "dvc.lock" or b"stages" not in content else b"outs: [{md5: 0}]")
    if content == b"[]":
        assert recorded(tmp_path) == {}
        return
    with pytest.raises(NerError, match="cut off or altered") as caught:
        recorded(tmp_path)
    assert caught.value.where == str(path)


def test_without_dvc_nothing_is_checked(tmp_path: Path) -> None:
    require_whole(tmp_path, [tmp_path / "documents"])
