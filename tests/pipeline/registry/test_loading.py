"""``load``: a model in this process answers as the gateway does, and says what is wrong where it cannot be loaded."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path

import mlflow
import numpy as np
import pytest

from multiner import Client, EndpointModel, Entity, LocalModel, Model, Result, ServiceError, load
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.document import Document
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import write_json
from multiner.pipeline.core.iob2 import bio_labels
from multiner.pipeline.inference.isolated_process import conversation
from multiner.pipeline.registry.lineage import MODEL_CODE
from multiner.pipeline.registry.packaging import freeze_code, signature
from multiner.pipeline.registry.store import open_store
from multiner.pipeline.text.tokenizer import document_from_text
from multiner.serving.routing.segmentation import merge_answers, split_by_language

TYPES = ["PER", "LOC", "ORG", "MISC"]
TEXT = "🙂 Ada saw Oslo\u200b again ."
TEXTS = [TEXT, "", "Boris saw Lima again .\nClara saw Quito again .", "\ud800 Ada saw Cairo again ."]


class ByList:
    """A leg that is sure of two words and of nothing else; it reads no files."""

    labels = bio_labels(TYPES)

    def predict(self, documents: Sequence[Document]) -> list[np.ndarray]:
        """Probabilities, one array [tokens, labels] per document."""
        names = {"Ada": "B-PER", "Oslo": "B-LOC"}
        eye = np.eye(len(self.labels), dtype=np.float32) * 0.9 + 0.1 / len(self.labels)
        words = [[word.strip("\u200b") for word in document.words()] for document in documents]
        return [eye[[self.labels.index(names.get(word, "O")) for word in row]] for row in words]


def write_description(file: Path) -> None:
    member = {"name": "transformer", "temperature": 1.0, "weight": 1.0}
    write_json(file, {"language": "en", "types": TYPES, "members": [member], "chooser": None})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an MLflow model, whose leg is :class:`ByList`."""
    monkeypatch.setattr("multiner.pipeline.ensemble.model.load_base_model", lambda name, path: ByList())
    folder = tmp_path / "model"
    (folder / "artifacts" / "transformer").mkdir(parents=True)
    write_description(folder / "artifacts" / "ensemble.json")
    (folder / "MLmodel").touch()
    freeze_code(folder / "code")
    return folder


@pytest.fixture(scope="session")
def registered_folder(good_leg: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a registration makes, with a tiny but real leg; not to be changed."""
    folder = tmp_path_factory.mktemp("mlflow")
    write_description(folder / "ensemble.json")
    leg = shutil.copytree(good_leg, folder / "transformer")
    mlflow.pyfunc.save_model(
        folder / "model",
        python_model=str(MODEL_CODE),
        artifacts={"ensemble": str(folder / "ensemble.json"), "transformer": str(leg)},
        code_paths=[str(freeze_code(folder))],
        signature=signature(),
        pip_requirements=[],
    )
    return folder / "model"


@pytest.fixture
def registry(workspace: Workspace, store: None, registered_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A registry with two versions of ``ner-en``, the first of which is champion, and ``ner-ru`` without any."""
    monkeypatch.setattr(Workspace, "load", lambda: workspace)
    client = open_store(workspace)
    for name in ("ner-en", "ner-ru"):
        client.create_registered_model(name)
    for _ in range(2):
        client.create_model_version("ner-en", registered_folder.as_uri())
    client.set_registered_model_alias("ner-en", "champion", "1")
    return workspace


def test_an_address_gives_the_models_behind_a_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, str]] = []

    def entities(self: Client, texts: object, language: str) -> object:
        asked.append((texts, language))
        return Result(TEXT, "en", Model("ner-en", "1"), ())

    monkeypatch.setattr(Client, "entities", entities)
    monkeypatch.setattr(Client, "health", lambda self: {"status": "ok"})
    with load("http://127.0.0.1:9", language="en") as model:
        assert isinstance(model, EndpointModel)
        assert model.predict(TEXT) == model.entities(TEXT)
        model.predict([TEXT, ""])
    assert asked == [(TEXT, "en"), (TEXT, "en"), ([TEXT, ""], "en")]


def test_no_gateway_or_options_that_do_not_fit(folder: Path) -> None:
    with pytest.raises(ServiceError):
        load("http://127.0.0.1:9")
    with pytest.raises(NerError, match="versions that are live"):
        load("http://127.0.0.1:9", version=3)
    with pytest.raises(NerError, match="its own language"):
        load(str(folder), language="en")


