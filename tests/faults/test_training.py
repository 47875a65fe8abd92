"""Trainings while memory, disk, numbers or cores fail: they say what to do, and what was whole stays."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest
import yaml

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.decoding import decode_spans, span_f1
from multiner.pipeline.core.document import write_jsonl
from multiner.pipeline.core.files import read_json
from multiner.pipeline.core.iob2 import bio_labels
from multiner.pipeline.models.transformer.network import TorchTransformer
from tests.faults.conftest import Fault, make_workspace
from tests.faults.injection import NER, PYTHON, ner_with, run, small_disk, start, until
from tests.pipeline.models.conftest import OPTIONS, invented

pytestmark = pytest.mark.slow
TRAIN = [NER, "train", "transformer", "-l", "en"]
TYPES = ["PER", "LOC", "ORG", "MISC"]


def make(folder: Path, root: Path, encoder: Path, **changes: object) -> Workspace:
    """A workspace with prepared documents of people and places, and a tiny encoder."""
    options = OPTIONS | {"encoder": str(encoder), "recase": {}} | changes
    workspace = make_workspace(folder, root, {"profile": "light", "transformer": options})  # it sets no encoder
    path = workspace.root / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    english = {"types": TYPES, "train_on": ["conll2003"], "report_on": ["conll2003"], "transformer": {}}
    params["languages"]["en"] |= english
    path.write_text(yaml.safe_dump(params, allow_unicode=True), encoding="utf-8")
    for split, documents in (("train", invented(0, 24)), ("dev", invented(24, 12))):
        write_jsonl(workspace.paths.documents("en") / f"conll2003.{split}.jsonl", documents)
    return Workspace.load(root=folder)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, root: Path, tiny_encoder: Path) -> Path:
    """The model of a training that nothing has disturbed: the control of all tests here."""
    workspace = make(tmp_path_factory.mktemp("undisturbed") / "home", root, tiny_encoder)
    done = run(TRAIN, workspace.root)
    assert done.returncode == 0, done.stdout
    return workspace.paths.trained("en")


@pytest.fixture
def workspace(tmp_path: Path, root: Path, tiny_encoder: Path) -> Workspace:
    return make(tmp_path / "home", root, tiny_encoder)


def assert_same(workspace: Workspace, undisturbed: Path) -> None:
    """The training has given the model that an undisturbed one gives, to the bit."""
    weights = "model.safetensors"
    assert (workspace.paths.trained("en") / weights).read_bytes() == (undisturbed / weights).read_bytes()


@pytest.mark.faults("out of memory in a training")
def test_a_training_without_memory_says_what_to_lower(
    fault: Fault, workspace: Workspace, undisturbed: Path, tmp_path: Path
) -> None:
    step = "multiner.pipeline.models.transformer.fine_tuning.FineTuning._train_step"
    refused = run([*ner_with("exhaust", step, tmp_path / "mark"), *TRAIN[1:]], workspace.root)
    fault.happened("allocate" in refused.stdout and (tmp_path / "mark").exists())
    assert refused.returncode == 1, refused.stdout
    assert "params.yaml: transformer.batch_pieces" in refused.stdout
    assert "Lower batch_pieces (now 256)" in refused.stdout
    assert "Traceback" not in refused.stdout
    assert not workspace.paths.trained("en").exists()
    with fault.control():
        assert run(TRAIN, workspace.root).returncode == 0
    assert_same(workspace, undisturbed)


@pytest.mark.faults("a loss that is no number")
def test_a_training_that_diverges_ends_and_names_the_learning_rate(
    fault: Fault, tmp_path: Path, root: Path, tiny_encoder: Path, undisturbed: Path
) -> None:
    workspace = make(tmp_path / "home", root, tiny_encoder, learning_rate=1e30, warmup=0.0)
    refused = run(TRAIN, workspace.root)
    fault.happened("the loss is nan" in refused.stdout or "the loss is inf" in refused.stdout)
    assert refused.returncode == 1, refused.stdout
    assert "transformer.learning_rate" in refused.stdout
    assert "Traceback" not in refused.stdout
    assert not workspace.paths.trained("en").exists()
    with fault.control():
        assert read_json(undisturbed / "history.json")[-1]["loss"] < 1


@pytest.mark.exhaustive
@pytest.mark.faults("disk full in a training")
def test_a_training_on_a_full_disk_goes_on_from_its_last_whole_checkpoint(
    fault: Fault, workspace: Workspace, undisturbed: Path
) -> None:
    places = workspace.paths.checkpoints("en", "transformer").parent
    log = workspace.root / "train.log"
    with small_disk(places, 8) as disk:
        training = start([*disk.command, *TRAIN], workspace.root, log)
        until(lambda: [*disk.content.glob("transformer/*/last/progress.json")], training)
        training.send_signal(signal.SIGSTOP)
        disk.fill(leave=0)
        training.send_signal(signal.SIGCONT)
        training.wait()
        fault.happened("No space left on device" in log.read_text())
        assert training.returncode == 1, log.read_text()
        assert "Traceback" not in log.read_text()
        assert not workspace.paths.trained("en").exists()
        (progress,) = disk.content.glob("transformer/*/last/progress.json")
        assert read_json(progress)["step"] > 0, "the last whole checkpoint is there"
        disk.free()
        with fault.control():
            done = run(TRAIN, workspace.root, prefix=disk.command)
            assert done.returncode == 0, done.stdout
    assert_same(workspace, undisturbed)


@pytest.mark.exhaustive
@pytest.mark.faults("one core of many")
def test_one_core_trains_the_same_model(fault: Fault, workspace: Workspace, undisturbed: Path) -> None:
    one = ["taskset", "--cpu-list", "0"]
    seen = run([PYTHON, "-c", "import os; print(len(os.sched_getaffinity(0)))"], workspace.root, prefix=one)
    fault.happened(seen.stdout == "1\n")
    with fault.control():
        done = run(TRAIN, workspace.root, prefix=one)
        assert done.returncode == 0, done.stdout
    assert_same(workspace, undisturbed)


@pytest.mark.faults("labels that no training document has")
def test_labels_never_seen_take_nothing_from_the_others(fault: Fault, undisturbed: Path) -> None:
    documents, labels = invented(24, 12), bio_labels(TYPES)
    fault.happened({span.label for document in documents for span in document.spans} == {"PER", "LOC"})
    model = TorchTransformer.load(undisturbed)
    assert model.labels == labels
    spans = [
        decode_spans(rows, document.sentences, labels)
        for rows, document in zip(model.predict(documents), documents, strict=True)
    ]
    with fault.control():
        assert span_f1(documents, spans) > 90
    assert {span.label for each in spans for span in each} == {"PER", "LOC"}


TWICE = "stages: {train: {cmd: 'echo trained >> trainings && cat go > out', outs: [out]}}\n"


@pytest.mark.faults("two triggers at once")
def test_two_triggers_at_once_train_once(fault: Fault, tmp_path: Path) -> None:
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    (tmp_path / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    (tmp_path / "dvc.yaml").write_text(TWICE)
    os.mkfifo(tmp_path / "go")  # the training ends when something is written to it
    repro = [PYTHON, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", "train"]
    logs = [tmp_path / "first.log", tmp_path / "second.log"]
    first = start(repro, tmp_path, logs[0])
    until((tmp_path / "trainings").is_file, first)
    second = start(repro, tmp_path, logs[1])
    until(lambda: "dvc" in psutil.Process(second.pid).cmdline(), second)
    fault.happened(first.poll() is None)
    (tmp_path / "go").write_text("weights\n")
    with fault.control():
        assert [first.wait(), second.wait()] == [0, 0], [log.read_text() for log in logs]
    assert (tmp_path / "trainings").read_text() == "trained\n"
    assert "didn't change, skipping" in logs[1].read_text()
