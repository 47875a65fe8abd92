"""The demonstration on the bundled samples, in a clone of its own, so that it can run beside the main job."""

from __future__ import annotations

import json
import os
import re
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e import examples
from tests.e2e.asking import ENTITIES, TEXTS, check_entities, wait_for
from tests.e2e.conftest import BIN, RUN_SECONDS, Job, cloned

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@dataclass(frozen=True)
class Demonstration:
    """What `make demo` has shown, until Ctrl-C ended it well."""

    clone: Job
    models: list[tuple[str, str]]  # the name and the live version of each
    entities: dict[str, list[dict[str, Any]]]  # of each language's text
    curl: list[dict[str, Any]]  # entities that the command line found which it says to try
    reader: Any  # of tools/first_hour.py, who has typed the tutorial's sections 3 to 5


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory: pytest.TempPathFactory, root: Path, corpora: Path) -> Iterator[Demonstration]:
    """The demonstration in a clone, from its start to Ctrl-C."""
    folder = tmp_path_factory.mktemp("demo")
    with cloned(folder, root, corpora) as clone:
        (clone.root / ".venv").symlink_to(BIN.parent)  # what `make setup` makes
        output = folder / "demo.log"
        clone.set_params({"serving": {"review": True}})  # an example sends a correction
        command = ["make", "-o", ".venv/installed", "demo"]
        with output.open("w") as log:
            make = subprocess.Popen(
                command, cwd=clone.root, env=clone.environment, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            wait_for(lambda: "Ctrl-C ends everything" in output.read_text(), RUN_SECONDS, make, output)
            models = [(each["model"], each["live"]) for each in clone.status()["models"]]
            entities = {language: clone.ask(text)["entities"] for language, text in TEXTS.items()}
            line = next(line for line in output.read_text().splitlines() if line.startswith("Try"))
            curl = line.removeprefix("Try").strip()
            done = subprocess.run(curl, shell=True, capture_output=True, text=True, check=True)
            (result,) = json.loads(done.stdout)["results"]
            reader = tutorial_reader(clone)
            reader.walk([3, 4, 5])
            type_examples(clone, folder / "typed")
        finally:
            for process in psutil.Process(make.pid).children():
                process.send_signal(signal.SIGINT)  # Ctrl-C reaches `ner`; make would end with an error itself
            returncode = make.wait(120)
        assert returncode == 0, output.read_text()[-4000:]
        yield Demonstration(clone, models, entities, result["entities"], reader)


def tutorial_reader(clone: Job) -> Any:
    """The reader of docs/first-hour.md; the clone's port takes the place of the tutorial's."""
    tool = runpy.run_path(str(clone.root / "tools" / "first_hour.py"))
    page = (clone.root / "docs" / "first-hour.md").read_text(encoding="utf-8")
    tutorial = tool["Tutorial"](page.replace("http://127.0.0.1:8000", clone.gateway))
    return tool["Reader"](clone.root, tutorial, clone.environment, clone.gateway)


def type_examples(clone: Job, folder: Path) -> None:
    """Type the examples that no other test runs, with the demonstration's models in place of theirs."""
    environment = clone.environment | {"PATH": f"{BIN}{os.pathsep}{clone.environment['PATH']}"}
    names = {"ner-en": "ner-en-demo", "ner-ru": "ner-ru-demo", "Client()": f'Client("{clone.gateway}")'}
    names |= {'"version": "3"': '"version": "1"'}
    user = examples.User(folder, environment, clone.gateway, names)
    for example in examples.examples(clone.root):
        if not examples.elsewhere(example) and example.page not in examples.PAGES_ELSEWHERE:
            user.type(example)


def test_make_demo_shows_everything_on_the_samples(demonstration: Demonstration) -> None:
    assert demonstration.clone.leftovers() == []
    assert demonstration.models == [("ner-en-demo", "1"), ("ner-ru-demo", "1")]
    for language, entities in demonstration.entities.items():
        check_entities(language, entities)
    assert {(entity["text"], entity["label"]) for entity in demonstration.curl} >= set(ENTITIES["en"])


def test_the_first_hour_can_be_typed(demonstration: Demonstration) -> None:
    demonstration.reader.check()


@pytest.mark.faults("kill -9 of dvc in mid-training")
def test_a_killed_dvc_takes_its_training_along_and_the_next_run_goes_on(demonstration: Demonstration) -> None:
    clone = demonstration.clone
    params = clone.root / "params.yaml"
    text = params.read_text(encoding="utf-8").replace("seed: 13", "seed: 14")
    params.write_text(re.sub(r"checkpoint_seconds: \d+", "checkpoint_seconds: 1", text), encoding="utf-8")
    stage = [sys.executable, "-m", "dvc", "repro", "--single-item", "train_transformer@ru"]
    environment = clone.environment | {"PATH": f"{BIN}{os.pathsep}{clone.environment['PATH']}"}
    leg = clone.root / "data" / "out" / "demo" / "ru" / "trained" / "transformer"
    checkpoints = clone.root / "data" / "checkpoints" / "demo" / "ru" / "transformer"

    dvc = subprocess.Popen(stage, cwd=clone.root, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (progress,) = wait_for(lambda: list(checkpoints.glob("*/last/progress.json")), RUN_SECONDS, dvc)
    training = [process for process in psutil.Process(dvc.pid).children(recursive=True) if process.is_running()]
    dvc.kill()
    dvc.wait()
    _, alive = psutil.wait_procs(training, timeout=30)
    assert not alive, "a training outlived the command that started it"
    step = json.loads(progress.read_text(encoding="utf-8"))["step"]
    assert step > 0
    assert not leg.exists()

    def digest() -> str:
        return sha256((leg / "model.safetensors").read_bytes()).hexdigest()

    done = subprocess.run(stage, cwd=clone.root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert f" {step}/" in done.stderr, "it began anew"
    resumed = digest()
    unbroken = subprocess.run([*stage, "--force"], cwd=clone.root, env=environment, capture_output=True, check=False)
    assert unbroken.returncode == 0
    assert digest() == resumed
