"""The training stages over a workspace: a start on another language's documents; folds predict what they lack."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from multiner.pipeline.config.settings import Workspace, overlay
from multiner.pipeline.core.document import Document, write_jsonl
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json
from multiner.pipeline.ensemble import cross_fitting as out_of_fold
from multiner.pipeline.models.transformer import training
from multiner.pipeline.models.transformer.encoders import content_hash
from multiner.pipeline.models.transformer.network import TorchTransformer
from tests.pipeline.models.conftest import OPTIONS, invented

LANGUAGES = {
    "en": {"types": ["PER", "LOC", "ORG"], "train_on": ["news"], "report_on": ["news"]},
    "ru": {
        **{"types": ["PER", "LOC"], "train_on": ["news"], "report_on": ["news"]},
        **{"transformer": {"start": "en", "start_epochs": 3, "epochs": 2}, "ensemble": {"folds": 2}},
    },
}


@pytest.fixture
def workspace(tmp_path: Path, tiny_encoder: Path) -> Workspace:
    """A workspace with invented documents for two languages."""
    options = OPTIONS | {"encoder": str(tiny_encoder), "start": None, "epochs": 3}
    params = {
        "profile": "tiny", "seed": 7, "languages": LANGUAGES, "transformer": options, "spacy": {"pipeline": None},
        "ensemble": {"legs": ["transformer"], "folds": 0},
    }  # fmt: skip
    trial = Workspace(tmp_path, params)
    for language in LANGUAGES:
        folder = trial.paths.documents(language)
        folder.mkdir(parents=True)
        for split, documents in (("train", invented(0, 16)), ("dev", invented(16, 8))):
            news = [Document.from_json(each.to_json() | {"corpus": "news"}) for each in documents]
            write_jsonl(folder / f"news.{split}.jsonl", news)
    return trial


def test_a_language_starts_on_the_documents_of_another(workspace: Workspace, tiny_encoder: Path) -> None:
    with pytest.raises(NerError, match=r"weights to start from are missing(.|\n)*train_start@ru"):
        training.run(workspace, "ru")
    training.run_start(workspace, "ru")
    training.run(workspace, "ru")
    start, russian = (TorchTransformer.load(place("ru")) for place in (workspace.paths.start, workspace.paths.trained))
    assert len(start.labels) == 7, "of the other language's types"
    assert len(russian.labels) == 5
    assert len(read_json(workspace.paths.start("ru") / "history.json")) == 3
    training.run(workspace, "en")
    weights = [folder / "model.safetensors" for folder in (workspace.paths.start("ru"), workspace.paths.trained("en"))]
    assert weights[0].read_bytes() == weights[1].read_bytes(), "its encoder, parameters and documents are the same here"
    own = replace(workspace, params=overlay(workspace.params, {"languages": {"ru": {"transformer": {"start": None}}}}))
    history = read_json(workspace.paths.trained("ru") / "history.json")
    training.run_start(own, "ru")
    (named,) = own.paths.start("ru").iterdir()
    assert named.read_text(encoding="utf-8") == content_hash(str(tiny_encoder))
    training.run(own, "ru")
    alone = read_json(workspace.paths.trained("ru") / "history.json")
    assert history[0]["loss"] < alone[0]["loss"], "what the English documents taught is there from the first epoch on"


def test_each_training_document_is_predicted_by_a_leg_that_never_saw_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    training.run_start(workspace, "ru")
    batches_shown: list[set[str]] = []
    fit = training.fit

    def watched(train: list[Document], *rest: object, **options: object) -> None:
        batches_shown.append({document.id for document in train})
        fit(train, *rest, **options)

    monkeypatch.setattr(training, "fit", watched)
    out_of_fold.run(workspace, "ru")
    train = invented(0, 16)
    assert batches_shown == [
        {document.id for document in train if out_of_fold.fold_of(document, 2) != fold} for fold in range(2)
    ]
    folder = workspace.paths.out_of_fold("ru")
    legs = {"transformer": TorchTransformer.load(workspace.paths.start("ru"))}  # not asked: its folds are there
    result = out_of_fold.read_cross_fitting(folder, train, legs, ["transformer"], 2)
    assert [document.id for document, *_ in result] == [document.id for document in train]
    document, rows, _ = result[0]
    assert rows[0].shape == (len(document.tokens), 5)
    np.testing.assert_allclose(rows[0].sum(axis=1), 1, atol=1e-5)

    for other in ([*train, *invented(16, 1)], [replace(train[0], id=train[1].id), *invented(40, 1)]):
        with pytest.raises(NerError, match=r"of other documents(.|\n)*dvc repro out_of_fold"):
            out_of_fold.read_cross_fitting(folder, other, legs, ["transformer"], 2)

    (folder / "transformer.safetensors").unlink()
    with pytest.raises(NerError, match="dvc repro out_of_fold"):
        out_of_fold.read_cross_fitting(folder, train, legs, ["transformer"], 2)


def test_a_run_killed_between_folds_goes_on_after_the_last_whole_one(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    training.run_start(workspace, "ru")
    questions: list[str] = []
    train_and_predict_fold = out_of_fold.train_and_predict_fold

    def dies(*rest: object, name: str) -> dict[str, np.ndarray]:
        questions.append(name)
        if len(questions) == 2:
            raise KeyboardInterrupt
        return train_and_predict_fold(*rest, name=name)

    monkeypatch.setattr(out_of_fold, "train_and_predict_fold", dies)
    with pytest.raises(KeyboardInterrupt):
        out_of_fold.run(workspace, "ru")
    assert not workspace.paths.out_of_fold("ru").exists()
    out_of_fold.run(workspace, "ru")
    assert questions == ["transformer-fold-1", "transformer-fold-2", "transformer-fold-2"]
    assert not workspace.paths.checkpoints("ru", "out_of_fold").exists(), "what is finished is cleared away"


def test_a_fold_leaves_its_leg_nowhere(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not among the system's temporary files either, where a killed training would leave it for good."""
    training.run_start(workspace, "ru")
    monkeypatch.setattr("tempfile.tempdir", str(workspace.root / "no such folder"))
    places: list[Path] = []
    train_model = training.train_model

    def watched(*rest: object, folder: Path, **more: object) -> None:
        places.append(folder)
        train_model(*rest, folder=folder, **more)

    monkeypatch.setattr(training, "train_model", watched)
    out_of_fold.run(workspace, "ru")
    checkpoints = workspace.paths.checkpoints("ru", "out_of_fold")
    assert [checkpoints in place.parents for place in places] == [True, True]
    assert [path for path in checkpoints.parent.iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("language", ["en", "ru"])
def test_a_checkpoint_of_another_encoder_is_not_gone_on_from(
    workspace: Workspace, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    encoder = tmp_path / "encoder"
    shutil.copytree(tiny_encoder, encoder)
    workspace.params["transformer"]["encoder"] = "encoder"
    training.run_start(workspace, "ru")
    changing = encoder if language == "en" else workspace.paths.start("ru")
    prints: list[str] = []

    class Watched(training.Checkpoints):
        def __init__(self, parent: Path, fingerprint: str) -> None:
            prints.append(fingerprint)
            super().__init__(parent, fingerprint)

    monkeypatch.setattr(training, "Checkpoints", Watched)
    monkeypatch.setattr(training, "fit", lambda *_, **__: None)
    for change in ("", "", "another vocabulary"):
        (changing / "vocabulary.txt").write_text(change)
        training.run(workspace, language)
        prints.append(out_of_fold.fingerprint(workspace, language, ["transformer"], [], []))
    assert prints[:2] == prints[2:4]
    assert not set(prints[:2]) & set(prints[4:])


def test_folds_of_other_vectors_are_not_gone_on_from(workspace: Workspace) -> None:
    vectors = workspace.paths.vectors("ru")
    vectors.mkdir(parents=True)
    (vectors / "vectors").write_bytes(b"1")
    before = out_of_fold.fingerprint(workspace, "ru", ["spacy"], [], [])
    (vectors / "vectors").write_bytes(b"2")
    assert out_of_fold.fingerprint(workspace, "ru", ["spacy"], [], []) != before


def test_a_language_without_folds_gets_an_empty_folder(workspace: Workspace) -> None:
    out_of_fold.run(workspace, "en")
    assert list(workspace.paths.out_of_fold("en").iterdir()) == []
    assert out_of_fold.read_cross_fitting(workspace.paths.out_of_fold("en"), invented(0, 2), {}, [], 0) == []
