"""The main job for real, on slices of the real corpora: Airflow runs it, MLflow registers and serves, HTTP is asked.

The tests stand in the order of a user's day and share one workspace, a copy of the working tree.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from multiner.pipeline.core import processes
from multiner.pipeline.core.environment import quiet_environment
from multiner.serving.backends.server_process import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
TEXTS = {"en": "Angela Merkel visited Berlin on Monday.", "ru": "Владимир Орлов приехал в Москву."}
RUN_SECONDS = 2400  # far more than it takes on two quiet cores


class Job:
    """A workspace of its own, with its ports."""

    def __init__(self, root: Path, mirror: Path) -> None:
        self.root = root
        self.ports = {name: free_port() for name in ("port", "mlflow_port", "airflow_port")}
        self.environment = quiet_environment(
            NER_ROOT=str(root), NER_CORPORA_MIRROR=str(mirror), PYTHONUNBUFFERED="1", COLUMNS="200"
        )
        for name in [name for name in self.environment if name.startswith(("AIRFLOW", "MLFLOW_TRACKING"))]:
            del self.environment[name]

    @property
    def gateway(self) -> str:
        return f"http://127.0.0.1:{self.ports['port']}"

    def ner(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run ``ner`` to its end, output and errors together."""
        return subprocess.run(
            [str(BIN / "ner"), *arguments],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )

    def ask(self, text: str, language: str = "auto") -> dict[str, Any]:
        """The gateway's answer for one text."""
        answer = httpx.post(f"{self.gateway}/v1/entities", json={"text": text, "language": language}, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def left(self) -> list[str]:
        """Processes of this workspace's system that are still there."""
        return [" ".join(process.cmdline()) for process in processes.marked(self.root)]


def copy_working_tree(to: Path) -> None:
    """What git tracks, and what it would: a clone as it would be after a commit."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "A clone"]):
        subprocess.run([*git, *command], cwd=to, check=True)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory, corpora: Path) -> Iterator[Job]:
    """A fresh clone with a mirror of the corpora, and of the packages' files where this clone has them."""
    folder = tmp_path_factory.mktemp("job")
    mirror = folder / "mirror"
    mirror.mkdir()
    for place in (corpora, ROOT / "data" / "raw"):
        for source in place.iterdir() if place.is_dir() else ():
            if source.is_dir() and not (mirror / source.name).exists():
                (mirror / source.name).symlink_to(source)
    root = folder / "clone"
    root.mkdir()
    copy_working_tree(root)
    job = Job(root, mirror)
    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    params["serving"] |= job.ports
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    yield job
    job.ner("down")


@pytest.fixture(scope="module")
def first(job: Job) -> str:
    """The output of the first run."""
    done = job.ner("run", "--profile", "smoke", "--once", timeout=RUN_SECONDS)
    assert done.returncode == 0, done.stdout[-8000:]
    return done.stdout


def test_the_job_runs_and_says_what_it_did(job: Job, first: str) -> None:
    assert "profile is now smoke" in first
    for language in ("en", "ru"):
        for stage in ("validate", "train_transformer", "export", "train_spacy", "ensemble", "evaluate"):
            # Another DAG may be the one that ran it: the Russian one also holds the English training.
            ran = rf"stages ran:.*({stage} \({language}\)|{stage}_{language} \(\w+\))"
            assert re.search(ran, first), (stage, language)
        assert re.search(rf"promote_{language} +promote +success", first)
        assert re.search(rf"promote_{language} +deploy +success", first)
    assert job.left() == []


def test_the_figures_are_written(job: Job, first: str) -> None:
    for language, corpus in (("en", "conll2003"), ("en", "wnut17"), ("ru", "factrueval-name")):
        metrics = json.loads((job.root / "metrics" / "smoke" / f"{language}.json").read_text(encoding="utf-8"))
        for split in ("dev", "test"):
            scores = metrics["corpora"][corpus][split]
            assert scores.keys() >= {"transformer", "spacy", "ensemble"}
            assert all(0 <= scores[name]["f1"] <= 100 for name in scores)


def test_the_status_without_a_running_system(job: Job, first: str) -> None:
    told = json.loads(job.ner("status", "--json").stdout)
    assert told["system"] is None
    assert [(model["language"], model["champion"], model["live"]) for model in told["models"]] == [
        ("en", "1", None),
        ("ru", "1", None),
    ]
    assert all(model["data"] and model["trained"] for model in told["models"])


@pytest.mark.parametrize("language", ["en", "ru"])
def test_mlflow_serves_the_champion_on_its_own(job: Job, first: str, tmp_path: Path, language: str) -> None:
    port = free_port()
    environment = job.environment | {"MLFLOW_TRACKING_URI": f"sqlite:///{job.root / 'mlruns' / 'mlflow.db'}"}
    environment |= {"PATH": f"{BIN}{os.pathsep}{environment['PATH']}"}
    command = [str(BIN / "mlflow"), "models", "serve", "-m", f"models:/ner-{language}-smoke@champion"]
    command += ["--env-manager", "local", "-p", str(port)]
    with (tmp_path / "serve.log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 180
        while True:
            try:
                body = {"inputs": [{"text": TEXTS[language]}]}
                answer = httpx.post(f"http://127.0.0.1:{port}/invocations", json=body, timeout=60)
                break
            except httpx.TransportError:
                assert server.poll() is None, (tmp_path / "serve.log").read_text()
                assert time.monotonic() < deadline, (tmp_path / "serve.log").read_text()
                time.sleep(0.5)
        assert answer.status_code == 200, answer.text
        prediction = answer.json()["predictions"][0]
        for entity in prediction["entities"]:
            assert TEXTS[language][entity["start"] : entity["end"]] == entity["text"]
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def test_again_with_nothing_changed(job: Job, first: str, tmp_path: Path) -> None:
    output = tmp_path / "run.log"
    began = time.monotonic()
    with output.open("w") as log:
        running = subprocess.Popen(
            [str(BIN / "ner"), "run"], cwd=job.root, env=job.environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        while "Ctrl-C ends everything" not in output.read_text():
            assert running.poll() is None, output.read_text()[-8000:]
            assert time.monotonic() - began < RUN_SECONDS
            time.sleep(1)
        said = output.read_text()
        assert "nothing to do" in said.split("promote_ru")[-1]
        assert "stages ran" not in said

        told = json.loads(job.ner("status", "--json").stdout)
        assert told["system"]["phase"] == "ready"
        assert all(part["answers"] for part in told["parts"])
        assert [(model["champion"], model["live"]) for model in told["models"]] == [("1", "1"), ("1", "1")]

        for language, text in TEXTS.items():
            answer = job.ask(text)
            assert answer["results"][0]["language"] == language
            for entity in answer["results"][0]["entities"]:
                assert text[entity["start"] : entity["end"]] == entity["text"]
        curl = next(line for line in said.splitlines() if line.startswith("Try")).removeprefix("Try").strip()
        if shutil.which("curl"):
            assert "entities" in subprocess.run(curl, shell=True, capture_output=True, text=True, check=True).stdout
        assert httpx.get(f"{job.gateway}/").status_code == 200
        docs = httpx.get(f"http://127.0.0.1:{job.ports['port']}/reports/en/validation/")
        assert docs.status_code == 200

        second = job.ner("up")
        assert second.returncode == 0
        assert "running already" in second.stdout
    finally:
        running.send_signal(signal.SIGINT)
        assert running.wait(120) == 0, output.read_text()[-4000:]
    assert job.left() == []
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{job.gateway}/health", timeout=5)


def test_a_changed_byte_stops_the_pull_and_an_illegal_tag_the_validation(job: Job, first: str) -> None:
    mirror = Path(job.environment["NER_CORPORA_MIRROR"])
    source, own = mirror / "conll2003", mirror / "changed"
    shutil.copytree(source, own)
    source.unlink()
    own.rename(source)
    path = source / "train.txt"
    lines = path.read_text(encoding="utf-8").split("\n")
    number = next(index for index, line in enumerate(lines) if line.endswith(" B-PER"))
    raw = job.root / "data" / "raw" / "conll2003" / "train.txt"
    before = raw.read_bytes()

    lines[number] = lines[number].removesuffix("R") + "X"
    path.chmod(0o644)
    path.write_text("\n".join(lines), encoding="utf-8")
    done = job.ner("pull")
    assert done.returncode == 1
    assert "train.txt" in done.stdout
    assert len(set(re.findall(r"\b[0-9a-f]{64}\b", done.stdout))) == 2, done.stdout
    assert raw.read_bytes() == before

    assert job.ner("pull", "--accept", "conll2003").returncode == 0
    done = job.ner("validate", "--language", "en")
    assert done.returncode == 1
    assert f"conll2003/train.txt:{number + 1}" in done.stdout
    assert "Traceback" not in done.stdout
    told = json.loads(job.ner("status", "--json").stdout)
    assert [model["champion"] for model in told["models"]] == ["1", "1"]


def test_a_killed_dvc_takes_its_training_along_and_the_next_run_goes_on(job: Job, first: str) -> None:
    params = job.root / "params.yaml"
    text = params.read_text(encoding="utf-8").replace("seed: 13", "seed: 14")
    params.write_text(re.sub(r"checkpoint_seconds: \d+", "checkpoint_seconds: 1", text), encoding="utf-8")
    stage = [sys.executable, "-m", "dvc", "repro", "--single-item", "train_transformer@ru"]
    environment = job.environment | {"PATH": f"{BIN}{os.pathsep}{job.environment['PATH']}"}
    leg = job.root / "data" / "out" / "smoke" / "ru" / "trained" / "transformer"
    checkpoints = job.root / "data" / "checkpoints" / "smoke" / "ru" / "transformer"

    dvc = subprocess.Popen(stage, cwd=job.root, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (found := list(checkpoints.glob("*/last/progress.json"))):
        assert dvc.poll() is None
        time.sleep(0.2)
    training = [process for process in psutil.Process(dvc.pid).children(recursive=True) if process.is_running()]
    dvc.kill()
    dvc.wait()
    _, alive = psutil.wait_procs(training, timeout=30)
    assert not alive, "a training outlived the command that started it"
    step = json.loads(found[0].read_text(encoding="utf-8"))["step"]
    assert step > 0
    assert not leg.exists()

    def digest() -> str:
        return sha256((leg / "model.safetensors").read_bytes()).hexdigest()

    done = subprocess.run(stage, cwd=job.root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert f" {step}/" in done.stderr, "it began anew"
    resumed = digest()
    unbroken = subprocess.run([*stage, "--force"], cwd=job.root, env=environment, capture_output=True, check=False)
    assert unbroken.returncode == 0
    assert digest() == resumed


def test_an_occupied_port_is_a_named_error(job: Job) -> None:
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", job.ports["mlflow_port"]))
        other.listen()
        done = job.ner("run", "--once")
    assert done.returncode == 1
    assert f"port {job.ports['mlflow_port']}, meant for mlflow, is in use" in done.stdout
    assert "Traceback" not in done.stdout
