"""The commands `ner run`, `ner up` and `ner down`."""

from __future__ import annotations

import contextlib
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial

import httpx
import psutil

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core import processes
from multiner.pipeline.core.environment import quiet_environment
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import write_atomically
from multiner.serving.addresses import Addresses
from multiner.serving.airflow import environment as airflow_setup
from multiner.serving.airflow.api import AirflowClient
from multiner.serving.airflow.run_tracker import DagRun, DagTask, RunTracker
from multiner.serving.logs import open_log
from multiner.serving.system import deployment
from multiner.serving.system.components import launch, tail
from multiner.serving.system.instance_lock import Stopped, only_supervisor, read_system, stop_signals
from multiner.serving.system.supervisor import System
from multiner.serving.system.terminal import ProgressView

LOG_LINES = 30
DOWN_SECONDS = 90
SILENT_SECONDS = 120  # without an answer from Airflow's API


def choose_profile(workspace: Workspace, profile: str) -> Workspace:
    """Put ``profile`` into params.yaml, where DVC reads it too, and change nothing else.

    Raises:
        NerError: there is no such profile.
    """
    switched = Workspace.load(profile, workspace.root)
    path = workspace.root / "params.yaml"
    before = path.read_text(encoding="utf-8")
    after, count = re.subn(r"(?m)^(profile:\s*)[^\s#]+", rf"\g<1>{profile}", before, count=1)
    if not count:
        raise NerError("no line `profile: …`", where=str(path))
    if after != before:
        with write_atomically(path) as file:
            file.write(after)
        print(f"params.yaml: profile is now {profile} (it was {workspace.profile})")
    return switched


def start_pipeline(system: System) -> RunTracker:
    """Start the DAG ``data``, which sets off all others, and track its run."""
    client = _airflow(system)
    for dag_id, paused in client.dags().items():
        if paused:
            client.unpause(dag_id)
            print(f"DAG {dag_id} was paused and is now unpaused")
    run_id = client.trigger("data", f"run__{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}", "started by ner run")
    return RunTracker(system.workspace.languages, [DagRun(dag="data", run=run_id)])


def follow(system: System, tracker: RunTracker) -> None:
    """Show the pipeline's progress until it has ended.

    Raises:
        NerError: a task failed (with the end of its log), or the run has come to paused DAGs.
    """
    logs, answered = airflow_setup.home(system.workspace) / "logs", time.monotonic()
    paused: set[str] = set()
    with ProgressView(tracker, logs) as view:
        while not tracker.done:
            system.look_after()
            if tracker.held_up:
                raise _failure(system, tracker) if tracker.failed else _held_up(system, tracker)
            try:
                changes = tracker.poll(_airflow(system))
                for run, task in tracker.tasks("success"):
                    if task.outcome is None:
                        task.outcome = _airflow(system).outcome(run.dag, run.run, task.name)
                view.show(changes)
                answered = time.monotonic()
                for dag in sorted(tracker.paused - paused):
                    print(f"DAG {dag} is paused; to continue, unpause it at {system.addresses.airflow}", flush=True)
                paused = tracker.paused
            except (httpx.TransportError, NerError):  # the API server restarts, or its database is locked
                if time.monotonic() - answered > SILENT_SECONDS:
                    raise
            time.sleep(2)
    if tracker.failed:
        raise _failure(system, tracker)


def _airflow(system: System) -> AirflowClient:
    assert system.airflow is not None  # the system has started, with Airflow
    return system.airflow


def _held_up(system: System, tracker: RunTracker) -> NerError:
    names = ", ".join(sorted(tracker.held_up))
    return NerError(
        f"the run has come to paused DAGs: {names}; all tasks before them are done",
        where=system.addresses.airflow,
        remedy="Unpause them there, or run the same command again: it unpauses all DAGs at its start.",
    )


def _failure(system: System, tracker: RunTracker) -> NerError:
    failures = [_log_end(system, run, task) for run, task in tracker.tasks("failed")]
    if not failures:
        message = f"the run of {', '.join(tracker.failed)} failed"
        return NerError(message, remedy=f"See {system.addresses.airflow}")
    remedy = f"Remove the cause, then run the same command again. All logs: {system.addresses.airflow}"
    return NerError("\n".join(failures), where="pipeline", remedy=remedy)


def _log_end(system: System, run: DagRun, task: DagTask) -> str:
    lines = _airflow(system).log_lines(run.dag, run.run, task.name, task.tries)[-LOG_LINES:]
    return "\n".join([f"task {task.name} of {run.dag} failed; the end of its log:", *(f"  | {line}" for line in lines)])


def summary(tracker: RunTracker) -> str:
    """A line about what the run did."""
    tasks = [(run.dag.removeprefix("retrain_"), task) for run, task in tracker.tasks("success")]
    ran = [f"{task.name} ({language})" for language, task in tasks if task.outcome == "ran"]
    restored = sum(task.outcome == "restored" for _, task in tasks)
    registered = [
        f"{language}: {task.outcome}"
        for language, task in tasks
        if task.name == "register" and (task.outcome or "").startswith("registered")
    ]
    parts = [f"{_stages(len(ran))} ran: {', '.join(ran)}"] if ran else []
    parts += [f"{_stages(restored)} came from DVC's cache"] if restored else []
    if not (parts or registered):
        return "nothing to do: data, code and parameters have not changed since the models were registered"
    return "; ".join([*(parts or ["no stage had to run"]), *registered])


