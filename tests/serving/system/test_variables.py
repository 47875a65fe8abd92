"""Environment variables that are wrong: told at once, by their name, without a stack trace."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from multiner.pipeline.config.settings import Workspace, load_params
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry.store import open_store
from multiner.serving import addresses
from multiner.serving.backends.local_server import free_port
from multiner.serving.cli import commands
from multiner.serving.gateway import app as gateway
from multiner.serving.system import deployment as deploy
from multiner.serving.system import status as overview


@pytest.fixture
def workspace(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for name in ("NER_GATEWAY_PORT", "NER_BIND", "NER_GATEWAY_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NER_GATEWAY_PORT", str(free_port()))
    return Workspace(tmp_path, load_params(root, "cpu"))


@pytest.mark.parametrize("address", ["192.0.2.9", "nonsense.invalid", "::nonsense", "a..b", "x" * 80])
@pytest.mark.parametrize("how", ["deploy", "gateway"])
def test_an_address_of_no_one_here_is_no_occupied_port(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, address: str, how: str
) -> None:
    monkeypatch.setenv("NER_BIND", address)
    with pytest.raises(NerError, match="cannot listen") as raised:
        deploy.start_gateway(workspace) if how == "deploy" else gateway.listen(*addresses.gateway_address(workspace))
    assert "NER_BIND" in raised.value.remedy
    assert "in use" not in str(raised.value)


def test_a_port_that_only_root_may_take(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any) -> None:
        raise PermissionError(13, "Permission denied")  # tests may run as root

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(NerError, match="Permission denied") as raised:
        deploy.start_gateway(workspace)
    assert "1024" in raised.value.remedy


@pytest.mark.parametrize("elsewhere", [False, True])
def test_the_fault_of_one_language_stops_no_other(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, elsewhere: bool
) -> None:
    def champion(_: Workspace, language: str) -> Any:
        if language == "en":
            raise NerError("registered without an MLflow run")
        return SimpleNamespace(version="7")

    lines: list[str] = []
    gateway = SimpleNamespace(url="http://gateway", profile=workspace.profile)
    monkeypatch.setattr("multiner.pipeline.registry.champion", champion)
    monkeypatch.setattr(deploy.client, "served_versions", lambda _: {"ru": {"7": "live"}})
    monkeypatch.setattr(deploy.state, "read_state", lambda _: gateway)
    monkeypatch.setattr(deploy, "_bring_live", lambda _, language, **__: f"{language}: version 7 is live")
    arguments = [workspace, gateway.url] if elsewhere else [workspace]
    with pytest.raises(NerError, match="without an MLflow run"):
        (deploy.await_live if elsewhere else deploy.deploy)(*arguments, announce=lines.append)
    assert len(lines) == 1
    assert lines[0].startswith("ru: version 7 is live")


@pytest.mark.parametrize("command", ["deploy", "rollback en"])
@pytest.mark.parametrize("url", ["nonsense", "http://", "http://gateway:port", "ftp://gateway"])
def test_a_gateway_elsewhere_needs_an_address(
    root: Path, monkeypatch: pytest.MonkeyPatch, command: str, url: str
) -> None:
    monkeypatch.setenv("NER_GATEWAY_URL", url)
    monkeypatch.setenv("NER_ROOT", str(root))
    monkeypatch.setattr(
        "multiner.pipeline.registry.rollback", lambda *given, **more: pytest.fail("rolled back all the same")
    )
    with pytest.raises(NerError, match="NER_GATEWAY_URL"):
        CliRunner().invoke(commands, command.split(), catch_exceptions=False)


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("nonsense://x", "unsupported URI"),
        ("nonsense", "file"),
        ("http://[", "IPv6"),
        ("sqlite:///{folder}/none/mlflow.db", "no folder"),
        ("sqlite:///{folder}", "is a folder"),
    ],
)
def test_a_tracking_address_that_cannot_be_is_refused_and_nothing_made_for_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, uri: str, why: str
) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.format(folder=folder))
    with pytest.raises(NerError, match=why) as raised:
        open_store(workspace)
    assert raised.value.where == "MLFLOW_TRACKING_URI"
    assert list(folder.iterdir()) == []
    observations = overview.models(workspace)
    assert all("MLFLOW_TRACKING_URI" in model["problem"] for model in observations)
    assert overview._model_line(observations[0]).startswith("en: champion unknown; nothing live")


def test_passwords_in_a_tracking_address_are_not_repeated(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://user:secret@host/x")
    with pytest.raises(NerError) as raised:
        open_store(workspace)
    assert "secret" not in str(raised.value)


@pytest.mark.slow
def test_the_status_tells_champions_of_a_registry_elsewhere(
    stocked: Workspace, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{stocked.root}/mlruns/mlflow.db")
    assert not (workspace.paths.mlruns / "mlflow.db").exists()
    english, russian = overview.models(workspace)
    assert (english["champion"], russian["champion"]) == ("2", None)
    assert (english["verdict"]["version"], english["verdict"]["passed"]) == ("2", True)
    assert "verdict" not in russian


@pytest.mark.slow
@pytest.mark.parametrize("program", ["multiner.pipeline.cli", "multiner.serving.gateway.app"])
def test_a_number_of_threads_that_is_none_stops_commands_and_the_gateway(
    root: Path, workspace: Workspace, program: str
) -> None:
    code = f"import sys; sys.argv = ['ner']; from {program} import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"NER_THREADS": "zero", "NER_ROOT": str(root), "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "NER_THREADS: not a number of threads: 'zero'" in done.stderr
    assert "Traceback" not in done.stderr


CANARY = {"version": "7", "state": "running", "share": 0.1, "reason": "12 of at least 200 calls"}


def test_a_champion_that_is_tried_out_counts_as_deployed(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    champions = lambda _, language: SimpleNamespace(version="7") if language == "en" else None  # noqa: E731
    monkeypatch.setattr("multiner.pipeline.registry.champion", champions)
    monkeypatch.setattr(deploy.client, "routes_at", lambda _: {"en": {"version": "6", "canary": CANARY}})
    deploy.await_live(workspace, "http://gateway", announce=lines.append)
    assert lines == ["en: version 7 is a canary at http://gateway"]
    ended = CANARY | {"state": "rolled_back"}
    monkeypatch.setattr(deploy.client, "routes_at", lambda _: {"en": {"version": "6", "canary": ended}})
    with pytest.raises(NerError, match="not live after 0 s"):
        deploy.await_live(workspace, "http://gateway", patience=0)


def test_the_status_shows_the_canary(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(overview, "read_state", lambda _: SimpleNamespace(url="http://gateway"))
    monkeypatch.setattr(overview, "routes_at", lambda _: {"en": {"version": "6", "canary": CANARY}})
    overview.show(workspace)
    assert "canary: version 7: 10% of the conversations; 12 of at least 200 calls" in capsys.readouterr().out