def test_entities_of_a_folder_have_offsets_scores_and_legs(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*registered with other code")
        model = load(folder)
    result = model.entities(TEXT)
    assert [(each.start, each.end, each.text, each.label) for each in result.entities] == [
        (2, 5, "Ada", "PER"),
        (10, 14, "Oslo", "LOC"),
    ]
    assert all(0.5 < (each.score or 0) <= 1 for each in result.entities)
    assert result.entities[1].legs["transformer"]["end"] == 14
    assert (result.language, result.model, model.types) == ("en", Model(str(folder), ""), tuple(TYPES))
    assert model.predict(iter([TEXT, ""])) == [result, Result("", "en", model.model, ())]
    assert model.predict(TEXT) == result


@pytest.mark.slow
@pytest.mark.filterwarnings("error:.*registered with other code")
def test_results_are_those_of_the_gateway(registered_folder: Path) -> None:
    """The gateway puts together what the version's own code answers in a process of its own."""
    model = load(str(registered_folder))
    source = {"name": model.model.name, "version": model.model.version}
    with conversation(registered_folder) as answer:
        for text in TEXTS:
            safe = text.replace("\ud800", "\ufffd")
            served = merge_answers(text, split_by_language(text, "en", ["en", "ru"]), [answer(safe)], [source])
            assert model.entities(text) == Result.from_json(served, text)


@pytest.mark.slow
def test_documents_may_hold_half_a_character(registered_folder: Path) -> None:
    model = load(registered_folder)
    broken, whole = (document_from_text(TEXTS[-1].replace("\ud800", sign), "en") for sign in ("\ud800", "\ufffd"))
    assert model.predict_documents([broken]) == model.predict_documents([whole])


@pytest.mark.slow
def test_a_name_is_its_champion_or_a_version(registry: Workspace) -> None:
    models = [load("ner-en"), load("ner-en", version="2"), load("ner-en", 2)]
    assert [model.model for model in models] == [Model("ner-en", number) for number in ("1", "2", "2")]
    assert isinstance(models[0], LocalModel)
    assert isinstance(models[0].entities(TEXT).entities[0], Entity)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "version", "message", "remedy"),
    [
        ("ner-de", None, "no model 'ner-de'", "ner-en, ner-ru"),
        ("ner'--", "1", 'no model "ner\'--"', "ner-en, ner-ru"),
        ("ner-ru", None, "ner-ru has no champion", "ner promote"),
        ("ner-en", "7", "ner-en has no version '7'", "It has: 1, 2."),
        ("ner-en", "champion", "no version 'champion'", "It has: 1, 2."),
    ],
)
def test_what_is_not_registered_is_refused_with_what_is(
    registry: Workspace, name: str, version: str | None, message: str, remedy: str
) -> None:
    with pytest.raises(NerError) as raised:
        load(name, version)
    assert message in raised.value.message
    assert remedy in (raised.value.remedy or "")


@pytest.mark.slow
def test_files_of_a_version_that_are_gone(registry: Workspace, tmp_path: Path) -> None:
    open_store(registry).create_model_version("ner-en", (tmp_path / "gone").as_uri())
    with pytest.raises(NerError, match="ner-en version 3: the model cannot be loaded") as raised:
        load("ner-en", 3)
    assert "another version" in (raised.value.remedy or "")


def test_a_workspace_without_a_registry_is_left_without(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workspace, "load", lambda: workspace)
    with pytest.raises(NerError, match="no registry yet"):
        load("ner-en")
    assert not workspace.paths.mlruns.exists()


def test_a_folder_has_no_versions(folder: Path) -> None:
    with pytest.raises(NerError, match="a folder has no versions"):
        load(folder, version="3")


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    for source in (tmp_path, str(tmp_path / "none")):
        with pytest.raises(NerError, match="no file MLmodel") as raised:
            load(source)
        assert "ner-en" in (raised.value.remedy or "")


@pytest.mark.slow
@pytest.mark.parametrize("file", ["ensemble.json", "transformer/model.onnx", "transformer/tokenizer.json"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_folder_is_refused_with_a_remedy(
    registered_folder: Path, tmp_path: Path, file: str, damage: str
) -> None:
    folder = shutil.copytree(registered_folder, tmp_path / "copy")
    path = folder / "artifacts" / file
    content = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    with pytest.raises(NerError, match=r"the model cannot be loaded: \S") as raised:
        load(folder)
    assert raised.value.where == str(folder)
    assert "bring them back" in (raised.value.remedy or "")
    assert "\n" not in raised.value.message


def test_a_leg_that_is_gone_is_named(folder: Path) -> None:
    (folder / "artifacts" / "transformer").rmdir()
    with pytest.raises(NerError, match="no transformer"):
        load(folder)


def test_a_model_that_the_installed_code_cannot_load(folder: Path) -> None:
    (folder / "artifacts" / "transformer").rmdir()
    shutil.rmtree(folder / "code")
    with pytest.raises(NerError, match="registered with other code"):
        load(folder)


@pytest.mark.parametrize("change", ["other", "new", "none"])
def test_a_model_of_other_code_is_loaded_with_a_warning(folder: Path, change: str) -> None:
    code = folder / "code" / "multiner"
    if change == "none":
        shutil.rmtree(code)
    else:
        name = {"other": "tokenizer.py", "new": "removed_since.py"}[change]
        (code / "pipeline" / "text" / name).write_text("# other\n")
    with pytest.warns(UserWarning, match="registered with other code") as record:
        assert load(folder).entities(TEXT).entities
    assert record[0].filename == __file__
