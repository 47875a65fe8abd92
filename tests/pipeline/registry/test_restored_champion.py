"""A champion that was restored on another path is loaded by a fresh process, and answers."""

from __future__ import annotations

import shutil

import pytest

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.inference import golden, isolated_process
from multiner.pipeline.registry import champion, register
from multiner.pipeline.registry.champions import model_folder, set_champion
from multiner.pipeline.registry.signing.versions import checked_source
from multiner.pipeline.registry.store import open_store
from multiner.serving.housekeeping.backup import backup, restore


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_a_restored_champion_answers(workspace, fill, good_leg, tmp_path) -> None:  # noqa: ANN001
    fill(good_leg)
    set_champion(open_store(workspace), "ner-en", register(workspace, "en").version)
    backup(workspace, tmp_path / "backup.tar")
    shutil.rmtree(workspace.root)
    _, folder = restore(tmp_path / "backup.tar", tmp_path / "elsewhere")

    restored = Workspace(folder, workspace.params)
    version = champion(restored, "en")
    assert checked_source(restored, version.name, version.version, tmp_path) == version.uri
    source = model_folder(version)
    assert source.is_relative_to(folder)
    sample = next(each for each in golden.samples("en") if each.entities)
    (answer,) = isolated_process.ask(source, [sample.text], repeats=1).answers
    assert {(entity["text"], entity["label"]) for entity in answer["entities"]} == set(sample.entities)
