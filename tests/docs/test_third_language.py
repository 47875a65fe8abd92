"""The tutorial of the third language, run as it is written: German trained, judged, promoted, served, and answering.

Three things differ: the encoder is a tiny one and the stages run in this process, in dvc.yaml's order, to save minutes;
the gateway takes a free port.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import multiner
from multiner import load
from multiner.pipeline.cli import commands
from multiner.pipeline.config.settings import Workspace
from multiner.serving.backends.local_server import free_port
from multiner.serving.cli import commands as serving_commands
from multiner.serving.system import deployment
from tests.pipeline.additions.test_corpus import ONTONOTES
from tests.pipeline.models.conftest import forgotten_precision, tiny_encoder
from tests.pipeline.registry.conftest import migrated

sys.path.append(str(Path(__file__).resolve().parents[2] / "dags"))

from wiring.graph import parse_stages, read_mapping, stages_of

COMMITTED = ("params.yaml", "dvc.yaml", "dvc.lock", "data/manifest.json")
AUTHOR = ("-c", "user.name=test", "-c", "user.email=test@localhost")
__all__ = ["forgotten_precision", "migrated", "tiny_encoder"]


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "tutorials" / "third_language.md").read_text(encoding="utf-8")


def run(line: str) -> str:
    """The output of ``ner``."""
    words = shlex.split(line)
    assert words[0] == "ner"
    group = commands if words[1] in commands.commands else serving_commands
    done = CliRunner().invoke(group, words[1:], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def home(
    root: Path, tmp_path: Path, tiny_encoder: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A workspace with the repository's parameters and graph; its gateway is ended with the test."""
    home = tmp_path / "home"
    (home / "data" / "raw").mkdir(parents=True)
    shutil.copytree(root / "params", home / "params")
    shutil.copytree(tiny_encoder, home / "data" / "encoders" / "tiny")
    for name in ("params.yaml", "dvc.yaml", "data/manifest.json", "requirements.lock"):
        shutil.copyfile(root / name, home / name)
    (home / "mlruns").mkdir()
    shutil.copyfile(migrated, home / "mlruns" / "mlflow.db")
    monkeypatch.setenv("NER_ROOT", str(home))
    monkeypatch.chdir(home)
    for name in ("MLFLOW_TRACKING_URI", "NER_BIND", "NER_GATEWAY_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NER_GATEWAY_PORT", str(free_port()))
    yield home
    deployment.stop(Workspace.load(root=home))


def train(home: Path) -> list[str]:
    """Run the stages of German in the profile demo; returns their names."""
    params = (home / "params.yaml").read_text(encoding="utf-8").replace("profile: cpu", "profile: demo", 1)
    params = params.replace("max_pieces: 192", "max_pieces: 128", 1)  # the tiny encoder has no more positions
    (home / "params.yaml").write_text(params, encoding="utf-8")
    graph, ran = read_mapping(home / "dvc.yaml"), []
    for address in stages_of(parse_stages(graph), "de"):
        name, _, code = address.partition("@")
        assert code == "de", "no other language is trained"
        run(graph["stages"][name]["do"]["cmd"].replace("${key}", code))
        ran.append(name)
    return ran


