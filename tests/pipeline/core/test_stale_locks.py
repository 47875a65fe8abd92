"""DVC's notes of readers and writers, against real processes and DVC itself."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from multiner.pipeline.core import dvc_command
from multiner.pipeline.core.dvc_locks import holds, release
from multiner.pipeline.core.environment import quiet_environment
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora import versioning

Notes = dict[str, dict]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    (tmp_path / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    return tmp_path


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen]]:
    """Starts commands that are there until the test ends."""
    started: list[subprocess.Popen] = []

    def start(*command: str | Path) -> subprocess.Popen:
        started.append(subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def notes_of(workspace: Path) -> Notes:
    return json.loads((workspace / ".dvc" / "tmp" / "rwlock").read_text())


def note(workspace: Path, notes: Notes) -> None:
    (workspace / ".dvc" / "tmp" / "rwlock").write_text(json.dumps(notes))


def dvc(workspace: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=workspace, env=quiet_environment(), capture_output=True, text=True, check=False)


@pytest.mark.parametrize("program", [[sys.executable, "-m", "dvc"], [Path(sys.executable).with_name("dvc")]])
def test_a_holder_is_known_by_what_dvc_notes_of_it(workspace: Path, start, program: list) -> None:  # noqa: ANN001
    (workspace / "dvc.yaml").write_text("stages: {wait: {cmd: echo begun > begun; exec sleep 600, outs: [out]}}\n")
    process = start("env", "-C", workspace, *program, "repro", "--single-item", "wait")
    deadline = time.monotonic() + 60
    while not (workspace / "begun").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    (record,) = notes_of(workspace)["write"].values()
    assert record["pid"] == process.pid
    assert holds(process.pid, record["cmd"])
    assert release(workspace) == []
    assert not holds(process.pid, record["cmd"].replace("wait", "other")), "the id was given to another stage's process"
    kill(process)
    assert release(workspace), "what is gone holds nothing"


def kill(process: subprocess.Popen) -> None:
    """Ends DVC before its command: otherwise DVC learns that the command failed, and may be cut off as it writes."""
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    for child in children:
        child.kill()


def other_machine(code: str) -> str:
    """Output of Python code in a process namespace of its own, as in another container: other ids, or none."""
    command = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_holder_on_another_machine_is_left_alone_while_it_lives(workspace: Path, start) -> None:  # noqa: ANN001
    (workspace / "dvc.yaml").write_text("stages: {wait: {cmd: echo begun > begun; exec sleep 600, outs: [out]}}\n")
    process = start("env", "-C", workspace, *dvc_command.dvc("repro", "--single-item", "wait"))
    deadline = time.monotonic() + 60
    while not (workspace / "begun").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    (record,) = notes_of(workspace)["write"].values()
    assert record["cmd"].startswith(f"dvc@{platform.node()}:holder-")
    code = "from pathlib import Path; from multiner.pipeline.core.dvc_locks import release; "
    code += f"print(release(Path({str(workspace)!r})))"
    assert other_machine(code) == "[]"
    assert release(workspace) == []
    kill(process)
    assert record["cmd"] in other_machine(code)
    assert notes_of(workspace) == {"read": {}, "write": {}}
    assert not list((workspace / ".dvc" / "tmp").glob("holder-*"))


@pytest.mark.faults("a lock of DVC's whose holder was killed")
def test_a_stranger_with_the_id_of_a_dead_writer_blocks_no_stage(workspace: Path, start) -> None:  # noqa: ANN001
    (workspace / "dvc.yaml").write_text("stages: {copy: {cmd: echo done > out, outs: [out]}}\n")
    stranger = start("sleep", "600")
    dead = {"pid": stranger.pid, "cmd": "/venv/bin/dvc repro --single-item copy"}
    note(workspace, {"write": {str(workspace / "out"): dead}})
    refused = dvc(workspace, "repro", "--single-item", "copy")
    assert "is busy, it is being blocked by" in refused.stderr, "else DVC has learnt it, and all this may go"
    (line,) = release(workspace)
    assert str(stranger.pid) in line
    assert dvc(workspace, "repro", "--single-item", "copy").returncode == 0


@pytest.mark.slow
def test_pulled_data_is_versioned_in_spite_of_a_stranger(workspace: Path, start, monkeypatch) -> None:  # noqa: ANN001
    (workspace / "raw").mkdir()
    (workspace / "raw" / "train.txt").write_text("invented\n")
    holder = start("sleep", "600")
    live = {"pid": holder.pid, "cmd": "sleep 600"}
    note(workspace, {"write": {str(workspace / "raw"): live}})
    monkeypatch.setattr(versioning, "LOCK_ATTEMPTS", 1)
    with pytest.raises(NerError, match="raw' is busy") as caught:
        versioning.track(workspace, [workspace / "raw"])
    assert caught.value.transient, "the holder will be done some time"
    monkeypatch.setattr(versioning, "LOCK_ATTEMPTS", 2)
    note(workspace, {"write": {str(workspace / "raw"): live | {"cmd": "/venv/bin/dvc add raw"}}})
    assert versioning.track(workspace, [workspace / "raw"]) == [workspace / "raw.dvc"]


@pytest.mark.parametrize("file", ["dvc.lock", "raw.dvc"])
def test_marks_of_a_conflict_are_no_lock(workspace: Path, monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    (workspace / "raw").mkdir()
    (workspace / "raw" / "a").write_text("a")
    (workspace / "dvc.yaml").write_text("stages: {copy: {cmd: echo done > out, outs: [out]}}\n")
    for name in ("raw.dvc", "dvc.lock"):
        (workspace / name).write_text("schema: '2.0'\n" if name == "dvc.lock" else "outs:\n- path: raw\n")
    whole = (workspace / file).read_text()
    (workspace / file).write_text(f"<<<<<<< HEAD\n{whole}=======\n>>>>>>> theirs\n")
    monkeypatch.setattr(versioning, "sleep", lambda _: pytest.fail("waited for a lock that nobody holds"))
    with pytest.raises(NerError, match="marks of a conflict") as caught:
        versioning.run_dvc(workspace, "add", "raw")
    assert caught.value.where.startswith(f"{file}:")
    assert caught.value.exit_code == 1


def test_live_holders_stay(workspace: Path, start) -> None:  # noqa: ANN001
    holder = start("sleep", "600")
    live = {"pid": holder.pid, "cmd": "sleep 600"}
    stale = {"pid": os.getpid(), "cmd": "/venv/bin/dvc repro --single-item copy"}
    note(workspace, {"read": {"a": [stale, live], "b": [stale]}, "write": {"c": live, "d": stale}})
    assert len(release(workspace)) == 1
    assert notes_of(workspace) == {"read": {"a": [live]}, "write": {"c": live}}
    assert release(workspace) == []


@pytest.mark.faults("DVC's file of locks cut off")
def test_a_file_that_was_cut_off_is_removed(workspace: Path) -> None:
    (workspace / "dvc.yaml").write_text("stages: {copy: {cmd: echo done > out, outs: [out]}}\n")
    (workspace / ".dvc" / "tmp" / "rwlock").write_text('{"read": {"a": [{"pid": 1')
    assert "Unable to read RWLock-file" in dvc(workspace, "repro", "copy").stderr
    assert release(workspace)
    assert dvc(workspace, "repro", "copy").returncode == 0


def test_while_dvc_writes_the_file_nothing_is_done(workspace: Path) -> None:
    from dvc.lock import make_lock

    stale = {"write": {"a": {"pid": os.getpid(), "cmd": "/venv/bin/dvc repro copy"}}}
    note(workspace, stale)
    code = "from pathlib import Path; from multiner.pipeline.core.dvc_locks import release; "
    code += f"print(release(Path({str(workspace)!r})))"
    with make_lock(str(workspace / ".dvc" / "tmp" / "rwlock.lock")):
        outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert outcome.stdout.strip() == "[]", outcome.stderr
    assert notes_of(workspace) == stale


def test_without_notes_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert release(tmp_path) == []
