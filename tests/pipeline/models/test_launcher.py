"""Training in several processes: the same model as in one, on one machine or several; where one fails, all end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from safetensors.torch import load_file

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json
from multiner.pipeline.models.transformer import launcher
from tests.pipeline.models.conftest import fit

SCRIPT = """
import json
import sys
from multiner.pipeline.core.errors import NerError
from tests.pipeline.models.conftest import launch_fit

if __name__ == "__main__":
    encoder, folder, launcher = sys.argv[1:]
    try:
        launch_fit(encoder, folder, json.loads(launcher))
    except NerError as error:
        sys.exit(str(error))
"""


def start(encoder: Path, folder: Path, processes: int, nodes: int = 1, **environment: str) -> subprocess.Popen[str]:
    """A training by the launcher, as a process of its own."""
    script = folder / "train.py"
    folder.mkdir(exist_ok=True)
    script.write_text(SCRIPT)
    root = Path(__file__).parents[3]
    return subprocess.Popen(
        [sys.executable, script, encoder, folder, f'{{"processes": {processes}, "nodes": {nodes}}}'],
        env={**os.environ, "PYTHONPATH": str(root), **environment}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def assert_same_training(folder: Path, other: Path) -> None:
    """The two trainings differ by rounding only."""
    histories = [read_json(each / "leg" / "history.json") for each in (folder, other)]
    assert [row["step"] for row in histories[0]] == [row["step"] for row in histories[1]]
    for row, twin in zip(*histories, strict=True):
        assert row["loss"] == pytest.approx(twin["loss"], rel=0.02)
        assert row["dev_f1"] == pytest.approx(twin["dev_f1"], abs=3)
    weights, others = (load_file(each / "leg" / "model.safetensors") for each in (folder, other))
    assert weights.keys() == others.keys()
    for name, tensor in weights.items():
        assert (tensor - others[name]).abs().max() < 0.02, name


@pytest.fixture(scope="module")
def accumulated(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One process that accumulates two batches in each step."""
    folder = tmp_path_factory.mktemp("one")
    fit(tiny_encoder, folder / "leg", folder / "checkpoints", accumulate=2)
    return folder


@pytest.mark.faults("kill -9 of one of two trainers")
@pytest.mark.slow
def test_two_processes_train_what_one_does_and_a_killed_one_ends_both(
    tiny_encoder: Path, accumulated: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "two"
    training = start(tiny_encoder, folder, 2)
    progress = folder / "checkpoints" / "print" / "last" / "progress.json"
    while not progress.is_file() or read_json(progress)["step"] < 4:
        assert training.poll() is None, training.communicate()
        time.sleep(0.01)
    workers = [each for each in psutil.Process(training.pid).children() if "spawn_main" in " ".join(each.cmdline())]
    assert len(workers) == 2
    workers[1].kill()
    _, message = training.communicate()
    assert training.returncode == 1
    assert "of the training failed, so all ended" in message
    assert "Traceback" not in message
    assert not psutil.wait_procs(workers, timeout=30)[1]
    assert not (folder / "leg").exists()

    training = start(tiny_encoder, folder, 2)
    _, message = training.communicate()
    assert training.returncode == 0, message
    assert message.count("development F1") < 6 + message.count("epoch 1,"), "it goes on from the checkpoint"
    assert_same_training(folder, accumulated)


@pytest.mark.slow
def test_two_machines_train_what_one_does_and_the_first_writes(
    tiny_encoder: Path, accumulated: Path, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    trainings = [
        start(tiny_encoder, tmp_path / str(node), 1, 2, NER_NODE=str(node), NER_RENDEZVOUS=address) for node in range(2)
    ]
    for training in trainings:
        _, message = training.communicate()
        assert training.returncode == 0, message
    assert_same_training(tmp_path / "0", accumulated)
    assert sorted(path.name for path in (tmp_path / "1").iterdir()) == ["train.py"], "it has written nothing"


def fail(message: str) -> None:
    raise NerError(message, where="train.jsonl:3")


@pytest.mark.slow
def test_the_error_of_a_process_is_the_error_of_the_training(
    root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(root)  # where the processes find this module
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(NerError, match=r"of the training failed, so all ended: train\.jsonl:3: no such label"):
        launcher.launch(fail, "no such label", launcher={"processes": 2, "nodes": 1})
    assert "Traceback" not in capfd.readouterr().err
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers


def refusal(**changes: Any) -> str:
    with pytest.raises(NerError) as caught:
        launcher.launch(print, launcher={"processes": 1, "nodes": 1} | changes)
    return str(caught.value)


def test_machines_need_a_place_to_meet_and_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(launcher.RENDEZVOUS, raising=False)
    assert "no address is named where they meet" in refusal(nodes=2)
    monkeypatch.setenv(launcher.RENDEZVOUS, "localhost:1")
    monkeypatch.setenv(launcher.NODE, "first")
    assert "not the number of a machine: 'first'" in refusal(nodes=2)


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert "3 processes need as many GPUs, and here are 2" in refusal(processes=3)
