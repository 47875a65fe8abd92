"""Logs are appended to and rotated, also those that a running process has open."""

from __future__ import annotations

import asyncio
import errno
import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock

from multiner.pipeline.config.settings import Workspace, overlay
from multiner.pipeline.core.errors import NerError
from multiner.serving import logs
from multiner.serving.airflow import environment as airflow_setup
from multiner.serving.backends import local_server
from multiner.serving.backends.backend import ServedModel
from multiner.serving.backends.local_server import LocalServer, free_port, last_lines
from multiner.serving.gateway import app as gateway
from multiner.serving.system import supervisor as system

ECHO = """
import sys
for line in sys.stdin:
    print(line, end="", flush=True)
    print("written", file=sys.stderr, flush=True)
"""
MODEL = ServedModel("en", "ner-en", "3", "models:/ner-en/3")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LARGEST", 20)


@pytest.fixture
def workspace(tmp_path: Path, root: Path) -> Workspace:
    folder = tmp_path / ".run" / "logs"
    folder.mkdir(parents=True)
    (folder / "airflow-scheduler.log").write_text("a line\n" * 10)
    return Workspace(tmp_path, overlay(Workspace.load("cpu", root).params, {"serving": {"port": free_port()}}))


def content(path: Path) -> list[str]:
    return [path.with_name(f"{path.name}{copy}").read_text() for copy in ("", ".1")]


def test_a_process_goes_on_in_the_log_that_it_has_open(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "part.log"
    with logs.open_log(path) as output:
        process = subprocess.Popen(
            [sys.executable, "-c", ECHO], stdin=subprocess.PIPE, stdout=output, stderr=subprocess.PIPE, text=True
        )

    def write(line: str) -> None:
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
        assert process.stderr.readline() == "written\n"

    with process:
        write("first")
        logs.rotate(path)
        assert content(path) == ["", "first\n"]
        write("second")
        assert content(path) == ["second\n", "first\n"], "at the new end, not behind a hole"
        logs.rotate(path)
        write("third")
        process.stdin.close()
    assert content(path) == ["third\n", "second\n"]
    assert path.with_name("part.log.2").read_text() == "first\n"


def test_only_so_many_copies_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "part.log"
    for number in range(7):
        path.write_text(f"{number}")
        logs.rotate(path)
    kept = sorted(file.name for file in tmp_path.iterdir())
    assert kept == ["part.log", "part.log.1", "part.log.2", "part.log.3"]
    assert [(tmp_path / name).read_text() for name in kept] == ["", "6", "5", "4"]


def test_every_log_that_has_grown_is_rotated_and_no_other(tmp_path: Path, small: None) -> None:
    for name in ("gateway.log", "model-ner-en-3.log", "gateway.log.1", "notes.txt"):
        (tmp_path / name).write_text("x" * 21)
    (tmp_path / "mlflow.log").write_text("x" * 20)
    with FileLock(tmp_path / "rotation.lock"):
        rotating = "import sys; from pathlib import Path; from multiner.serving import logs; logs.LARGEST = 20; "
        rotating += "logs.rotate_all(Path(sys.argv[1]))"
        subprocess.run([sys.executable, "-c", rotating, str(tmp_path)], check=True)
        assert not (tmp_path / "model-ner-en-3.log.1").exists(), "another process is at it"
    logs.rotate_all(tmp_path)
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir() if path.name != "rotation.lock"}
    assert sizes == {
        **{"gateway.log": 0, "gateway.log.1": 21, "gateway.log.2": 21, "model-ner-en-3.log": 0},
        **{"model-ner-en-3.log.1": 21, "mlflow.log": 20, "notes.txt": 21},
    }
    logs.rotate_all(tmp_path / "none")


def test_on_a_full_disk_a_log_stays_whole(
    tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "part.log").write_text("a line\n" * 10)
    monkeypatch.setattr(logs.shutil, "copyfileobj", full)
    with caplog.at_level(logging.WARNING, "serving"):
        logs.rotate_all(tmp_path)
    assert (tmp_path / "part.log").read_text() == "a line\n" * 10
    assert {path.name for path in tmp_path.iterdir()} <= {"part.log", "rotation.lock"}
    assert "No space left on device" in caplog.text


def test_a_restart_leaves_what_the_crash_before_has_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "logs" / "model-ner-en-3.log"

    async def start(writes: str) -> None:
        monkeypatch.setattr(local_server, "tied", lambda _: [sys.executable, "-c", f"print({writes!r})"])
        server = LocalServer(MODEL, path, timeout=5, folders=tmp_path / "work")
        with pytest.raises(NerError, match="ended with code"):
            await server.bring_up()

    asyncio.run(start("MemoryError"))
    asyncio.run(start("loading"))
    lines = path.read_text().splitlines()
    assert [line for line in lines if not line.startswith(local_server.START)] == ["MemoryError", "loading"]
    assert [MODEL.uri in line for line in lines] == [True, False, True, False]
    assert last_lines(path.read_text()) == ["loading"], "a failure is told in the words of the last start"


def test_the_supervisor_rotates(workspace: Workspace, small: None) -> None:
    parsing = airflow_setup.home(workspace) / "logs" / "dag_processor" / "2026-01-31" / "dags-folder" / "ner.py.log"
    parsing.parent.mkdir(parents=True)
    parsing.write_text("a line\n" * 10)
    system.System(workspace, ["mlflow"]).look_after()
    for path in (workspace.paths.run / "logs" / "airflow-scheduler.log", parsing):
        assert content(path) == ["", "a line\n" * 10]


def test_the_gateway_rotates_where_no_supervisor_does(
    workspace: Workspace, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = workspace.paths.run / "logs" / "airflow-scheduler.log"

    async def serve(sockets: list[Any]) -> None:
        async with asyncio.timeout(10):
            while path.stat().st_size:
                await asyncio.sleep(0.005)

    monkeypatch.setattr(gateway, "workspace_config", lambda *_: SimpleNamespace(connections=8, proxies=(), state=None))
    monkeypatch.setattr(
        gateway,
        "create_app",
        lambda config, facts: SimpleNamespace(state=SimpleNamespace(service=SimpleNamespace(leave=None))),
    )
    monkeypatch.setattr(gateway, "make_server", lambda *_: SimpleNamespace(serve=serve))
    asyncio.run(gateway.serve(workspace))
    assert content(path) == ["", "a line\n" * 10]
