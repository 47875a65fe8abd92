"""Training the transformer: it learns, and a killed training ends where it would have."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, DistilBertConfig, DistilBertModel

from multiner.pipeline.core.decoding import decode_spans, span_f1
from multiner.pipeline.core.document import Document
from multiner.pipeline.core.files import read_json
from multiner.pipeline.core.iob2 import bio_labels
from multiner.pipeline.models.transformer import checkpoint_store, fine_tuning, network, optimisation
from multiner.pipeline.models.transformer.checkpoint import Checkpoints
from multiner.pipeline.models.transformer.network import TorchTransformer
from tests.pipeline.models.conftest import OPTIONS, TYPES, fit, invented


def test_it_learns_and_records_each_epoch(trained: Path) -> None:
    model, documents = TorchTransformer.load(trained), invented(30, 6)
    labels = bio_labels(TYPES)
    predicted = [
        decode_spans(rows, each.sentences, labels)
        for rows, each in zip(model.predict(documents), documents, strict=True)
    ]
    assert span_f1(documents, predicted) > 90
    history = read_json(trained / "history.json")
    assert [entry["epoch"] for entry in history] == list(range(1, len(history) + 1))
    assert history[-1]["loss"] < history[0]["loss"]


def test_an_epoch_is_judged_by_the_mean_over_corpora(tiny_encoder: Path, tmp_path: Path) -> None:
    """One document of a corpus that is annotated otherwise counts as much as six of another."""
    other = Document.from_json(invented(30, 1)[0].with_spans([]).to_json() | {"corpus": "other"})
    fine_tuning.fit(
        invented(0, 24), [*invented(24, 6), other], TYPES, encoder=str(tiny_encoder), options=OPTIONS, seed=7,
        checkpoints=Checkpoints(tmp_path / "checkpoints", "print"), folder=tmp_path / "leg",
    )  # fmt: skip
    assert 40 < max(epoch["dev_f1"] for epoch in read_json(tmp_path / "leg" / "history.json")) <= 50


def test_nothing_is_pickled(trained: Path) -> None:
    assert {path.suffix for path in trained.iterdir()} == {".json", ".safetensors"}


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("step", [3, 10])
def test_a_killed_training_goes_on_to_the_same_weights(
    trained: Path, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    saves = 0
    save = Checkpoints.save

    def dies(self: Checkpoints, *state: Any) -> None:
        nonlocal saves
        save(self, *state)
        saves += 1
        if saves == step:
            raise Killed

    monkeypatch.setattr(Checkpoints, "save", dies)
    with pytest.raises(Killed):
        fit(tiny_encoder, tmp_path / "leg", tmp_path / "checkpoints")
    assert not (tmp_path / "leg").exists()
    monkeypatch.setattr(Checkpoints, "save", save)
    fit(tiny_encoder, tmp_path / "leg", tmp_path / "checkpoints")
    assert (tmp_path / "leg" / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
    scores = [
        [entry["dev_f1"] for entry in read_json(folder / "history.json")] for folder in (trained, tmp_path / "leg")
    ]
    assert scores[0] == scores[1]


def test_another_machine_goes_on_from_the_object_store(
    trained: Path, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The first dies in the second epoch; the second has nothing of it but the store."""
    monkeypatch.setenv("NER_STORE", f"file://{tmp_path / 'store'}")
    save, steps = Checkpoints.save, []

    def dies(self: Checkpoints, *state: Any) -> None:
        save(self, *state)
        steps.append(state[-1].step)
        if len(steps) == 5:
            raise Killed

    monkeypatch.setattr(Checkpoints, "save", dies)
    with pytest.raises(Killed):
        fit(tiny_encoder, tmp_path / "leg", tmp_path / "first")
    place = tmp_path / "store" / "checkpoints" / "print"
    assert [file.name for file in place.iterdir()] == [f"{steps[-1]:012d}.tar"], "the newest alone"
    (place / f"{steps[-1] + 1:012d}.tar").write_bytes((place / f"{steps[-1]:012d}.tar").read_bytes()[:5000])
    fit(tiny_encoder, tmp_path / "leg", tmp_path / "second")
    assert "cannot be read" in caplog.text, "one that was cut off is passed over"
    assert f"goes on from step {steps[4]:012d}" in caplog.text
    assert steps[5] > steps[4], "it does not begin anew"
    assert (tmp_path / "leg" / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
    Checkpoints(tmp_path / "second", "print").clear()
    assert list(place.iterdir()) == []


def test_a_store_that_is_away_does_not_end_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NER_STORE", f"file://{tmp_path / 'file' / 'store'}")
    (tmp_path / "print" / "last").mkdir(parents=True)
    checkpoint_store.save(tmp_path / "print", 3)
    checkpoint_store.clear("print")


def test_the_windows_of_an_epoch_are_made_when_it_begins(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First each epoch's are made once and counted, for the learning rate; memory holds one epoch's at a time."""
    events: list[str] = []
    make, evaluate = fine_tuning.batches, fine_tuning._development_f1

    def batches(*arguments: Any, seed: str, **options: Any) -> Any:
        events.append(seed)
        return make(*arguments, seed=seed, **options)

    def development_f1(*arguments: Any) -> float:
        events.append("evaluate")
        return evaluate(*arguments)

    monkeypatch.setattr(fine_tuning, "batches", batches)
    monkeypatch.setattr(fine_tuning, "_development_f1", development_f1)
    fit(tiny_encoder, tmp_path / "leg", tmp_path / "checkpoints", epochs=2)
    assert events == ["7/0", "7/1", "7/0", "evaluate", "7/1", "evaluate"]


@pytest.mark.parametrize("accumulate", [2, 64])
def test_accumulated_batches_make_fewer_steps(
    trained: Path, tiny_encoder: Path, tmp_path: Path, accumulate: int
) -> None:
    fit(tiny_encoder, tmp_path / "leg", tmp_path / "checkpoints", epochs=1, accumulate=accumulate)
    steps = [read_json(folder / "history.json")[0]["step"] for folder in (trained, tmp_path / "leg")]
    assert steps[1] == -(-steps[0] // accumulate)


def test_checkpoints_of_other_inputs_are_removed(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    Checkpoints(tmp_path, "new")
    assert not (tmp_path / "old").exists()


def test_an_unknown_precision_and_encoder_are_named(tmp_path: Path) -> None:
    from multiner.pipeline.core.errors import NerError

    with pytest.raises(NerError, match=r"transformer\.precision"):
        optimisation.mixed_precision("fp8")
    with pytest.raises(NerError, match="cannot be loaded"):
        fit(tmp_path / "nowhere", tmp_path / "leg", tmp_path / "checkpoints")


SCRIPT = """
import sys
import os
import subprocess
import sys
import time
from pathlib import Path
from tests.pipeline.models.conftest import fit
fit(Path(sys.argv[1]), Path(sys.argv[2]) / "leg", Path(sys.argv[2]) / "checkpoints")
"""


@pytest.mark.faults("kill -9 of a trainer in mid-epoch")
@pytest.mark.slow
def test_kill_nine_in_mid_epoch(trained: Path, tiny_encoder: Path, tmp_path: Path, root: Path) -> None:
    """The process is killed for real, between two checkpoints; the same command then reaches the same weights."""
    command = [sys.executable, "-c", SCRIPT, str(tiny_encoder), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    progress = tmp_path / "checkpoints" / "print" / "last" / "progress.json"
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    while not progress.is_file() or read_json(progress)["step"] < 4:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (tmp_path / "leg").exists()
    subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL)
    assert (tmp_path / "leg" / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


def test_a_head_of_other_labels_is_replaced_and_one_of_the_same_labels_stays(trained: Path) -> None:
    same, _ = network.start_model(str(trained), bio_labels(TYPES), OPTIONS)
    other, _ = network.start_model(str(trained), bio_labels(TYPES[::-1]), OPTIONS)
    head = TorchTransformer.load(trained).model.classifier
    torch.testing.assert_close(same.classifier.weight, head.weight)
    assert not torch.isclose(other.classifier.weight, head.weight).any()
    assert list(other.config.id2label.values()) == bio_labels(TYPES[::-1])


def test_an_architecture_that_names_dropout_otherwise_is_loaded(tiny_encoder: Path, tmp_path: Path) -> None:
    config = DistilBertConfig(vocab_size=200, dim=16, n_layers=1, n_heads=2, hidden_dim=32, max_position_embeddings=70)
    DistilBertModel(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_encoder).save_pretrained(tmp_path)
    model, _ = network.start_model(str(tmp_path), bio_labels(TYPES), OPTIONS | {"dropout": 0.25})
    assert model.config.dropout == model.config.attention_dropout == 0.25
