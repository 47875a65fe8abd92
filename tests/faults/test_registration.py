"""Registration and rollback while processes are killed, the disk is full, or the database cannot be had."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core import locks
from multiner.pipeline.core.environment import quiet_environment
from multiner.pipeline.registry import challenger, champion, journal
from multiner.pipeline.registry.journal.former_switches import SINCE
from multiner.pipeline.registry.store import database, model_name, open_store
from multiner.serving.backends.local_server import free_port
from tests.faults.conftest import Fault
from tests.faults.injection import NER, PYTHON, UNPRIVILEGED, locked, ner_with, run, server, small_disk, start, until
from tests.pipeline.registry.conftest import Fill
from tests.serving import registry as two_versions

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("store")]
REGISTER = [NER, "register", "-l", "en"]
REGISTRATION = "multiner.pipeline.registry.registration"


def assert_one_version(workspace: Workspace) -> None:
    """One run, one model and one version, which is the challenger; nothing else in the folder of artifacts."""
    client, name = open_store(workspace), model_name(workspace, "en")
    (version,) = client.search_model_versions(f"name = '{name}'")
    (run,) = client.search_runs([client.get_experiment_by_name(name).experiment_id])
    assert (version.run_id, run.info.status) == (run.info.run_id, "FINISHED")
    assert challenger(workspace, "en").version == str(version.version)
    assert {path.name for path in (workspace.paths.mlruns / "artifacts" / name).iterdir()} == {version.run_id, "models"}
    assert len(list((workspace.paths.mlruns / "artifacts" / name / "models").iterdir())) == 1
    assert not list(workspace.paths.mlruns.glob(".*.tmp"))


@pytest.mark.faults("kill -9 of a registration")
@pytest.mark.parametrize(
    ("action", "function"),
    [
        pytest.param("kill", "multiner.pipeline.registry.replay.log_run", marks=pytest.mark.exhaustive),
        ("kill-after", f"{REGISTRATION}.log_model"),
        pytest.param("kill", "mlflow.MlflowClient.set_registered_model_alias", marks=pytest.mark.exhaustive),
    ],
    ids=["before it logs", "after the model", "before the alias"],
)
def test_a_killed_registration_is_completed_or_removed_by_the_next(
    fault: Fault, workspace: Workspace, fill: Fill, empty_leg: Path, tmp_path: Path, action: str, function: str
) -> None:
    fill(empty_leg)
    killed = run([*ner_with(action, function, tmp_path / "mark"), *REGISTER[1:]], workspace.root)
    fault.happened(killed.returncode == -signal.SIGKILL and (tmp_path / "mark").exists())
    assert challenger(workspace, "en") is None
    with fault.control():
        done = run(REGISTER, workspace.root)
        assert done.returncode == 0, done.stdout
    assert_one_version(workspace)


@contextmanager
def mlflow_server(folder: Path, port: int) -> Iterator[int]:
    """MLflow's server with the database and the artifacts in a folder; gives its process group."""
    address = f"http://127.0.0.1:{port}"
    command = ["mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/server.db",
        "--artifacts-destination",
        str(folder / "files"),
    ]
    settings = quiet_environment(MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
    with (folder / "server.log").open("a") as log:
        process = subprocess.Popen(
            [PYTHON, "-m", *command],
            env=settings,
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
            text=True,
        )
    try:
        until(lambda: answers(f"{address}/health"), process)
        yield process.pid
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(address: str) -> bool:
    """Whether a server answers."""
    with suppress(httpx.TransportError):
        return httpx.get(address, timeout=10, trust_env=False).status_code == 200
    return False


@pytest.mark.exhaustive
@pytest.mark.faults("kill -9 of MLflow's server in mid-logging")
def test_a_registration_whose_server_was_killed_is_done_by_the_next(
    fault: Fault, workspace: Workspace, fill: Fill, empty_leg: Path, migrated: Path, tmp_path: Path
) -> None:
    fill(empty_leg)
    (tmp_path / "server.db").write_bytes(migrated.read_bytes())
    port = free_port()
    variables = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}
    command = [*ner_with("kill-other", f"{REGISTRATION}.log_model", tmp_path / "mark"), *REGISTER[1:]]
    with mlflow_server(tmp_path, port) as group:
        refused = run(command, workspace.root, **variables, NER_FAULT_GROUP=str(group))
        fault.happened((tmp_path / "mark").exists() and not answers(f"http://127.0.0.1:{port}/health"))
    assert refused.returncode == 75, refused.stdout
    assert "MLflow's registry failed" in refused.stdout
    assert "Traceback" not in refused.stdout
    with mlflow_server(tmp_path, port), fault.control():
        done = run(REGISTER, workspace.root, **variables)
        assert done.returncode == 0, done.stdout
        assert "registered version 1" in done.stdout
        again = run(REGISTER, workspace.root, **variables)
        assert "already registered as version 1" in again.stdout
    with closing(sqlite3.connect(tmp_path / "server.db")) as connection:
        states = connection.execute("SELECT lifecycle_stage, count(*) FROM runs GROUP BY 1 ORDER BY 1").fetchall()
        versions = connection.execute("SELECT version, current_stage FROM model_versions").fetchall()
    assert dict(states) == {"active": 1, "deleted": 1}, "the half run is removed"
    assert [version for version, stage in versions if stage != "Deleted_Internal"] == [1]


