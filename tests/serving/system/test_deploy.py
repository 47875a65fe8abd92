"""Deploying for real: a background gateway, a registry, ``mlflow models serve`` processes of a small model."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import psutil
import pytest
import yaml
from click.testing import CliRunner

from multiner.pipeline import registry
from multiner.pipeline.config.settings import Workspace, overlay
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry.champions import ROLLED_BACK
from multiner.pipeline.registry.store import model_name, open_store
from multiner.serving.backends.local_server import free_port
from multiner.serving.cli import commands
from multiner.serving.gateway import state
from multiner.serving.gateway.app import serve
from multiner.serving.system import deployment as deploy

MODEL_CODE = '''
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

class First(PythonModel):
    """The first sign of each text, whatever it is."""

    def predict(self, context, model_input, params=None):
        return [
            {"entities": [{"start": 0, "end": 1, "text": text[:1], "label": "PER", "score": 1.0}] if text else []}
            for text in model_input["text"]
        ]

set_model(First())
'''


@pytest.fixture
def workspace(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8")) | {"profile": "cpu"}
    params["serving"]["port"] = free_port()
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
    (tmp_path / "params").mkdir()
    (tmp_path / "params" / "cpu.yaml").write_text("{}\n", encoding="utf-8")
    (tmp_path / "first.py").write_text(MODEL_CODE, encoding="utf-8")
    for name in ("NER_GATEWAY_PORT", "NER_BIND", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    made = Workspace.load(root=tmp_path)
    yield made
    deploy.stop(made)


def register_champion(workspace: Workspace) -> str:
    """Register the model anew and make it champion; its version."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    from multiner.pipeline.registry.champions import set_champion
    from multiner.pipeline.registry.store import open_experiment

    client = open_store(workspace)
    name = model_name(workspace, "en")
    with mlflow.start_run(experiment_id=open_experiment(client, workspace, "en")):
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(workspace.root / "first.py"),
            signature=ModelSignature(Schema([ColSpec("string", "text")])),
            pip_requirements=["mlflow"],
            registered_model_name=name,
        )
    set_champion(client, name, str(logged.registered_model_version))
    return str(logged.registered_model_version)


