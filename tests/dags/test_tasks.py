"""The operator of the DAGs, and the links on its tasks."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[len(sys.path) :] = [str(ROOT / "dags"), str(ROOT / "dags" / "plugins")]

from airflow.sdk.exceptions import AirflowException, AirflowFailException  # noqa: E402
from ner_links import address, language_of  # noqa: E402
from wiring.tasks import (  # noqa: E402
    CommandOperator,
    GateReportLink,
    MlflowRunLink,
    RunReportLink,
    mlflow_run,
    outcome,
    own_workspaces,
    refused,
)

from multiner.pipeline.registry.run_report import FILE  # noqa: E402

CONTEXT = {"dag_run": SimpleNamespace(dag_id="retrain_en", run_id="run__1")}


def operator(code: str, **more: float) -> CommandOperator:
    return CommandOperator(task_id="task", command=[sys.executable, "-c", code], **more)


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NER_ROOT", str(tmp_path))
    return tmp_path


def test_runs_in_the_workspace_with_the_run_named(workspace: Path) -> None:
    code = "import os; print(os.getcwd(), os.environ['AIRFLOW_CTX_DAG_RUN_ID'])"
    assert operator(code).execute(CONTEXT) == f"{workspace} run__1"


def test_only_a_command_that_needs_it_gets_the_gateways_database(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NER_STATE_URL", "NER_STATE_URL_FILE"):
        monkeypatch.setenv(name, "secret")
    code = "import os; print(sum(name.startswith('NER_STATE_URL') for name in os.environ))"
    assert operator(code).execute(CONTEXT) == "0"
    assert operator(code, shared_state=True).execute(CONTEXT) == "2"


def test_where_tasks_work_is_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting, own in (("", False), ("shared", False), ("own", True)):
        monkeypatch.setenv("NER_WORKSPACE", setting)
        assert own_workspaces() is own
    monkeypatch.setenv("NER_WORKSPACE", "mine")
    with pytest.raises(ValueError, match="NER_WORKSPACE is 'mine'"):
        own_workspaces()
    monkeypatch.setenv("NER_WORKSPACE", "")
    monkeypatch.setenv("NER_DVC_PULL", "1")
    with pytest.raises(ValueError, match="NER_WORKSPACE=own in its place"):
        own_workspaces()


def test_an_error_that_a_person_must_mend_is_not_tried_again() -> None:
    with pytest.raises(AirflowFailException):
        operator("raise SystemExit(1)").execute(CONTEXT)


@pytest.mark.parametrize(
    "code", ["raise SystemExit(75)", "raise SystemExit(255)", "import os; os.kill(os.getpid(), 9)"]
)
def test_other_failures_are_tried_again(code: str) -> None:
    with pytest.raises(AirflowException) as caught:
        operator(code).execute(CONTEXT)
    assert not isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.kill(os.getpid(), 9)",
        "print('ERROR: failed to run: ner train transformer, exited with -9'); raise SystemExit(255)",
    ],
)
def test_a_killed_command_says_what_to_lower(code: str) -> None:
    with pytest.raises(AirflowException, match=r"lower transformer\.batch_pieces"):
        operator(code).execute(CONTEXT)
    with pytest.raises(AirflowException) as caught:
        operator("raise SystemExit(75)").execute(CONTEXT)
    assert "batch_pieces" not in str(caught.value)


def test_dvc_says_255_for_a_lock_and_for_a_refusal() -> None:
    failed = "ERROR: failed to reproduce 'validate@ru': failed to run: ner validate --language ru, exited with 1"
    assert refused(255, [failed])
    assert refused(255, ["'./dvc.lock' is invalid (possible merge conflicts).", "Mapping values are not allowed here"])
    assert not refused(255, ["ERROR: 'data/raw' is busy, it is being blocked by:"])
    assert not refused(255, ["Traceback (most recent call last):", "OperationalError: database is locked", failed])
    assert not refused(255, [failed.replace("exited with 1", "exited with 143")])
    assert not refused(255, [failed.replace("exited with 1", "exited with 75")]), "it says itself that it may pass"


def test_a_stage_whose_files_are_in_use_waits_without_spending_a_retry(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wiring.tasks.BUSY_SECONDS", 0)
    code = (
        "from pathlib import Path; file = Path('asked'); asked = len(file.read_text()) if file.exists() else 0\n"
        "file.write_text('x' * (asked + 1))\n"
        "if asked < 2: print(\"ERROR: 'documents' is busy, it is being blocked by:\"); raise SystemExit(255)\n"
        "print(\"Stage 'prepare@en' didn't change, skipping\")"
    )
    assert operator(code).execute(CONTEXT) == "unchanged"
    assert (workspace / "asked").read_text() == "xxx"


BUSY = "print(\"ERROR: 'documents' is busy, it is being blocked by:\\n  (PID 7): dvc\"); raise SystemExit(255)"


def test_the_wait_for_files_in_use_ends_with_who_has_them() -> None:
    with pytest.raises(AirflowFailException, match=r"(?s)in use for 0 minutes.*PID 7"):
        operator(BUSY, busy_minutes=0).execute(CONTEXT)


def test_a_lock_whose_holder_is_gone_is_dropped_in_place_of_waiting(workspace: Path) -> None:
    """The id that DVC noted is a stranger's, this test's, so DVC itself would refuse for ever."""
    (workspace / ".dvc" / "tmp").mkdir(parents=True)
    (workspace / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    (workspace / "dvc.yaml").write_text("stages: {copy: {cmd: echo done > out, outs: [out]}}\n")
    noted = {"write": {str(workspace / "out"): {"pid": os.getpid(), "cmd": "/venv/bin/dvc repro copy"}}}
    (workspace / ".dvc" / "tmp" / "rwlock").write_text(json.dumps(noted))
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", "copy"]
    assert CommandOperator(task_id="task", command=command, busy_minutes=0).execute(CONTEXT) == "ran"


@pytest.mark.faults("a cached object cut off, in a task")
def test_what_dvc_restores_from_a_cut_object_is_made_anew(workspace: Path) -> None:
    (workspace / ".dvc" / "tmp").mkdir(parents=True)
    (workspace / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    (workspace / "dvc.yaml").write_text("stages: {count: {cmd: seq 40 > out, deps: [in], outs: [out]}}\n")
    (workspace / "in").write_text("in")
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", "count"]
    task = CommandOperator(task_id="task", command=command)
    assert task.execute(CONTEXT) == "ran"
    (object,) = (file for file in (workspace / ".dvc/cache/files").rglob("*") if file.is_file())
    object.chmod(0o644)
    object.write_text("1\n2\n")
    object.chmod(0o444)
    (workspace / "out").unlink()
    assert task.execute(CONTEXT) == "ran", "restored first, then made anew"
    assert (workspace / "out").read_text().endswith("40\n")
    (workspace / "out").unlink()
    assert task.execute(CONTEXT) == "restored"


def test_outcomes() -> None:
    assert outcome(["Running stage 'train@en':", "> ner train"]) == "ran"
    assert outcome(["Stage 'train@en' is cached - skipping run, checking out outputs"]) == "restored"
    assert outcome(["Stage 'train@en' didn't change, skipping", "Data and pipelines are up to date."]) == "unchanged"
    assert outcome(["first", "registered version 3", ""]) == "registered version 3"
    assert outcome([]) == ""


def test_the_outcome_of_a_talkative_stage() -> None:
    talk = "print(\"Running stage 'train@en':\"); [print('batch', n) for n in range(5000)]; print('the end')"
    assert operator(talk).execute(CONTEXT) == "ran"


def test_the_gates_report_is_a_button_and_an_xcom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NER_MLFLOW_URL", "http://127.0.0.1:5001")
    path = f"experiments/7/runs/{'0123456789abcdef' * 2}/artifacts/gate/version-3-against-none.html"
    pushed: dict[str, str] = {}
    task = operator(f"print('report: {path}')")
    task.execute(CONTEXT | {"ti": SimpleNamespace(xcom_push=pushed.__setitem__)})
    assert pushed == {"gate_report": f"http://127.0.0.1:5001/#/{path}"}
    assert GateReportLink().get_link(task, ti_key=None) == pushed["gate_report"]
    silent = operator("pass")
    silent.execute(CONTEXT)
    assert GateReportLink().get_link(silent, ti_key=None) == ""


def test_the_mlflow_run_is_found_in_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    run = "0123456789abcdef" * 2
    assert mlflow_run(["no run here"]) is None
    assert mlflow_run([f"registered version 1 (experiments/7/runs/{run})"]) == ("7", run)
    monkeypatch.setenv("NER_MLFLOW_URL", "http://127.0.0.1:5001")
    task = operator(f"print('experiments/7/runs/{run}')")
    task.execute(CONTEXT)
    assert MlflowRunLink().get_link(task, ti_key=None) == f"http://127.0.0.1:5001/#/experiments/7/runs/{run}"
    assert MlflowRunLink().get_link(operator("pass"), ti_key=None) == ""


def test_killing_the_task_ends_all_that_it_started(workspace: Path) -> None:
    inner = "import time, os; open('pid', 'w').write(str(os.getpid())); time.sleep(60)"
    task = operator(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])")

    def execute() -> None:
        with pytest.raises(AirflowException):
            task.execute(CONTEXT)

    thread = threading.Thread(target=execute)
    thread.start()
    deadline = time.monotonic() + 20
    while not (workspace / "pid").is_file() or not (workspace / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    inner_process = psutil.Process(int((workspace / "pid").read_text()))
    task.on_kill()
    thread.join(20)
    assert not thread.is_alive()
    deadline = time.monotonic() + 20
    with contextlib.suppress(psutil.NoSuchProcess):
        while inner_process.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.faults("kill -9 of an Airflow task")
def test_the_command_ends_with_a_task_that_is_killed_at_once(workspace: Path) -> None:
    task = (
        "import sys; from types import SimpleNamespace; sys.path.append('dags'); "
        "from wiring.tasks import CommandOperator; "
        "code = 'import os, time; print(os.getpid(), flush=True); time.sleep(60)'; "
        "task = CommandOperator(task_id='task', command=[sys.executable, '-c', code]); "
        "task.log.info = lambda *line: print('LINE', *line, flush=True); "
        "task.execute({'dag_run': SimpleNamespace(dag_id='data', run_id='run__1')})"
    )
    runner = subprocess.Popen([sys.executable, "-c", task], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    started = next(line for line in runner.stdout if line.startswith("LINE %s "))
    command = psutil.Process(int(started.split()[-1]))
    runner.kill()
    runner.wait()
    command.wait(10)


def test_links_lead_where_the_task_has_something_to_show(workspace: Path) -> None:
    (workspace / "params.yaml").write_text("profile: smoke\n")
    os.environ.pop("NER_DOCS_URL", None)
    assert language_of("data", "validate_ru") == "ru"
    assert language_of("retrain_en", "train_spacy") == "en"
    assert address("validation", "data", "validate_ru").endswith("/ru/validation/")
    assert address("validation", "retrain_en", "validate").endswith("/en/validation/")
    assert address("validation", "retrain_en", "prepare") == ""
    assert address("report", "retrain_en", "evaluate").endswith("/en/report/")
    assert address("model", "promote_en", "deploy").endswith("#/models/ner-en-smoke")
    (workspace / "params.yaml").write_text("profile: cpu\n")
    assert address("model", "promote_en", "deploy").endswith("#/models/ner-en")
    assert address("model", "somebody_elses", "deploy") == ""


def test_a_parse_reads_the_parameters_once_and_a_change_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wiring import tasks

    file, reads = tmp_path / "params.yaml", []
    file.write_text("languages: {en: {}}\n")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.setenv("NER_ROOT", str(tmp_path))
    read = tasks.read_mapping
    monkeypatch.setattr(tasks, "read_mapping", lambda path: reads.append(path) or read(path))
    assert [tasks.settings()["languages"] for _ in range(20)] == [["en"]] * 20
    assert reads == [file]
    file.write_text("languages: {en: {}, ru: {}}\n")
    os.utime(file, ns=(1, 1))
    assert tasks.settings()["languages"] == ["en", "ru"]


def test_the_run_report_is_found_where_the_command_logged_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    run = "0123456789abcdef" * 2
    monkeypatch.setenv("NER_MLFLOW_URL", "http://127.0.0.1:5001")
    task = operator(f"print('run report: experiments/7/runs/{run}/artifacts/{FILE}')")
    task.execute(CONTEXT)
    page = RunReportLink().get_link(task, ti_key=None)
    assert page == f"http://127.0.0.1:5001/#/experiments/7/runs/{run}/artifacts/{FILE}"
    assert RunReportLink().get_link(operator("pass"), ti_key=None) == ""
