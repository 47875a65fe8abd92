"""``train``: the stages of a language, one by one, in a folder of its own."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

from multiner import Training, train
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import write_json
from multiner.training import STAGES, Stage

CONFIG: dict[str, Any] = {"profile": "demo", "languages": {"en": {"transformer": {"epochs": 1}}}}


class Stages:
    """In place of the stages' modules: each writes its output and the name of its module."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.fails = ""

    def module(self, name: str) -> Any:
        name = name.removeprefix("multiner.pipeline.")

        def do(stage: Stage, workspace: Workspace, language: str) -> None:
            if name == self.fails:
                raise NerError("no document for train", remedy="Give the corpus more documents.")
            self.done.append(f"{name}.{stage.function} {language}")
            assert workspace.params["languages"]["en"]["transformer"]["epochs"] == 1
            write_json(stage.output(workspace.paths, language), {"language": language})

        own = [stage for stage in STAGES.values() if stage.module == name]
        return SimpleNamespace(**{stage.function: partial(do, stage) for stage in own})


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Stages:
    fakes = Stages()
    monkeypatch.setattr("multiner.training.import_module", fakes.module)
    monkeypatch.setattr(
        "multiner.pipeline.registry.packaging.save_model",
        lambda path, workspace, language: write_json(path / "MLmodel", {"language": language}),
    )
    return fakes


@pytest.fixture
def home(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with packaged weights."""
    home = tmp_path / "home"
    shutil.copytree(root / "params", home / "params")
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copyfile(root / name, home / name)
    (home / "data" / "raw" / "packages").mkdir(parents=True)
    monkeypatch.setenv("NER_ROOT", str(home))
    return home


def test_all_stages_run_in_order_and_give_a_model(home: Path, stages: Stages, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    training = train(CONFIG, folder)
    assert training == Training(folder, "en", folder / "model", {"language": "en"})
    assert stages.done == [f"{stage.module}.{stage.function} en" for name, stage in STAGES.items() if name != "start"]
    assert (training.model / "MLmodel").is_file()
    assert (folder / "data" / "raw").resolve() == home / "data" / "raw"
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    assert params["prepare"]["raw"] == "data/samples"  # of the profile
    assert train(CONFIG, folder) == training
    assert len(stages.done) == len(STAGES) - 1  # what is done stays


def test_a_language_that_starts_from_another_is_trained_on_its_documents_first(
    home: Path, stages: Stages, tmp_path: Path
) -> None:
    config = CONFIG | {"languages": {**CONFIG["languages"], "ru": {"transformer": {"start": "en"}}}}
    assert train(config, tmp_path / "new", "ru").metrics == {"language": "ru"}
    in_order = [
        "validation.stage.run en", "corpora.prepare.run en", "corpora.prepare.run ru",
        "models.transformer.training.run_start ru", "models.transformer.training.run ru", "ensemble.fit.run ru",
    ]  # fmt: skip
    assert [step for step in stages.done if step in in_order] == in_order
    assert "models.transformer.training.run en" not in stages.done, "no English model is needed"


def test_a_failed_training_goes_on(home: Path, stages: Stages, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(CONFIG | {"ensemble": {"legs": ["spacy"]}}), encoding="utf-8")
    stages.fails = "models.spacy.training"
    with pytest.raises(NerError, match="no document for train"):
        train(file, tmp_path / "new")
    before = list(stages.done)
    stages.fails = ""
    train(file, tmp_path / "new")
    assert stages.done[: len(before)] == before
    assert len(set(stages.done)) == len(stages.done)
    assert not [step for step in stages.done if step.startswith(("models.transformer", "models.pretrained"))]
    with pytest.raises(NerError, match="not of a training with these parameters"):
        train(CONFIG, tmp_path / "new")
    (tmp_path / "file").touch()
    with pytest.raises(NerError, match="a folder is needed"):
        train(CONFIG, tmp_path / "file")


@pytest.mark.parametrize(
    ("config", "language", "message"),
    [
        ({"profile": "demo"}, None, "which language"),
        ({"profile": "demo"}, "de", "unknown language"),
        ({"profile": "no-such"}, "en", "unknown profile"),
        ({"profile": "demo", "transformer": {"epoch": 1}}, "en", "epoch"),
        ({"profile": "demo", "transformer": {"learning_rate": np.float64(1)}}, "en", "neither number"),
    ],
)
def test_wrong_parameters_are_refused(
    home: Path, stages: Stages, tmp_path: Path, config: dict[str, Any], language: str | None, message: str
) -> None:
    with pytest.raises(NerError, match=message):
        train(config, tmp_path / "new", language)
    assert stages.done == []


def test_the_corpora_must_be_there(home: Path, stages: Stages, tmp_path: Path) -> None:
    (home / "data" / "raw" / "packages").rmdir()
    with pytest.raises(NerError, match="packaged weights are not there") as caught:
        train(CONFIG, tmp_path / "new")
    assert "ner pull" in str(caught.value.remedy)
