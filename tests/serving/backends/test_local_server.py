"""Model servers for real: ``mlflow models serve`` processes of a small model, switched and killed under load."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.processes import is_running, tree
from multiner.serving.answers import ModelFailed, check_predictions
from multiner.serving.backends import health, model_server
from multiner.serving.backends.backend import ServedModel
from multiner.serving.backends.local_server import LocalServer, free_port
from multiner.serving.gateway.app import create_app
from multiner.serving.gateway.routes import invocations
from multiner.serving.http.payload import Limits
from multiner.serving.http.problems import Problem
from tests.serving.configs import NoFacts, gateway_config
from tests.serving.waiting import until

MODEL_CODE = '''
import re
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

class Capitals(PythonModel):
    """Marks capitalised words; the label is the version, so that an answer tells who gave it."""

    def load_context(self, context):
        self.label = open(context.artifacts["label"]).read()
        if self.label == "broken":
            raise RuntimeError("this version cannot be loaded")

    def predict(self, context, model_input: pd.DataFrame, params=None):
        return [
            {"entities": [
                {"start": m.start(), "end": m.end() + (self.label == "wrong"), "text": m.group(), "label": self.label}
                for m in re.finditer(r"[A-ZА-Я]\\w+", text)
            ]}
            for text in model_input["text"]
        ]

set_model(Capitals())
'''


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ServedModel]:
    """Saves a version of the model, once each: ``models("v1")``."""
    folder = tmp_path_factory.mktemp("models")
    code = folder / "capitals.py"
    code.write_text(MODEL_CODE, encoding="utf-8")

    def make(version: str) -> ServedModel:
        import mlflow
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, Schema

        target, label = folder / version, folder / f"{version}.txt"
        if not target.exists():
            label.write_text(version)
            mlflow.pyfunc.save_model(
                target,
                python_model=str(code),
                artifacts={"label": str(label)},
                signature=ModelSignature(Schema([ColSpec("string", "text")])),
                pip_requirements=["mlflow"],
            )
        return ServedModel("en", "capitals", version, str(target))

    return make


def test_answers_out_of_form_are_refused() -> None:
    good = {"start": 0, "end": 4, "text": "Anna", "label": "PER"}
    full = good | {
        "score": 0.5,
        "legs": {"a": {"start": 0, "end": 4, "label": "PER"}, "b": {"start": None, "label": None}},
    }
    for right in (good, full):
        assert check_predictions(["Anna"], [{"entities": [right]}]) == [[right]]
    for bad in (
        None,
        [],
        [{}],
        [{"entities": [good | {"end": 5}]}],
        [{"entities": [good | {"start": 1}]}],
        [{"entities": [good | {"label": None}]}],
        [{"entities": ["Anna"]}],
        [{"entities": [good | {"score": float("nan")}]}],
        [{"entities": [good | {"score": "high"}]}],
        [{"entities": [good | {"legs": ["spacy"]}]}],
        [{"entities": [good | {"legs": {"spacy": None}}]}],
        [{"entities": [good | {"legs": {"spacy": {"start": 0, "end": 9}}}]}],
        [{"entities": []}, {"entities": []}],
    ):
        with pytest.raises(ModelFailed):
            check_predictions(["Anna"], bad)


@pytest.mark.slow
@pytest.mark.parametrize(("version", "message"), [("broken", "cannot be loaded"), ("wrong", "golden texts")])
def test_a_version_that_does_not_work_is_refused_with_the_reason(
    models: Callable[[str], ServedModel], tmp_path: Path, version: str, message: str
) -> None:
    pids = []

    async def main() -> None:
        backend = LocalServer(models(version), tmp_path / "model.log")
        try:
            await backend.start()
            await backend.probe()
        finally:
            await backend.close()
            pids.append(backend.pid)

    with pytest.raises(NerError, match=message):
        asyncio.run(main())
    assert not psutil.pid_exists(pids[0])


def test_a_version_that_must_not_be_served_starts_no_process(
    models: Callable[[str], ServedModel], tmp_path: Path
) -> None:
    def refuse(folder: Path) -> str:
        raise NerError("weights.bin was changed since the version was signed")

    backend = LocalServer(models("1"), tmp_path / "model.log", folders=tmp_path / "work", source=refuse)
    with pytest.raises(NerError, match="was changed"):
        asyncio.run(backend.bring_up())
    assert backend.pid is None
    assert not list((tmp_path / "work").glob("ner-model-*"))


@pytest.mark.slow
def test_mlflows_shapes_and_errors_for_real(models: Callable[[str], ServedModel], tmp_path: Path) -> None:
    """What passes through the gateway means to MLflow what the gateway takes it for."""
    shapes = [
        (b'{"inputs": ["Anna", "met Bo"]}', invocations.JSON),
        (b'{"inputs": {"text": ["Anna", "met Bo"]}}', invocations.JSON),
        (b'{"instances": ["Anna", "met Bo"]}', invocations.JSON),
        (b'{"dataframe_split": {"columns": ["text"], "data": [["Anna"], ["met Bo"]]}}', invocations.JSON),
        (b'{"dataframe_records": [{"text": "Anna"}, {"text": "met Bo"}]}', invocations.JSON),
        (b"text\nAnna\nmet Bo\n", invocations.CSV),
    ]
    wrong = [
        (b'{"dataframe_records": [{"words": "secret"}]}', invocations.JSON),
        (b'{"dataframe_split": {"data": [[1, "secret"]]}}', invocations.JSON),
        (b'{"inputs": [["secret"], 5]}', invocations.JSON),
        (b"words\nsecret\n", invocations.CSV),
        (b"text\nsecret,secret\n,,\n,,,\n", invocations.CSV),
    ]

    async def passed_on(backend: LocalServer, body: bytes, media_type: str) -> bytes:
        return await invocations.invoke(backend, *invocations.read(body, media_type, Limits(8, 1000, 30)))

    async def main() -> tuple[list[Any], list[Exception]]:
        backend, refused = LocalServer(models("1"), tmp_path / "model.log"), []
        try:
            await backend.start()
            answers = [json.loads(await passed_on(backend, *shape)) for shape in shapes]
            for body, media_type in wrong:
                with pytest.raises(Problem) as raised:
                    await passed_on(backend, body, media_type)
                refused.append(raised.value)
            return answers, refused
        finally:
            await backend.close()

    answers, refused = asyncio.run(main())
    for answer in answers:
        assert [[entity["text"] for entity in each["entities"]] for each in answer["predictions"]] == [["Anna"], ["Bo"]]
    assert {problem.status for problem in refused} == {422}
    assert not any("secret" in problem.detail for problem in refused)


@pytest.mark.faults("kill -9 of a model server under load")
@pytest.mark.slow
def test_switches_and_kills_under_load(models: Callable[[str], ServedModel], tmp_path: Path) -> None:
    """Clients ask without pause while versions are switched: nothing is lost; a killed process is started again."""
    backends: list[LocalServer] = []

    async def launch(model: ServedModel) -> LocalServer:
        backend = LocalServer(model, tmp_path / f"{model.version}.log", timeout=30)
        backends.append(backend)
        await backend.start()
        await backend.probe()
        return backend

    def resolve(language: str, version: str | None) -> ServedModel:
        return models(version or "1")

    text = "Anna 🙂\r\n\u0000Bo \ud800Cleo"
    body = json.dumps({"text": [text] * 3})
    answered: list[tuple[int, set[str]]] = []

    async def keep_asking(client: httpx.AsyncClient, done: asyncio.Event) -> None:
        while not done.is_set():
            response = await client.post("/v1/entities", content=body, headers={"content-type": "application/json"})
            labels = set()
            for result in response.json().get("results", []):
                assert [text[e["start"] : e["end"]] for e in result["entities"]] == ["Anna", "Bo", "Cleo"]
                labels |= {entity["label"] for entity in result["entities"]} | {result["model"]["version"]}
            answered.append((response.status_code, labels))

    async def main() -> None:
        config = gateway_config(limits=Limits(8, 10_000, 30), launch=launch, resolve=resolve, keep_previous=False)
        app = create_app(config, NoFacts())
        service = app.state.service
        async with app.router.lifespan_context(app):
            while service.routes["en"].state == "starting":
                await asyncio.sleep(0.05)
            assert service.routes["en"].state == "live", service.health()
            done = asyncio.Event()
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
                clients = [asyncio.create_task(keep_asking(client, done)) for _ in range(3)]
                for version in ("2", "3"):
                    assert await service.deploy("en", version) == "switched"
                answers = len(answered)
                await until(lambda: len(answered) > answers + 5)
                done.set()
                await asyncio.gather(*clients)
                await killed(client, service)

    async def killed(client: httpx.AsyncClient, service: Any) -> None:
        server = psutil.Process(backends[-1].pid).children(recursive=True)[-1]  # the one that answers, not its parent
        server.kill()
        statuses = set()
        deadline = time.monotonic() + 90
        while 200 not in statuses and time.monotonic() < deadline:
            await asyncio.sleep(0.2)
            response = await client.post("/v1/entities", json={"text": "Anna"})
            statuses.add(response.status_code)
            assert response.status_code == 200 or int(response.headers["retry-after"]) > 0
        assert statuses == {200, 503}
        assert service.routes["en"].live.model.version == "3"

    asyncio.run(main())
    assert len(answered) > 50
    assert {status for status, _ in answered} == {200}
    assert all(len(labels) == 1 for _, labels in answered), "an answer mixes versions"
    assert set.union(*(labels for _, labels in answered)) == {"1", "2", "3"}
    assert not any(psutil.pid_exists(backend.pid) for backend in backends)


@pytest.mark.faults("a model server that hangs, or dies behind its parent")
@pytest.mark.slow
@pytest.mark.parametrize(("number", "reason"), [(signal.SIGSTOP, "3 pings"), (signal.SIGKILL, "nobody listens")])
def test_a_server_that_hangs_or_dies_behind_its_parent_is_found_out(
    models: Callable[[str], ServedModel],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: int,
    reason: str,
) -> None:
    async def main() -> list[psutil.Process]:
        backend = LocalServer(models("1"), tmp_path / "model.log")
        try:
            await backend.start()
            monkeypatch.setattr(health, "PAUSE", 0.1)
            monkeypatch.setattr(model_server, "PING_SECONDS", 1)
            family = tree(backend.pid)
            family[-1].send_signal(number)
            async with asyncio.timeout(60):
                await backend.lost()
            assert not backend.alive
            return family
        finally:
            await backend.close()

    assert not any(is_running(process) for process in asyncio.run(main()))
    (record,) = [record for record in caplog.records if record.getMessage() == "model server does not answer"]
    assert reason in record.fields["reason"]
    assert "/ping" not in (tmp_path / "model.log").read_text()


PARENT = """
import asyncio, sys
from pathlib import Path
from multiner.serving.backends.backend import ServedModel
from multiner.serving.backends.local_server import LocalServer

async def main():
    backend = LocalServer(ServedModel("en", "capitals", "1", sys.argv[1]), Path(sys.argv[2]))
    await backend.start()
    print(backend.port, flush=True)
    await asyncio.sleep(300)

asyncio.run(main())
"""


@pytest.mark.faults("kill -9 of a gateway with a model")
@pytest.mark.slow
def test_model_servers_die_with_their_parent(models: Callable[[str], ServedModel], tmp_path: Path, root: Path) -> None:
    command = [sys.executable, "-c", PARENT, models("1").uri, str(tmp_path / "model.log")]
    environment = os.environ | {"PYTHONPATH": str(root)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert int(parent.stdout.readline()) > 0
        family = psutil.Process(parent.pid).children(recursive=True)
        assert len(family) >= 2
        parent.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(family, timeout=15)
    alive = [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    assert not alive, json.dumps([process.cmdline() for process in alive])


def test_free_ports_are_free() -> None:
    assert len({free_port() for _ in range(5)}) > 1