@pytest.mark.slow
def test_other_types_are_trained_judged_and_served(home: Path, tmp_path: Path) -> None:
    """The 18 of OntoNotes, of which entities are nested; the outermost are learnt."""
    lines = []
    for number in range(12 * len(ONTONOTES)):
        type_ = ONTONOTES[number % len(ONTONOTES)]
        name = f"{type_.title().replace('_', '')}haus"
        text = f"Heute war {name} Nord wieder im Bericht {number}."
        end = 10 + len(name)
        lines.append(json.dumps({"text": text, "label": [[10, end + 5, type_], [end + 1, end + 5, "LOC"]]}))
    (tmp_path / "notes.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    run(f"ner corpus add {tmp_path}/notes.jsonl --name notes -l de --format doccano --license MIT")
    run("ner language add de --corpus notes --encoder data/encoders/tiny")
    train(home)
    scores = json.loads((home / "metrics" / "demo" / "de.json").read_text())["corpora"]["notes"]["test"]
    assert scores["ensemble"]["per_type"].keys() == set(ONTONOTES)
    run("ner register --language de")
    run("ner promote --language de")
    model = load("ner-de-demo")
    texts = [json.loads(line)["text"] for line in lines[: len(ONTONOTES)]]
    found = [(each.text, each.label) for result in model.predict(texts) for each in result.entities]
    right = [(f"{type_.title().replace('_', '')}haus Nord", type_) for type_ in ONTONOTES]
    assert len(set(found) & set(right)) > len(ONTONOTES) / 2


@pytest.mark.slow
def test_a_program_trains_a_model_and_loads_it(root: Path, home: Path, tmp_path: Path, page: str) -> None:
    """The same by ``multiner.train``, with the spaCy CNN alone."""
    make, add, *_ = re.findall(r"^\$ (.+)$", page, flags=re.M)
    subprocess.run([sys.executable, root / make.split()[1], make.split()[2]], check=True)
    run(add)
    run("ner language add de --corpus muster-de --encoder data/encoders/tiny")
    (home / "data" / "raw" / "packages").mkdir(exist_ok=True)
    config = {"profile": "demo", "ensemble": {"legs": ["spacy"]}}
    training = multiner.train(config, tmp_path / "trained", "de")
    assert training.metrics["corpora"]["muster-de"]["test"].keys() == {"ensemble", "spacy"}
    found = load(training.model).entities("Käthe Ruhnau wohnt in Köln.").entities
    assert {("PER", "Käthe Ruhnau"), ("LOC", "Köln")} <= {(each.label, each.text) for each in found}
    assert multiner.train(config, tmp_path / "trained", "de") == training


@pytest.mark.slow
def test_every_line_works(root: Path, page: str, home: Path) -> None:
    (home / "dvc.lock").write_text("schema: '2.0'\n", encoding="utf-8")
    for command in (["init", "-q"], ["add", "params", *COMMITTED], [*AUTHOR, "commit", "-qm", "A clone"]):
        subprocess.run(["git", *command], cwd=home, check=True)
    lines = re.findall(r"^\$ (.+)$", page, flags=re.M)
    assert len(lines) == 9
    ran: list[str] = []
    answers: list[dict[str, Any]] = []
    for line in lines:
        if line.startswith("python tools/"):
            subprocess.run([sys.executable, root / line.split()[1], line.split()[2]], check=True)
        elif line == "dvc repro evaluate@de":
            ran = train(home)
        elif line.startswith("curl "):
            command = shlex.split(line.replace(":8000/", f":{os.environ['NER_GATEWAY_PORT']}/"))
            answers.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
        else:
            run(line + " --encoder data/encoders/tiny" * line.startswith("ner language add"))
    assert ran[-1] == "evaluate"
    assert json.loads((home / "metrics" / "demo" / "de.json").read_text())["corpora"]["muster-de"]["test"].keys() == {
        "ensemble", "transformer", "spacy",
    }  # fmt: skip
    (result,) = answers[0]["results"]
    assert result["model"]["name"] == "ner-de-demo"
    assert {("PER", "Käthe Ruhnau"), ("LOC", "Köln")} <= {(each["label"], each["text"]) for each in result["entities"]}
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(re.search(r"```python\n(.+?)```", page, flags=re.S)[1], {})
    assert {"PER Käthe Ruhnau", "LOC Köln"} <= set(output.getvalue().splitlines())
    (back,) = re.findall(r"```sh\n(.+?)```", page, flags=re.S)
    assert "de" in Workspace.load(root=home).languages
    subprocess.run(["bash", "-ec", back], cwd=home, check=True)
    assert set(Workspace.load(root=home).languages) == {"en", "ru"}
    changed = subprocess.run(["git", "status", "--porcelain", "params", *COMMITTED], cwd=home, capture_output=True)
    assert changed.stdout == b""
