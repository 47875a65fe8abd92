"""Tasks in working copies of their own: two workers with nothing in common but an object store with DVC's remote."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.object_store import ObjectStore
from multiner.pipeline.corpora.versioning import run_dvc
from multiner.pipeline.workspaces import tasks
from multiner.pipeline.workspaces.state import Runs
from tests.pipeline.workspaces.conftest import git

pytestmark = pytest.mark.slow
RUN = "data/1"
PULL = ["sh", "-c", "mkdir -p data/raw/corpus && echo two > data/raw/corpus/text && dvc add --quiet data/raw/corpus"]


def show(store: ObjectStore, file: str) -> list[str]:
    """A command that prints a file of its working copy."""
    return [sys.executable, "-c", f"print('content:', open({file!r}).read().strip())"]


def test_a_new_version_of_the_data_reaches_every_stage(
    toy: Path, store: ObjectStore, copies: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The committed dvc.lock is of the data one; each task is a worker's with an empty cache.

    Data that the pull does not bring is no part of the run, such as the corpora in the profile of the bundled samples:
    the repository has their pointers all the same.
    """
    pointer = (toy / "data" / "raw" / "corpus.dvc").read_text()
    other = re.sub(r"md5: \w+", f"md5: {'0' * 32}", pointer).replace("corpus", "other")
    (toy / "data" / "raw" / "other.dvc").write_text(other)
    git(toy, "add", "--all")
    git(toy, "commit", "--quiet", "--message", "a corpus that no remote has")
    assert tasks.pull(toy, store, RUN, PULL) == 0
    for stage in ("prepare", "train", "evaluate"):
        capfd.readouterr()
        assert tasks.run_stage(store, RUN, stage) == 0
        ran = [line for line in capfd.readouterr().out.splitlines() if line.startswith("Running stage")]
        assert ran == [f"Running stage '{stage}':"], "its own, and no other"
    assert tasks.run_command(store, show(store, "model"), needs=["evaluate"], run=RUN, locks=toy) == 0
    assert "content: TWOX" in capfd.readouterr().out
    assert tasks.run_command(store, show(store, "metrics.json"), needs=["train"], run=RUN, locks=toy) == 0
    assert "content: 5" in capfd.readouterr().out, "what DVC does not keep goes with the run's state"
    assert list(copies.iterdir()) == [], "nothing is left"
    # a later run with the same data: nothing runs twice
    Runs(store).publish("data", RUN)
    tasks.begin(store, "retrain_en/1", "data")
    assert tasks.run_stage(store, "retrain_en/1", "train") == 0
    assert "Running stage" not in capfd.readouterr().out


def test_a_stage_of_another_task_is_not_run(
    toy: Path, store: ObjectStore, copies: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert tasks.pull(toy, store, RUN, PULL) == 0
    capfd.readouterr()
    with pytest.raises(NerError, match=r"would run prepare here.*of other inputs than the run's") as caught:
        tasks.run_stage(store, RUN, "train")
    assert caught.value.where == "train"
    assert "Running stage" not in capfd.readouterr().out
    assert list(copies.iterdir()) == []


def test_outputs_that_the_remote_lacks_are_made_anew(
    toy: Path, store: ObjectStore, copies: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """dvc.lock has them, as a person has committed it who did not push."""
    same = ["sh", "-c", PULL[2].replace("two", "one")]
    assert tasks.pull(toy, store, RUN, same) == 0
    assert tasks.run_stage(store, RUN, "prepare") == 0
    assert "Running stage 'prepare'" in capfd.readouterr().out
    assert tasks.run_stage(store, RUN, "prepare") == 0, "once more, as after a lost answer"
    assert "Running stage" not in capfd.readouterr().out


@pytest.mark.faults("a kill of a task in a working copy of its own")
def test_a_failed_or_killed_task_leaves_nothing_behind(toy: Path, store: ObjectStore, copies: Path) -> None:
    assert tasks.pull(toy, store, RUN, ["sh", "-c", "exit 3"]) == 3
    assert list(copies.iterdir()) == []
    assert store.names("runs") == []
    code = (
        "import sys; from pathlib import Path; from multiner.pipeline.core.object_store import ObjectStore; "
        "from multiner.pipeline.workspaces import tasks; "
        "tasks.pull(Path(sys.argv[1]), ObjectStore(sys.argv[2]), 'run', ['sh', '-c', 'echo $$; exec sleep 600'])"
    )
    command = [sys.executable, "-c", code, str(toy), store.url]
    for number in (signal.SIGTERM, signal.SIGKILL):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            inner = int(next(line for line in process.stdout or () if line.strip().isdecimal()))
            process.send_signal(number)
        if number == signal.SIGTERM:
            assert list(copies.iterdir()) == []
            with pytest.raises(ProcessLookupError):
                os.kill(inner, 0)
    assert len(list(copies.iterdir())) == 1, "kill -9 leaves the copy"
    assert tasks.pull(toy, store, RUN, ["false"]) == 1
    assert list(copies.iterdir()) == [], "and the next task removes it"


AWAY = (
    "ERROR: failed to transfer '1a2b' - Could not connect to the endpoint URL\n"
    "ERROR: failed to pull data from the cloud - 1 files failed to download\n"
)
LACKS = (
    "WARNING: Some of the cache files do not exist neither locally nor on remote. Missing cache files:\n1a2b\n"
    "ERROR: failed to pull data from the cloud - Checkout failed for following targets:\n"
)


@pytest.mark.parametrize(("output", "passes"), [(AWAY, True), (LACKS, False)])
def test_a_remote_that_is_away_may_answer_later_and_one_that_lacks_the_data_will_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, passes: bool
) -> None:
    ended = subprocess.CompletedProcess(["dvc"], 1, stdout="", stderr=output)
    monkeypatch.setattr("multiner.pipeline.corpora.versioning.subprocess.run", lambda *_, **__: ended)
    with pytest.raises(NerError, match="failed to pull data from the cloud") as failure:
        run_dvc(tmp_path, "pull", "data/raw/corpus.dvc")
    assert failure.value.transient == passes
