"""The supervisor's parts: configuration, processes and their end, ports, following a run; without Airflow."""

import json
import os
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import psutil
import pytest

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core import processes
from multiner.pipeline.core.errors import NerError
from multiner.serving.addresses import Addresses, require_free
from multiner.serving.airflow import api as airflow_api
from multiner.serving.airflow import environment as airflow_setup
from multiner.serving.airflow import run_tracker
from multiner.serving.airflow.run_tracker import DagRun, RunTracker
from multiner.serving.backends.local_server import free_port
from multiner.serving.system import instance_lock as supervising
from multiner.serving.system import running, terminal
from multiner.serving.system import status as overview
from multiner.serving.system import supervisor as system
from multiner.serving.system.components import Component
from tests.serving.airflow.fake_airflow import reserved

PARAMS = "# kept\n" + (Path(__file__).parents[3] / "params.yaml").read_text(encoding="utf-8")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "params").mkdir()
    for profile in ("cpu", "smoke"):
        (tmp_path / "params" / f"{profile}.yaml").write_text("{}\n")
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    return Workspace.load(root=tmp_path)


def test_the_profile_is_switched_in_place(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert running.choose_profile(workspace, "smoke").profile == "smoke"
    assert (workspace.root / "params.yaml").read_text() == PARAMS.replace("profile: cpu", "profile: smoke")
    assert "profile is now smoke (it was cpu)" in capsys.readouterr().out
    with pytest.raises(NerError, match="unknown profile"):
        running.choose_profile(workspace, "huge")


def test_airflow_is_configured_for_loopback_without_secrets_in_the_environment(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NER_STATE_URL", "sqlite:///elsewhere")
    environment = airflow_setup.environment(
        workspace, host="127.0.0.1", airflow_port=8081, mlflow_url="http://m", docs_url="http://d"
    )
    assert environment["NER_STATE_URL"] == "sqlite:///elsewhere", "the DAG drift reads what gateways have counted"
    assert environment["AIRFLOW__CORE__DAGS_FOLDER"] == str(workspace.root / "dags")
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert environment["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:8081"
    assert environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:8081/execution/"
    assert environment["AIRFLOW__CORE__LOAD_EXAMPLES"] == "False"
    assert environment["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] == "False"
    home = airflow_setup.home(workspace)
    secrets = [(home / name).read_text() for name in ("jwt_secret", "secret_key")]
    assert len(secrets[0]) >= 64
    for secret in [*secrets, airflow_setup.password(workspace)]:
        assert secret not in environment.values()
    for name in ("jwt_secret", "secret_key", "passwords.json"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600


def test_a_tasks_token_outlives_the_longest_task(workspace: Workspace) -> None:
    workspace.params["airflow"]["task_timeout_minutes"] = 600.5
    environment = airflow_setup.environment(workspace, host="h", airflow_port=1, mlflow_url="m", docs_url="d")
    assert int(environment["AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME"]) > 60 * 600.5
    visibility = int(environment["AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"])
    assert visibility > 2 * 60 * 600.5, "a task may wait in a worker behind another one"


def test_airflow_calls_itself_without_a_proxy(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "intranet")
    environment = airflow_setup.environment(workspace, host="10.0.0.7", airflow_port=1, mlflow_url="m", docs_url="d")
    for name in ("NO_PROXY", "no_proxy"):
        assert {"intranet", "127.0.0.1", "localhost", "10.0.0.7"} <= set(environment[name].split(","))


def test_secrets_and_first_start_stay_the_same(workspace: Workspace) -> None:
    once = (airflow_setup.password(workspace), airflow_setup.first_start(workspace))
    assert once == (airflow_setup.password(workspace), airflow_setup.first_start(workspace))


def test_an_occupied_port_is_named_with_its_parameter(workspace: Workspace) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    workspace.params["serving"]["mlflow_port"] = server.server_port
    with pytest.raises(NerError, match=rf"port {server.server_port}, meant for mlflow") as caught:
        require_free(Addresses.of(workspace), ["mlflow"])
    assert "serving.mlflow_port" in caught.value.remedy
    server.server_close()
    require_free(Addresses.of(workspace), ["mlflow"])


def test_one_supervisor_a_workspace(workspace: Workspace) -> None:
    assert supervising.read_system(workspace) is None
    with supervising.only_supervisor(workspace):
        supervising.write_system(workspace, phase="ready")
        assert supervising.read_system(workspace)["phase"] == "ready"
        refusal = rf"running already \(process {os.getpid()}\)"
        with pytest.raises(NerError, match=refusal), supervising.only_supervisor(workspace):
            pass
    assert supervising.read_system(workspace) is None


def test_who_looks_for_a_supervisor_keeps_none_from_starting(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(supervising, "FileLock", lambda *_, **__: pytest.fail("a look takes the lock"))
        assert supervising.read_system(workspace) is None
    assert not workspace.paths.run.exists(), "a look leaves nothing"


@pytest.mark.parametrize(
    "left", ["", "[]", "{}", '{"pid": 1, "created": 5, "phase": "ready"}', '{"pid": "x", "created": 1}']
)
def test_what_a_killed_supervisor_left_is_not_believed(workspace: Workspace, left: str) -> None:
    supervising.state_path(workspace).parent.mkdir()
    supervising.state_path(workspace).write_text(left)
    assert supervising.read_system(workspace) is None


def sleeper(root: Path, *, forks: bool = False) -> subprocess.Popen[bytes]:
    """A marked process that takes no notice of SIGTERM; with ``forks`` it leaves an orphan behind instead."""
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    if forks:
        code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {code!r}], start_new_session=True)"
    environment = os.environ | processes.mark(root)
    return subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)


def test_every_marked_process_ends_orphans_and_stubborn_ones_too(tmp_path: Path) -> None:
    other = sleeper(tmp_path / "other")
    one, parent = sleeper(tmp_path), sleeper(tmp_path, forks=True)
    assert [process.stdout.readline() for process in (other, one, parent)] == [b"up\n"] * 3
    parent.wait(10)
    assert len(processes.marked(tmp_path)) == 2
    assert processes.end(lambda: processes.marked(tmp_path), patience=0.5) == 2
    assert processes.marked(tmp_path) == []
    one.wait(10)
    assert other.poll() is None
    other.kill()
    other.wait()


def test_a_process_that_sets_its_title_keeps_its_mark(tmp_path: Path) -> None:
    """As Airflow's workers do; a title is written over the arguments, and else over the environment, too."""
    code = "import setproctitle, time; setproctitle.setproctitle('x' * 400); print('up', flush=True); time.sleep(60)"
    environment = os.environ | processes.mark(tmp_path)
    titled = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)
    assert titled.stdout.readline() == b"up\n"
    assert [process.pid for process in processes.marked(tmp_path)] == [titled.pid]
    processes.end(lambda: processes.marked(tmp_path))
    titled.wait(10)


def test_a_part_ends_with_a_killed_supervisor(tmp_path: Path) -> None:
    inner = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    code = (
        "import subprocess, sys, time; from multiner.pipeline.core.processes import tied; "
        f"subprocess.Popen(tied([sys.executable, '-c', {inner!r}])); time.sleep(60)"
    )
    supervisor = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    part = psutil.Process(int(supervisor.stdout.readline()))
    supervisor.kill()
    supervisor.wait()
    part.wait(10)


def test_a_part_is_started_again_but_not_for_ever(tmp_path: Path) -> None:
    code = "print('no luck'); raise SystemExit(3)"
    part = Component("part", [sys.executable, "-c", code], dict(os.environ), tmp_path, tmp_path / "part.log")
    part.start()
    revived = 0

    def look_after() -> None:
        nonlocal revived
        for _ in range(500):
            revived += part.revive()
            time.sleep(0.02)

    with pytest.raises(NerError, match=r"(?s)part keeps ending \(last with exit code 3\).*no luck"):
        look_after()
    assert revived == 5


class FakeAirflow:
    """Answers the tracker as Airflow does, out of a script."""

    def __init__(self) -> None:
        self.states: dict[tuple[str, str], str] = {}
        self.instances: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.events: dict[tuple[str, str], list[tuple[str, str]]] = {}
        self.outcomes: dict[str, str] = {}
        self.triggered: list[str] = []
        self.paused: set[str] = set()

    def dags(self) -> dict[str, bool]:
        return {dag: dag in self.paused for dag in ("data", "retrain_en", "promote_en")}

    def dag_run(self, dag: str, run: str) -> dict[str, Any]:
        state = self.states.get((dag, run), "queued")
        return {"state": state, "end_date": None if state == "queued" else datetime.now(UTC).isoformat()}

    def run_url(self, dag: str, run: str) -> str:
        return f"http://airflow/{dag}/{run}"

    def tasks(self, dag: str, run: str) -> list[dict[str, Any]]:
        return self.instances.get((dag, run), [])

    def set_off(self, dag: str, run: str) -> list[tuple[str, str]]:
        return self.events.get((dag, run), [])

    def outcome(self, dag: str, run: str, task: str) -> str:
        return self.outcomes.get(task, "")

    def active_runs(self) -> list[tuple[str, str]]:
        return []

    def trigger(self, dag: str, run: str, note: str) -> str:
        assert not reserved(run), "Airflow answers 400"
        self.triggered.append(dag)
        return run

    def finish(self, dag: str, run: str, state: str = "success", **tasks: str) -> None:
        """Let a run end, its tasks with these states."""
        self.states[dag, run] = state
        self.instances[dag, run] = [
            {"task_id": task, "state": of, "try_number": 1, "duration": 2.0} for task, of in tasks.items()
        ]


def tracker_of(run: str, *languages: str) -> RunTracker:
    return RunTracker(languages or ["en"], [DagRun(dag="data", run=run)])


def test_a_run_is_followed_along_the_assets(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    airflow, tracker = FakeAirflow(), tracker_of("r1")
    assert tracker.poll(airflow) == []
    assert not tracker.done
    airflow.finish("data", "r1", validate_en="success")
    assert [(run.dag, task.name) for run, task in tracker.poll(airflow)] == [("data", "validate_en")]
    assert tracker.poll(airflow) == [], "nothing has changed"
    assert tracker.missing == {"retrain_en"}
    assert not tracker.done, "the retraining has not been set off yet"
    airflow.outcomes = {"validate_en": "unchanged", "train": "ran", "register": "registered version 2"}
    airflow.finish("retrain_en", "a1", train="success", register="success")
    airflow.finish("promote_en", "p1", deploy="success")
    airflow.events = {
        ("data", "r1"): [("retrain_en", "a1"), ("somebody_elses", "x")],
        ("retrain_en", "a1"): [("promote_en", "p1")],
    }
    monkeypatch.setattr(running.time, "sleep", lambda _: None)
    running.follow(system_of(workspace, airflow), tracker)
    assert tracker.done
    assert not tracker.failed
    assert [line.split()[1:3] for line in capsys.readouterr().out.splitlines()] == [
        ["retrain_en", "train"],
        ["retrain_en", "register"],
        ["promote_en", "deploy"],
    ]
    assert running.summary(tracker) == "1 stage ran: train (en); en: registered version 2"
    train, register = tracker.runs["retrain_en"].tasks
    train.outcome = "unchanged"
    assert running.summary(tracker) == "no stage had to run; en: registered version 2"
    register.outcome = "nothing to do: already registered as version 2"
    assert running.summary(tracker).startswith("nothing to do")


def test_a_failure_ends_its_branch_and_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    airflow, tracker = FakeAirflow(), tracker_of("r1", "en", "ru")
    airflow.finish("data", "r1", "failed", validate_en="failed", publish="upstream_failed")
    with terminal.ProgressView(tracker, tmp_path) as view:
        view.show(tracker.poll(airflow))
    words = " ".join(capsys.readouterr().out.split())
    assert "validate_en failed" in words
    assert "publish not run" in words
    assert tracker.done
    assert tracker.failed == ["data"]
    assert [task.name for _, task in tracker.tasks("failed")] == ["validate_en"]


def test_a_stranded_event_is_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    airflow, tracker = FakeAirflow(), tracker_of("r1")
    airflow.finish("data", "r1")
    tracker.poll(airflow)
    assert airflow.triggered == []
    monkeypatch.setattr(run_tracker, "STRANDED_SECONDS", -1)
    tracker.poll(airflow)
    assert airflow.triggered == ["retrain_en"]


def test_one_that_a_run_of_airflows_own_stranded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_tracker, "STRANDED_SECONDS", -1)
    airflow, tracker = FakeAirflow(), tracker_of("run__1")
    airflow.events["data", "run__1"] = [("retrain_en", "asset_triggered__1")]
    airflow.finish("data", "run__1")
    airflow.finish("retrain_en", "asset_triggered__1")
    tracker.poll(airflow)
    assert airflow.triggered == ["promote_en"]


def system_of(workspace: Workspace, airflow: FakeAirflow) -> SimpleNamespace:
    addresses = Addresses.of(workspace)
    return SimpleNamespace(workspace=workspace, airflow=airflow, look_after=lambda: None, addresses=addresses)


@pytest.mark.parametrize("begun", [False, True], ids=["not set off", "queued"])
def test_a_paused_dag_is_told_and_ends_the_wait(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], begun: bool
) -> None:
    monkeypatch.setattr(running.time, "sleep", lambda _: None)
    monkeypatch.setattr(run_tracker, "STRANDED_SECONDS", -1)
    airflow, tracker = FakeAirflow(), tracker_of("r1")
    airflow.paused = {"promote_en"}
    airflow.finish("data", "r1")
    airflow.events["data", "r1"] = [("retrain_en", "a1")]
    airflow.finish("retrain_en", "a1")
    if begun:
        airflow.events["retrain_en", "a1"] = [("promote_en", "p1")]
    with pytest.raises(NerError, match="has come to paused DAGs: promote_en") as caught:
        running.follow(system_of(workspace, airflow), tracker)
    assert caught.value.exit_code == 1
    assert "unpauses all" in caught.value.remedy
    assert capsys.readouterr().out.count("DAG promote_en is paused") == 1
    assert airflow.triggered == [], "its run would wait, and be a second one later"


@pytest.mark.parametrize(
    ("runs", "paused", "held"),
    [
        ({"promote_en": "running"}, {"promote_en"}, set()),  # what has begun is ended
        ({"promote_en": "waiting", "retrain_ru": "running"}, {"promote_en"}, set()),
        ({"promote_en": "waiting", "retrain_ru": None}, {"promote_en"}, set()),
        ({"promote_en": "waiting", "retrain_ru": None}, {"promote_en", "promote_ru"}, {"promote_en", "promote_ru"}),
    ],
)
def test_a_paused_dag_is_waited_for_while_others_are_at_work(
    monkeypatch: pytest.MonkeyPatch, runs: dict[str, str | None], paused: set[str], held: set[str]
) -> None:
    """``runs`` have one task of this state; None: the run has ended well."""
    monkeypatch.setattr(run_tracker, "STRANDED_SECONDS", -1)
    airflow = FakeAirflow()
    airflow.dags = lambda: {dag: dag in paused for dag in ("promote_en", "promote_ru", "retrain_ru")}
    airflow.active_runs = lambda: [("promote_ru", "somebody_elses")]
    for dag, state in runs.items():
        if state:
            airflow.instances[dag, "1"] = [{"task_id": "task", "state": state}]
        else:
            airflow.finish(dag, "1")
    tracker = RunTracker(["en", "ru"], [DagRun(dag=dag, run="1") for dag in runs])
    tracker.poll(airflow)
    assert tracker.held_up == held


def test_progress_of_a_running_task(tmp_path: Path) -> None:
    log = tmp_path / "attempt=1.log"
    log.write_text(json.dumps({"event": "start"}) + "\n" + json.dumps({"event": "epoch 1:  10%\repoch 1:  40%"}) + "\n")
    assert terminal.progress_line(log) == "epoch 1:  40%"
    assert terminal.progress_line(tmp_path / "none") == ""
    assert [terminal.duration(seconds) for seconds in (None, 3.2, 725)] == ["", "3 s", "12:05 min"]


def test_the_addresses_hold_a_curl_line_and_the_login(workspace: Workspace) -> None:
    observations = running.addresses_text(workspace, Addresses.of(workspace))
    assert "http://127.0.0.1:8000/v1/entities" in observations
    assert f"login admin, password {airflow_setup.password(workspace)}" in observations


def test_stopping_is_turned_into_an_exit_code() -> None:
    with running._ending_on_signal(lambda: True):
        raise supervising.Stopped
    with pytest.raises(SystemExit) as caught, running._ending_on_signal(lambda: False):
        raise supervising.Stopped
    assert caught.value.code == 130


def test_status_of_an_empty_workspace(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("port", "mlflow_port", "airflow_port"):
        workspace.params["serving"][name] = free_port()
    overview.show(workspace, as_json=True)
    observations = json.loads(capsys.readouterr().out)
    assert observations["system"] is None
    assert [part["answers"] for part in observations["parts"]] == [False] * 3
    assert [(model["language"], model["champion"], model["live"]) for model in observations["models"]] == [
        ("en", None, None),
        ("ru", None, None),
    ]
    overview.show(workspace)
    assert "no champion; nothing live" in capsys.readouterr().out


def test_the_fault_of_one_language_is_shown_at_it_alone(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def champion(_: Workspace, language: str) -> None:
        if language == "en":
            raise NerError("registered without an MLflow run")

    monkeypatch.setattr("multiner.pipeline.registry.champion", champion)
    monkeypatch.setattr("multiner.pipeline.registry.facts.last_judged", lambda *_: None)
    monkeypatch.setattr(overview, "registry_exists", lambda _: True)
    english, russian = overview.models(workspace)
    assert english["problem"] == "registered without an MLflow run"
    assert "problem" not in russian


def test_a_models_line() -> None:
    line = overview._model_line(
        {
            **{"language": "en", "live": "3", "champion": "3", "model": "ner-en", "trained": "2025-01-01T00:00:00"},
            **{"data": "abc.dir", "profile": "cpu", "test_f1": {"conll2003": 90.123}},
        }
    )
    assert "version 3; live: version 3" in line
    assert "data abc.dir, profile cpu; test F1 conll2003 90.12" in line


@pytest.mark.parametrize(("part", "left"), [("airflow", {}), ("mlflow", {"out": {"pid": os.getpid(), "cmd": "dvc x"}})])
def test_stale_locks_of_dvc_end_with_the_start_of_airflow_and_of_no_other_part(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, part: str, left: dict
) -> None:
    """In a container of another part the ids of Airflow's tasks mean nothing."""
    path = workspace.root / ".dvc" / "tmp" / "rwlock"
    path.parent.mkdir(parents=True)
    (workspace.root / ".dvc" / "config").write_text("[core]\n    no_scm = true\n")
    path.write_text(json.dumps({"read": {}, "write": {"out": {"pid": os.getpid(), "cmd": "dvc x"}}}))

    def further(_: system.System) -> bool:
        raise supervising.Stopped

    monkeypatch.setattr(system.System, "_prepare", lambda _: None)
    monkeypatch.setattr(system.System, "_interrupted", further)
    for name in ("airflow_port", "mlflow_port"):
        workspace.params["serving"][name] = free_port()
    output: list[str] = []
    with pytest.raises(supervising.Stopped), system.System(workspace, [part], output.append):
        pass
    assert json.loads(path.read_text())["write"] == left
    assert ("Removed locks of DVC whose holders have ended: 1" in output) == (not left)


def test_the_gateway_that_the_tasks_ask_is_started_here(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """``NER_GATEWAY_URL`` is for Airflow's tasks; with it ``ner deploy`` waits for a gateway that others start.

    So no task starts it after the first promotion: it starts at once, and follows the registry.
    """
    monkeypatch.setenv("NER_GATEWAY_URL", "http://127.0.0.1:8000")
    calls: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(
        system, "launch", lambda command, folder, environment, log: calls.append((command, environment))
    )
    system.System(workspace, ["airflow", "serving"]).reconcile()
    ((command, environment),) = calls
    assert command[-3:] == ["deploy", "--if-any", "--start"]
    assert "NER_GATEWAY_URL" not in environment
    assert environment["NER_ROOT"] == str(workspace.root)


def test_the_registry_is_watched_only_where_no_dag_deploys(workspace: Workspace) -> None:
    quiet = SimpleNamespace(parts=["serving"], workspace=workspace, _registry_times=[])
    moved = system.System._registry_changed
    assert moved(quiet)
    assert not moved(quiet)
    workspace.paths.mlruns.mkdir()
    (workspace.paths.mlruns / "mlflow.db").write_text("x")
    assert moved(quiet)
    quiet.parts = ["airflow", "serving"]
    (workspace.paths.mlruns / "mlflow.db").write_text("y")
    assert not moved(quiet)


def test_a_locked_database_of_airflows_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"/auth/token": [201], "/api/v2/dags/data/dagRuns": [500, 500, 409]}  # it had been started all the same

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(answers[request.url.path].pop(0), json={"access_token": "t"})

    monkeypatch.setattr(airflow_api, "BUSY_PAUSES", (0, 0))
    client = airflow_api.AirflowClient("http://airflow", "user", "password")
    client._http = httpx.Client(base_url=client.url, transport=httpx.MockTransport(answer))
    assert client.trigger("data", "run-1", "note") == "run-1"
    answers["/api/v2/dags/data/dagRuns"] = [500, 500, 500]
    with pytest.raises(NerError, match="Airflow answered 500"):
        client.trigger("data", "run-2", "note")
