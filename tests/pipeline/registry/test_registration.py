"""Registration: what a run holds, once per fingerprint, and nothing left of a call that was killed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from multiner.pipeline import annotate
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json, write_json
from multiner.pipeline.registry import challenger, champion, journal, register, registration
from multiner.pipeline.registry.champions import model_folder, version_info
from multiner.pipeline.registry.lineage import ENTRY_POINTS, PACKAGE
from multiner.pipeline.registry.packaging import freeze_code
from multiner.pipeline.registry.registration import alias_version
from multiner.pipeline.registry.signing.signature import SIGNATURE
from multiner.pipeline.registry.store import open_store

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("store")]


def artifacts(client, run_id: str, path: str | None = None) -> set[str]:  # noqa: ANN001
    artifact_names = set()
    for item in client.list_artifacts(run_id, path):
        artifact_names |= artifacts(client, run_id, item.path) if item.is_dir else {item.path}
    return artifact_names


def test_a_run_carries_everything_and_the_model_no_pickle(workspace, fill, empty_leg, monkeypatch) -> None:  # noqa: ANN001
    monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", "manual__1")
    fill(empty_leg)
    model = register(workspace, "en")
    assert (model.name, model.version, model.created) == ("ner-en", "1", True)
    client = open_store(workspace)
    run = client.get_run(model.run_id)

    assert run.info.status == "FINISHED"
    assert run.data.params["transformer.epochs"] == "2"
    assert run.data.metrics["wnut17/test/ensemble/PER/f1"] == 95.0
    assert [point.step for point in client.get_metric_history(model.run_id, "transformer/loss")] == [10, 20]
    assert run.data.tags["airflow_run_id"] == "manual__1"
    assert run.data.tags["data_hash"] == "d" * 64
    assert len(run.data.tags["lock_hash"]) == 64
    digests = {each.dataset.name: each.dataset.digest for each in run.inputs.dataset_inputs}
    assert digests == {"conll2003": "ab" * 16 + ".dir", "wnut17": "ab" * 16 + ".dir"}
    artifact_names = artifacts(client, model.run_id)
    assert {
        "card.md",
        "data/summary.json",
        "en.json",
        "history/transformer/history.json",
        "lineage/data/raw/conll2003.dvc",
        "lineage/dvc.lock",
        "lineage/params.yaml",
        "lineage/requirements.lock",
        "plots/curve.png",
        "report/report-public.html",
        "validation/docs/index.html",
    } <= artifact_names
    assert not any("index.html" in path for path in artifact_names if path.startswith("report"))

    folder = model_folder(version_info(client, "ner-en", "1"))
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"pyfunc.py", "artifacts/ensemble.json", "artifacts/transformer/weights.bin"} <= files
    assert {
        "code/multiner/pipeline/ensemble/model.py",
        "code/multiner/pipeline/inference/documents.py",
        "code/multiner/pipeline/inference/pyfunc.py",
    } <= files
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".pyc", ".pt"))]
    example = json.loads((folder / "serving_input_example.json").read_text())
    assert example["dataframe_split"]["columns"] == ["text"]
    pinned = {line.partition("==")[0] for line in (folder / "requirements.txt").read_text().splitlines()}
    assert {"onnxruntime", "spacy", "tokenizers"} <= pinned
    assert not pinned & {"torch", "transformers", "safetensors"}
    assert alias_version(client, "ner-en", "challenger") == "1"
    assert champion(workspace, "en") is None


def test_the_same_outputs_are_registered_once(workspace, fill, empty_leg) -> None:  # noqa: ANN001
    fill(empty_leg)
    first = register(workspace, "en")
    again = register(workspace, "en")
    assert (again.version, again.run_id, again.created) == (first.version, first.run_id, False)
    fill(empty_leg, temperature=2.0)
    other = register(workspace, "en")
    assert (other.version, other.created) == ("2", True)
    fill(empty_leg)
    assert register(workspace, "en").version == "1"


@pytest.mark.parametrize("moment", ["model", "end"])
def test_a_killed_call_leaves_nothing_behind(workspace, fill, empty_leg, monkeypatch, moment: str) -> None:  # noqa: ANN001
    class Killed(BaseException):
        pass

    real = registration.log_model

    def killed(*arguments):  # noqa: ANN202
        if moment == "end":
            real(*arguments)
        raise Killed

    fill(empty_leg)
    with monkeypatch.context() as patch:
        patch.setattr(registration, "log_model", killed)
        with pytest.raises(Killed):
            register(workspace, "en")
    model = register(workspace, "en")
    assert model.created
    client = open_store(workspace)
    assert [version.run_id for version in client.search_model_versions("name = 'ner-en'")] == [model.run_id]
    assert [run.info.run_id for run in client.search_runs([model.experiment_id])] == [model.run_id]
    assert len(client.search_logged_models([model.experiment_id])) == 1
    folders = {path.name for path in (workspace.paths.mlruns / "artifacts" / "ner-en").iterdir()}
    assert folders == {model.run_id, "models"}
    assert not list(workspace.paths.mlruns.glob(".*.tmp"))
    assert len(list((workspace.paths.mlruns / "artifacts" / "ner-en" / "models").glob("*/artifacts"))) == 1


def test_a_call_killed_at_the_alias_is_completed_by_the_next(workspace, fill, empty_leg, monkeypatch) -> None:  # noqa: ANN001
    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    fill(empty_leg)
    with monkeypatch.context() as patch:
        patch.setattr("mlflow.MlflowClient.set_registered_model_alias", killed)
        with pytest.raises(Killed):
            register(workspace, "en")
    again = register(workspace, "en")
    assert (again.version, again.created) == ("1", False), "the model was whole"
    client = open_store(workspace)
    assert alias_version(client, "ner-en", "challenger") == "1"
    entries = [(each.kind, each.version, each.run_id) for each in journal.entries(client, "ner-en")]
    assert entries == [("registration", "1", again.run_id)], "once"


@pytest.mark.parametrize("alias", ["champion", "challenger", "somebodys"])
def test_a_version_with_an_alias_is_never_removed(workspace, fill, empty_leg, alias: str) -> None:  # noqa: ANN001
    """As a call that was killed after it had set the alias left it."""
    fill(empty_leg)
    first = register(workspace, "en")
    client = open_store(workspace)
    client.delete_registered_model_alias("ner-en", "challenger")
    client.set_registered_model_alias("ner-en", alias, first.version)
    client.set_tag(first.run_id, registration.COMPLETE, "false")
    fill(empty_leg, temperature=2.0)
    assert register(workspace, "en").version == "2"
    assert model_folder(version_info(client, "ner-en", "1")).is_dir()
    assert client.get_run(first.run_id).data.tags[registration.COMPLETE] == "true"


def test_a_version_without_a_signature_is_signed_by_the_next_call(workspace, fill, empty_leg, monkeypatch) -> None:  # noqa: ANN001
    fill(empty_leg, temperature=1.0)
    with monkeypatch.context() as patch:
        patch.setattr(registration, "sign_version", lambda *_: None)
        register(workspace, "en")
    folder = model_folder(challenger(workspace, "en"))
    assert not (folder / SIGNATURE).exists()
    assert not register(workspace, "en").created
    assert (folder / SIGNATURE).exists()


def test_a_missing_output_is_named(workspace, fill, empty_leg) -> None:  # noqa: ANN001
    fill(empty_leg)
    workspace.paths.ensemble("en").unlink()
    with pytest.raises(NerError, match="dvc repro") as caught:
        register(workspace, "en")
    assert caught.value.where.endswith("ensemble.json")
    assert not (workspace.paths.mlruns / "artifacts").exists()


def test_figures_of_another_model_are_not_put_on_this_ones_card(workspace, fill, empty_leg) -> None:  # noqa: ANN001
    fill(empty_leg)
    paths = workspace.paths
    metrics = read_json(paths.metrics("en"))
    write_json(paths.metrics("en"), {key: value for key, value in metrics.items() if key != "model_hash"})
    with pytest.raises(NerError, match="do not say which model") as caught:
        register(workspace, "en")
    assert caught.value.remedy == "Run: dvc repro evaluate@en"
    write_json(paths.metrics("en"), metrics)
    write_json(paths.ensemble("en"), read_json(paths.ensemble("en")) | {"members": []})
    with pytest.raises(NerError, match=r"another model: since they were taken, ensemble\.json changed") as caught:
        register(workspace, "en")
    assert caught.value.where == str(paths.metrics("en"))
    (paths.leg("en", "transformer") / "weights.bin").write_bytes(b"other")
    with pytest.raises(NerError, match=r"ensemble\.json, the leg transformer changed"):
        register(workspace, "en")
    assert not (paths.mlruns / "artifacts").exists()


def test_a_model_of_two_states_of_the_documents_is_refused(workspace, fill, empty_leg) -> None:  # noqa: ANN001
    """As when another run prepared new documents between the training of the transformer and that of spaCy."""
    fill(empty_leg)
    read = {"train_transformer@en": "old", "train_spacy@en": "new", "evaluate@en": "new", "train_start@ru": "older"}

    def record() -> None:
        folder = workspace.paths.documents("en").relative_to(workspace.root).as_posix()
        stages = {name: {"deps": [{"path": folder, "md5": digest}]} for name, digest in read.items()}
        write_json(workspace.root / "dvc.lock", {"schema": "2.0", "stages": stages})

    record()
    with pytest.raises(NerError, match="two states of the documents: train_transformer@en read other") as caught:
        register(workspace, "en")
    assert "dvc repro evaluate@en" in str(caught.value)
    assert champion(workspace, "en") is None
    assert challenger(workspace, "en") is None
    read["train_transformer@en"] = "new"
    record()
    assert register(workspace, "en").created


def test_a_cut_ensemble_is_named(workspace, fill, empty_leg) -> None:  # noqa: ANN001
    fill(empty_leg)
    file = workspace.paths.ensemble("en")
    file.write_text(file.read_text()[:40])
    for attempt in (lambda: register(workspace, "en"), lambda: annotate.load(workspace, "en", None)):
        with pytest.raises(NerError, match="damaged") as caught:
            attempt()
        assert caught.value.where == str(file)


def test_what_is_frozen_is_the_code_that_answers_and_no_more(tmp_path: Path) -> None:
    code = freeze_code(tmp_path)
    names = {path.relative_to(code).as_posix() for path in code.rglob("*.py")}
    assert {path.relative_to(PACKAGE).as_posix() for path in ENTRY_POINTS} < names
    assert not [name for name in names if name.startswith(("serving/", "pipeline/registry/", "pipeline/config/"))]


def test_what_other_model_code_imports_is_frozen_with_it(tmp_path: Path, root: Path) -> None:
    freeze_code(tmp_path, root / "benchmarks" / "rivals" / "torch_ensemble.py")
    assert (tmp_path / PACKAGE.name / "pipeline" / "models" / "transformer" / "network.py").is_file()
    assert not list(tmp_path.rglob("torch_ensemble.py"))
