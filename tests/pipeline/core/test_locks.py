"""Lock files between processes and threads: a process that waits says so, and never waits for ever."""

from __future__ import annotations

import logging
import math
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from multiner.pipeline.core import locks
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.locks import LockKind, hold, is_held

BRIEF = LockKind("the test", 0.1)


def test_a_waiting_process_names_the_holder_and_gives_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "SILENT_SECONDS", 0)
    path = tmp_path / "folder" / ".ner-en.lock"
    with hold(path, BRIEF), pytest.raises(NerError, match=f"process {os.getpid()} still holds this lock") as caught:
        with caplog.at_level(logging.WARNING), hold(path, BRIEF):
            raise AssertionError("two hold it")
    assert (caught.value.where, caught.value.transient) == (str(path), True)
    assert [f"waiting for process {os.getpid()}" in record.getMessage() for record in caplog.records] == [True]
    with hold(path, LockKind("the test", 0)):
        pass


def test_another_process_is_refused_until_the_lock_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = "import sys; from pathlib import Path; from multiner.pipeline.core.locks import is_held; "
    code += "print(is_held(Path(sys.argv[1])))"

    def seen_by_another_process() -> str:
        return subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True).stdout

    assert not is_held(path)
    with hold(path, BRIEF):
        assert is_held(path)
        assert seen_by_another_process() == "True\n"
    assert seen_by_another_process() == "False\n"
    assert path.read_text() == str(os.getpid()), "a lock file keeps its content when others ask for it"


def test_a_thread_that_waits_gets_the_lock_once_it_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "SILENT_SECONDS", 0)
    waits = threading.Event()
    monkeypatch.setattr(locks.log, "warning", lambda *_: waits.set())
    path, acquired = tmp_path / "lock", threading.Event()

    def wait() -> None:
        with hold(path, LockKind("the test", math.inf)):
            acquired.set()

    with hold(path, BRIEF):
        thread = threading.Thread(target=wait)
        thread.start()
        assert waits.wait(30)
        assert not acquired.is_set()
    assert acquired.wait(30)
    thread.join()
