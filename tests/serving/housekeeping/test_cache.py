"""`ner gc` in DVC's cache: what the workspace or a registered version needs stays, and DVC restores it afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.serving.housekeeping import cache

Track = Callable[[str], str]


@pytest.fixture
def track(workspace: Workspace) -> Track:
    """Makes a folder of raw data with one file of this text, adds it to DVC, and returns the text of its pointer."""
    (workspace.root / "dvc.yaml").unlink()
    Repo.init(str(workspace.root), no_scm=True).close()

    def add(text: str) -> str:
        folder = workspace.paths.raw / "corpus"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "train.txt").write_text(text)
        with Repo(str(workspace.root)) as repo:
            repo.add([str(folder)])
        return folder.with_name("corpus.dvc").read_text(encoding="utf-8")

    return add


def objects(workspace: Workspace) -> int:
    return sum(1 for path in (workspace.root / ".dvc" / "cache" / "files").rglob("*") if path.is_file())


def test_objects_of_the_workspace_and_of_versions_stay(workspace: Workspace, track: Track) -> None:
    first, second, _ = track("first"), track("second"), track("third")
    assert objects(workspace) == 6
    planned = cache.unused_objects(workspace, [first], delete=False)
    assert objects(workspace) == 6
    done = cache.unused_objects(workspace, [first], delete=True)
    assert planned == done
    assert [removal.count for removal in done] == [2, 0]
    assert done[0].size > len("second")
    assert objects(workspace) == 4

    pointer = workspace.paths.raw / "corpus.dvc"
    for text, content in ((first, "first"), (second, None)):
        shutil.rmtree(workspace.paths.raw / "corpus")
        pointer.write_text(text)
        with Repo(str(workspace.root)) as repo:
            if content is None:
                with pytest.raises(Exception, match="missing"):
                    repo.checkout([str(pointer)])
            else:
                repo.checkout([str(pointer)])
                assert (workspace.paths.raw / "corpus" / "train.txt").read_text() == content


def test_a_remembered_run_goes_with_its_objects_and_stays_with_them(workspace: Workspace, track: Track) -> None:
    kept, gone = track("kept"), track("gone")
    track("now")
    runs = workspace.root / ".dvc" / "cache" / "runs"
    for name, pointer in (("kept", kept), ("gone", gone)):
        (runs / name).mkdir(parents=True)
        outs = yaml.safe_load(pointer)["outs"]
        entry = {"cmd": "x", "deps": [{"path": "code.py", "md5": "0" * 32}], "outs": outs}
        (runs / name / "entry").write_text(yaml.safe_dump(entry))
    removals = cache.unused_objects(workspace, [kept], delete=True)
    assert removals[1].items == ["gone"]
    assert [(runs / name / "entry").exists() for name in ("kept", "gone")] == [True, False]


def test_nothing_goes_where_what_a_version_needs_cannot_be_read(workspace: Workspace, track: Track) -> None:
    first, _ = track("first"), track("second")
    with pytest.raises(NerError, match="damaged"):
        cache.unused_objects(workspace, ["stages: {a: [1"], delete=True)
    digest = yaml.safe_load(first)["outs"][0]["md5"]
    listing = workspace.root / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]
    listing.chmod(0o644)
    listing.write_text("[{")
    with pytest.raises(NerError, match="damaged") as caught:
        cache.unused_objects(workspace, [first], delete=True)
    assert caught.value.where == str(listing)
    assert objects(workspace) == 4


def test_a_cache_that_others_may_share_is_left_alone(workspace: Workspace, track: Track, tmp_path: Path) -> None:
    track("first")
    with Repo(str(workspace.root)) as repo, repo.config.edit() as config:
        config["cache"]["dir"] = str(tmp_path / "shared")
    track("second"), track("third")
    removals = cache.unused_objects(workspace, [], delete=True)
    assert all("dvc gc" in removal.note and not removal.items for removal in removals)
    assert sum(1 for path in (tmp_path / "shared" / "files").rglob("*") if path.is_file()) == 4