def ner(workspace: Workspace, *arguments: str) -> str:
    """What a command of the command line prints; it has to succeed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NER_ROOT", str(workspace.root))
        patch.delenv("NER_GATEWAY_URL", raising=False)
        done = CliRunner().invoke(commands, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_rollback_without_a_champion_is_refused(workspace: Workspace) -> None:
    with pytest.raises(NerError, match="no champion to roll back"):
        ner(workspace, "rollback", "en")
    with pytest.raises(NerError, match="unknown language"):
        ner(workspace, "rollback", "xx")


def test_watching_without_a_gateway_ends_well(workspace: Workspace) -> None:
    assert "no gateway runs: nothing to do" in ner(workspace, "deploy", "--watch")
    assert not state.state_file(workspace).exists()


def test_a_gateway_may_start_before_the_first_champion(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Workspace] = []

    def start(workspace: Workspace, announce: object) -> state.GatewayState:
        started.append(workspace)
        return state.GatewayState(1, 0.0, "127.0.0.1", 1, "token", workspace.profile)

    monkeypatch.setattr(deploy, "start_gateway", start)
    assert deploy.deploy(workspace, if_any=True, start=True) == []
    assert started == [workspace]


def test_without_champions(workspace: Workspace) -> None:
    messages: list[str] = []
    assert deploy.deploy(workspace, if_any=True, announce=messages.append) == []
    assert "nothing to do" in messages[0]
    with pytest.raises(NerError, match="no champion"):
        deploy.deploy(workspace)
    assert deploy.stop(workspace) is False


def test_without_champions_for_a_gateway_elsewhere(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploy.client, "served_versions", lambda _: {})
    messages: list[str] = []
    deploy.await_live(workspace, "http://gateway", if_any=True, announce=messages.append)
    assert messages[-1] == "no champion yet: nothing to do"
    with pytest.raises(NerError, match="no champion for en"):
        deploy.await_live(workspace, "http://gateway", patience=0)


def test_a_language_at_an_endpoint_is_deployed_without_a_champion(workspace: Workspace) -> None:
    asked: list[str] = []

    def bring_live(gateway: Any, language: str, **_: Any) -> deploy.Deployment:
        asked.append(language)
        return deploy.Deployment(language, "ner-en", "unknown", "started", "http://gateway")

    running = state.GatewayState(-1, 0, "127.0.0.1", 1, "token", workspace.profile)
    elsewhere = overlay(workspace.params, {"serving": {"endpoints": {"en": {"url": "http://10.0.0.7:9001"}}}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "read_state", lambda _: running)
        patch.setattr(deploy, "_bring_live", bring_live)
        assert len(deploy.deploy(replace(workspace, params=elsewhere), announce=asked.append)) == 1
    assert asked == ["en", "en: ner-en version unknown is live at http://gateway: started"]


def test_nobody_waits_for_a_champion_where_an_endpoint_is_served(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy.client, "served_versions", lambda _: {"en": {"unknown": "live"}})
    monkeypatch.setattr(registry, "champion", lambda *_: SimpleNamespace(version="3"))
    with pytest.raises(NerError, match="en: the champion is not live"):
        deploy.await_live(workspace, "http://gateway", ["en"], patience=0)
    elsewhere = overlay(workspace.params, {"serving": {"endpoints": {"en": {"url": "http://10.0.0.7:9001"}}}})
    deploy.await_live(replace(workspace, params=elsewhere), "http://gateway", ["en"], patience=0)


@pytest.mark.parametrize("port", ["http", "0", "70000"])
def test_ports_are_checked(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("NER_GATEWAY_PORT", port)
    with pytest.raises(NerError, match="NER_GATEWAY_PORT: not a port number"):
        deploy.start_gateway(workspace)


def test_an_occupied_port_is_named(workspace: Workspace) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", workspace.params["serving"]["port"]))
        other.listen()
        with pytest.raises(NerError, match=str(workspace.params["serving"]["port"])) as raised:
            deploy.start_gateway(workspace)
    assert "NER_GATEWAY_PORT" in raised.value.remedy


def test_a_second_gateway_leaves_the_first_its_token_and_state(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NER_GATEWAY_PORT", str(free_port()))
    with state.only_gateway(workspace):
        token, first = state.new_token(workspace), state.write_state(workspace, "127.0.0.1", 1)
        try:
            with pytest.raises(NerError, match=rf"runs already \(process {os.getpid()}\)") as raised:
                asyncio.run(serve(workspace))
            assert (state.token_file(workspace).read_text(), state.read_state(workspace)) == (token, first)
        finally:
            state.clear_state(workspace)  # or this process would be ended as the workspace's gateway
    assert raised.value.where == "http://127.0.0.1:1"
    assert "ner down" in raised.value.remedy
    with state.only_gateway(workspace):
        pass


def test_replicas_share_the_token_of_a_file(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("one-for-all\n")
    monkeypatch.setenv("NER_GATEWAY_TOKEN_FILE", str(tmp_path / "token"))
    assert state.new_token(workspace) == state.token_file(workspace).read_text() == "one-for-all"
    (tmp_path / "token").write_text("\n")
    with pytest.raises(NerError, match="NER_GATEWAY_TOKEN_FILE names an empty file"):
        state.new_token(workspace)


def test_a_stale_state_file_is_not_believed(workspace: Workspace) -> None:
    state.write_state(workspace, "127.0.0.1", 1)
    assert state.read_state(workspace).pid == os.getpid()
    path = state.state_file(workspace)
    path.write_text(path.read_text().replace('"created": 1', '"created": 2'), encoding="utf-8")
    assert state.read_state(workspace) is None
    path.write_text("{}", encoding="utf-8")
    assert state.read_state(workspace) is None
    path.unlink()


def test_one_languages_fault_does_not_stop_another(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """English is refused, as with a champion whose model is gone; Russian is brought live all the same."""
    gateway = SimpleNamespace(profile="cpu", url="http://127.0.0.1:1")
    live = {"state": "live", "name": "ner", "version": "1", "action": "nothing to do"}

    def post(_: object, __: str, value: dict[str, Any]) -> dict[str, Any]:
        if value["language"] == "en":
            raise NerError("version 1 does not come up", where="ner-en")
        return live

    monkeypatch.setattr(registry, "champion", lambda *_: SimpleNamespace(version="1"))
    monkeypatch.setattr(state, "read_state", lambda _: gateway)
    monkeypatch.setattr(deploy.client, "route", lambda *_: live)
    monkeypatch.setattr(deploy.client, "post", post)
    lines: list[str] = []
    with pytest.raises(NerError, match="version 1 does not come up"):
        deploy.deploy(workspace, announce=lines.append)
    assert ["ru: ner version 1 is live" in line for line in lines] == [True]
    monkeypatch.setattr(state, "read_state", lambda _: None)  # nothing to stop


@pytest.mark.slow
def test_what_is_served_follows_the_registry(workspace: Workspace) -> None:
    def live() -> str:
        response = httpx.post(f"{gateway.url}/v1/entities", json={"text": "Anna", "language": "en"}, trust_env=False)
        (result,) = response.json()["results"]
        assert result["entities"][0]["text"] == "A"
        return result["model"]["version"]

    assert register_champion(workspace) == "1"
    (started,) = deploy.deploy(workspace)
    assert (started.action, started.version) == ("started", "1")
    gateway = state.read_state(workspace)
    assert stat.S_IMODE(state.token_file(workspace).stat().st_mode) == 0o600
    assert live() == "1"

    (again,) = deploy.deploy(workspace)
    assert again.action == "nothing to do"
    assert state.read_state(workspace) == gateway

    assert register_champion(workspace) == "2"
    (switched,) = deploy.deploy(workspace, ["en"])
    assert (switched.action, switched.version, switched.before) == ("switched", "2", "1")
    assert live() == "2"

    start = time.monotonic()
    assert "version 1 is live" in ner(workspace, "rollback", "en")
    assert time.monotonic() - start < 30, "the version before is warm: only the command itself takes time"
    assert live() == "1"
    rolled_back = open_store(workspace).get_model_version(model_name(workspace, "en"), "2").tags
    assert ROLLED_BACK in rolled_back, "the registry has it on record"

    assert deploy.client.served_versions(gateway.url) == {"en": {"1": "live"}, "ru": {}}, "Russian has no champion"

    backends = psutil.Process(gateway.pid).children(recursive=True)
    os.kill(gateway.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(backends, timeout=15)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    messages = ner(workspace, "rollback", "en", "--version", "2")
    assert "version 2 is champion again" in messages
    assert "no gateway runs" in messages
    assert state.read_state(workspace) is None, "a rollback starts none"
    assert "no gateway runs" in ner(workspace, "deploy", "--watch")
    left = set(state.work_folders(workspace).glob("ner-model-*"))
    assert len(left) == 2, "the killed gateway could not remove the folders of its backends"
    (revived,) = deploy.deploy(workspace)
    assert (revived.action, revived.version) == ("started", "2")
    now = set(state.work_folders(workspace).glob("ner-model-*"))
    assert (len(now), now & left) == (1, set()), "the next one has"

    gateway = state.read_state(workspace)
    assert "version 1 is live" in ner(workspace, "rollback", "en", "--version", "1")
    assert live() == "1", "it was not warm any more, and was started"
    family = [psutil.Process(gateway.pid), *psutil.Process(gateway.pid).children(recursive=True)]
    assert len(family) >= 3
    assert deploy.stop(workspace) is True
    assert not [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert not state.state_file(workspace).exists()


def test_an_unloaded_version_is_not_said_to_be_live() -> None:
    deployment = deploy.Deployment("ru", "ner-ru", "2", "unloaded", "http://gateway", "1")
    assert str(deployment) == "ru: memory is short; the next request loads ner-ru version 2"