def _stages(number: int) -> str:
    return "1 stage" if number == 1 else f"{number} stages"


def addresses_text(workspace: Workspace, addresses: Addresses) -> str:
    """The addresses of all parts, with Airflow's login and a curl command to try."""
    request = '{"text": "Angela Merkel visited Berlin."}'
    own = airflow_setup.password_from_environment() is None
    password = airflow_setup.password(workspace) if own else "as in NER_AIRFLOW_PASSWORD"
    return f"""\
Airflow     {addresses.airflow}   login {airflow_setup.USER}, password {password}
MLflow      {addresses.mlflow}
Page, API   {addresses.gateway}
Reports     {addresses.reports}
Try         curl -s -H 'content-type: application/json' -d '{request}' {addresses.gateway}/v1/entities"""


def check_live(system: System) -> None:
    """Send the API one text in each language.

    Raises:
        NerError: an answer is missing, or is an error.
    """
    texts = {"en": "Angela Merkel visited Berlin.", "ru": "Владимир Орлов приехал в Москву."}
    where = f"{system.addresses.gateway}/v1/entities"
    for language in system.workspace.languages:
        body = {"text": texts.get(language, texts["en"]), "language": language}
        try:
            answer = httpx.post(where, json=body, timeout=60, trust_env=False)
        except httpx.TransportError as error:
            raise NerError(f"the gateway does not answer ({error})", where=where) from None
        if answer.status_code != 200:
            raise NerError(f"the gateway answered {answer.status_code}: {answer.text[:300]}", where=where)


def run(workspace: Workspace, *, once: bool = False) -> None:
    """The whole job in the foreground: start the system, run the pipeline, show the addresses, stay till Ctrl-C.

    ``once`` ends it when the pipeline has ended and the API answers.

    Raises:
        NerError: a part could not start, or a task failed.
    """
    start, finished = time.monotonic(), False
    with _ending_on_signal(lambda: finished), only_supervisor(workspace), stop_signals():
        with System(workspace) as system:
            print(addresses_text(workspace, system.addresses), flush=True)
            tracker = start_pipeline(system)
            follow(system, tracker)
            check_live(system)
            print(f"\n{summary(tracker)}\ndone in {(time.monotonic() - start) / 60:.1f} minutes", flush=True)
            finished = True
            if not once:
                print(f"\n{addresses_text(workspace, system.addresses)}\n\nCtrl-C ends everything.", flush=True)
                system.stay()


@contextlib.contextmanager
def _ending_on_signal(regular: Callable[[], bool]) -> Iterator[None]:
    """Turn a stop signal into an exit code: 0 if that is the ``regular`` end, else 130."""
    try:
        yield
    except Stopped:
        print("\neverything has ended", flush=True)
        if not regular():
            sys.exit(130)


def up_foreground(workspace: Workspace, parts: list[str] | None = None, *, trigger: bool = True) -> None:
    """Run the system in the foreground without following the pipeline; `ner up` starts this detached.

    Raises:
        NerError: a part could not start, or keeps ending.
    """
    with _ending_on_signal(lambda: True), only_supervisor(workspace), stop_signals():
        with System(workspace, parts, say=lambda line: print(line, flush=True)) as system:
            if trigger and "airflow" in system.parts:
                start_pipeline(system)
            print("ready", flush=True)
            system.stay()


def up(workspace: Workspace) -> None:
    """Start the system in the background, and wait until it is ready.

    Raises:
        NerError: it did not become ready.
    """
    if running := read_system(workspace):
        print(f"the system is running already (process {running.get('pid')}); nothing to do")
        print(addresses_text(workspace, Addresses.of(workspace)))
        return
    log = workspace.paths.run / "logs" / "system.log"
    with open_log(log) as file:
        start = file.tell()
        environment = quiet_environment(NER_ROOT=str(workspace.root))
        process = launch([airflow_setup.script("ner"), "up", "--foreground"], workspace.root, environment, file)
    print("starting the system in the background", flush=True)
    while (read_system(workspace) or {}).get("phase") != "ready":
        if process.poll() is not None:
            output = log.read_bytes()[start:].decode("utf-8", errors="replace").strip()
            raise NerError(f"the system did not start\n{output or tail(log)}", where=str(log))
        time.sleep(0.5)
    print(addresses_text(workspace, Addresses.of(workspace)))
    schedule = workspace.params["airflow"]["schedule"]
    runs = f"now and on its schedule ({schedule})" if schedule else "now; it has no schedule"
    print(f"the pipeline runs {runs}; `ner status` shows the state, `ner down` ends the system")


def down(workspace: Workspace) -> None:
    """End the system, wherever it was started, and the processes that an earlier one left behind."""
    running = read_system(workspace)
    if running:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(running["pid"])
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(psutil.TimeoutExpired):
                process.wait(DOWN_SECONDS)
    stopped = deployment.stop(workspace)
    killed = processes.end(partial(processes.marked, workspace.root))
    if left := read_system(workspace):
        raise NerError("the supervisor does not end", where=f"process {left['pid']}", remedy="Kill it: kill -9")
    print("the system has ended" if running or stopped or killed else "nothing was running")