@pytest.mark.exhaustive
@pytest.mark.faults("kill -9 of a rollback before the alias moves")
def test_a_killed_rollback_moves_nothing_and_can_be_repeated(
    fault: Fault, workspace: Workspace, tmp_path: Path
) -> None:
    two_versions.fill(workspace)
    alias = "mlflow.MlflowClient.set_registered_model_alias"
    killed = run([*ner_with("kill", alias, tmp_path / "mark"), "rollback", "en"], workspace.root)
    fault.happened(killed.returncode == -signal.SIGKILL and (tmp_path / "mark").exists())
    assert champion(workspace, "en").version == "2"
    with fault.control():
        done = run([NER, "rollback", "en"], workspace.root)
        assert done.returncode == 0, done.stdout
    assert champion(workspace, "en").version == "1"


@pytest.mark.exhaustive
@pytest.mark.faults("a clock moved back")
def test_a_clock_that_was_moved_back_changes_no_order(fault: Fault, workspace: Workspace, tmp_path: Path) -> None:
    two_versions.fill(workspace)
    client, library, days = open_store(workspace), tmp_path / "clock.so", 2
    source = Path(__file__).with_name("clock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    shift = {"LD_PRELOAD": str(library), "NER_CLOCK_SHIFT": str(-days * 86400)}
    done = run([NER, "rollback", "en"], workspace.root, **shift)
    assert done.returncode == 0, done.stdout
    since = [client.get_model_version("ner-en", version).tags[SINCE] for version in ("1", "2")]
    fault.happened(datetime.fromisoformat(since[1]) - datetime.fromisoformat(since[0]) > timedelta(days=days, hours=-1))
    assert champion(workspace, "en").version == "1"
    with fault.control():
        done = run([NER, "rollback", "en", "--version", "2"], workspace.root)
        assert done.returncode == 0, done.stdout
    assert champion(workspace, "en").version == "2"
    assert [each.version for each in journal.switches(client, "ner-en")] == ["2", "1", "2", "1"], "the newest first"


@pytest.mark.faults("SQLite locked: MLflow's database")
def test_a_locked_registry_is_tried_again_later_and_loses_nothing(
    fault: Fault, workspace: Workspace, tmp_path: Path
) -> None:
    two_versions.fill(workspace)
    with locked(database(workspace)):
        hastened = ner_with("hasten", "sqlalchemy.sql.text", tmp_path / "mark")
        refused = run([*hastened, "rollback", "en"], workspace.root)
        assert (tmp_path / "mark").exists(), "MLflow waits otherwise than the test knows"
        fault.happened("database is locked" in refused.stdout)
        assert refused.returncode == 75, refused.stdout
        assert "run the same command again" in refused.stdout
        assert "Traceback" not in refused.stdout
        assert champion(workspace, "en").version == "2", "readers read on"
    with fault.control():
        done = run([NER, "rollback", "en"], workspace.root)
        assert done.returncode == 0, done.stdout
    assert champion(workspace, "en").version == "1"


@pytest.mark.exhaustive
@pytest.mark.faults("disk full in a registration")
@pytest.mark.parametrize("leave", [64_000, 600_000], ids=["as it logs", "as it copies the model"])
def test_a_registration_on_a_full_disk_leaves_nothing_half_done(
    fault: Fault, workspace: Workspace, fill: Fill, empty_leg: Path, leave: int
) -> None:
    fill(empty_leg)
    content = database(workspace).read_bytes()
    with small_disk(workspace.paths.mlruns, 24) as disk:
        (disk.content / "mlflow.db").write_bytes(content)
        disk.fill(leave)
        refused = run(REGISTER, workspace.root, prefix=disk.command)
        fault.happened("no space is left" in refused.stdout)
        assert refused.returncode == 1, refused.stdout
        assert "Traceback" not in refused.stdout
        disk.free()
        with fault.control():
            done = run(REGISTER, workspace.root, prefix=disk.command)
            assert done.returncode == 0, done.stdout
        shutil.copytree(disk.content, workspace.paths.mlruns, dirs_exist_ok=True)  # this process does not see the disk
    assert_one_version(workspace)


@pytest.mark.exhaustive
@pytest.mark.faults("read-only mlruns as another user")
def test_a_read_only_registry_is_named(fault: Fault, workspace: Workspace, fill: Fill, empty_leg: Path) -> None:
    fill(empty_leg)
    places = [workspace.paths.mlruns, *workspace.paths.mlruns.rglob("*")]
    modes = {place: place.stat().st_mode for place in places}
    for place in places:
        place.chmod(0o555 if place.is_dir() else 0o444)
    content = database(workspace).read_bytes()
    refused = run(REGISTER, workspace.root, prefix=UNPRIVILEGED)
    fault.happened(refused.returncode == 75 and ("Permission denied" in refused.stdout or "readonly" in refused.stdout))
    assert "mlruns" in refused.stdout
    assert "Traceback" not in refused.stdout
    assert database(workspace).read_bytes() == content
    for place, mode in modes.items():
        place.chmod(mode)
    with fault.control():
        done = run(REGISTER, workspace.root, prefix=UNPRIVILEGED)
        assert done.returncode == 0, done.stdout
    assert_one_version(workspace)


@pytest.mark.faults("a registry that accepts and never answers")
def test_a_registry_that_hangs_ends_a_command_with_a_message(
    fault: Fault, workspace: Workspace, fill: Fill, empty_leg: Path
) -> None:
    fill(empty_leg)
    with server() as hanging:
        variables = {"MLFLOW_TRACKING_URI": hanging.address, "MLFLOW_HTTP_REQUEST_TIMEOUT": "1"}
        refused = run(REGISTER, workspace.root, **variables, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
        fault.happened(hanging.requests)
    assert refused.returncode == 75, refused.stdout
    assert "MLflow's registry cannot be read" in refused.stdout
    assert "Traceback" not in refused.stdout
    with fault.control():
        done = run(REGISTER, workspace.root)
        assert done.returncode == 0, done.stdout


@pytest.mark.exhaustive
@pytest.mark.faults("two registrations at once")
def test_two_registrations_at_once_make_one_version(
    fault: Fault, workspace: Workspace, fill: Fill, empty_leg: Path
) -> None:
    fill(empty_leg)
    lock = workspace.paths.mlruns / ".ner-en.lock"
    logs = [workspace.root / f"{number}.log" for number in (1, 2)]
    with locks.hold(lock, locks.REGISTRY):  # until both wait
        both = [start(REGISTER, workspace.root, log) for log in logs]
        for log, process in zip(logs, both, strict=True):
            until(lambda log=log: "waiting for process" in log.read_text(), process)
        fault.happened(True)
    with fault.control():
        assert [process.wait() for process in both] == [0, 0], [log.read_text() for log in logs]
    outcomes = sorted(log.read_text().splitlines()[-1].partition(" version 1 ")[0] for log in logs)
    assert outcomes == ["nothing to do: already registered as", "registered"]
    assert_one_version(workspace)


@pytest.mark.faults("an alias on a deleted version")
@pytest.mark.parametrize("how", ["on MLflow's page", "in the database"])
def test_a_champion_that_was_deleted_is_no_champion(fault: Fault, workspace: Workspace, how: str) -> None:
    two_versions.fill(workspace)
    with fault.control():
        assert champion(workspace, "en").version == "2"
    if how == "in the database":  # MLflow's page removes the alias, too
        with closing(sqlite3.connect(database(workspace))) as connection, connection:
            connection.execute("UPDATE model_versions SET current_stage = 'Deleted_Internal' WHERE version = 2")
    else:
        open_store(workspace).delete_model_version("ner-en", "2")
    assert champion(workspace, "en") is None
    status = run([NER, "status"], workspace.root)
    fault.happened("en: no champion" in status.stdout)
    assert status.returncode == 0, status.stdout
