"""The operator of all tasks: it runs a command of the project in the workspace. And the DAGs' common settings."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator, BaseOperatorLink, CronTriggerTimetable
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from multiner.pipeline.core import processes
from multiner.pipeline.core.dvc_command import dvc
from wiring.graph import read_mapping, workspace_root
from wiring.notices import FailureNotice
from wiring.requests import FORCED, PLAN

TRAINING_POOL = "training"  # one slot: two trainings at once would only slow each other down
SHARED_STATE = ("NER_STATE_URL", "NER_STATE_URL_FILE")  # the gateways' database, which may have a password
KEPT_LINES = 200
RUN_REPORT = "run-report.html"  # as multiner.pipeline.registry.run_report has it, which would import MLflow
BUSY_SECONDS = 10
BUSY_MINUTES = 180  # at most, without airflow.busy_minutes
STAGE = dvc("repro", "--single-item")  # how a stage's command begins, in the common working copy
REFUSED = 1  # the exit code of an error that a person has to mend; 75 and all others are tried again
KILLED = (
    "; a process was killed (SIGKILL), as the system does for want of memory: if it is so again, lower "
    "transformer.batch_pieces or spacy.batch_words in params.yaml, or end other programs"
)


def command_line(*arguments: str) -> list[str]:
    """``ner`` with these arguments, from Airflow's own Python environment."""
    return [str(Path(sys.executable).parent / "ner"), *arguments]


def own_workspaces() -> bool:
    """Whether each task makes a working copy of its own (``NER_WORKSPACE=own``), in place of the common one.

    Raises:
        ValueError: ``NER_WORKSPACE`` is something else than own, shared or empty; or the setting before it is there.
    """
    value = os.environ.get("NER_WORKSPACE", "")
    if value not in ("", "shared", "own"):
        raise ValueError(f"NER_WORKSPACE is {value!r}; give own for a working copy a task, or shared")
    if os.environ.get("NER_DVC_PULL") == "1":
        raise ValueError("NER_DVC_PULL delivered outputs of older data; set NER_WORKSPACE=own in its place")
    return value == "own"


def refused(exit_code: int, lines: Sequence[str]) -> bool:
    """Whether no retry can help: bad data, bad parameters, a file of DVC's with marks of a conflict.

    DVC exits with 255 both when a stage fails and when its files are locked; only its output tells them apart.
    """
    if any(line.startswith("Traceback (most recent call last)") for line in lines):
        return False  # the command broke, over a locked database for example
    final = re.compile(rf"'.+' is invalid|.* exited with {REFUSED}\s*$")
    return exit_code == REFUSED or any(final.match(line) for line in lines)


def killed(exit_code: int, lines: Sequence[str]) -> bool:
    """Whether SIGKILL ended the command, or the stage that DVC ran for it."""
    return exit_code in (-9, 137) or any(re.search(r" exited with (-9|137)\s*$", line) for line in lines)


def blocked(lines: Sequence[str]) -> bool:
    """Whether DVC gave up because another stage reads or writes the same files.

    ``--wait-for-lock`` waits for DVC's main lock only, not for those of outputs and dependencies.
    """
    return any("is busy, it is being blocked by" in line for line in lines)


def outcome(lines: Sequence[str]) -> str:
    """The outcome of a successful command: of a stage ``ran``, ``restored`` or ``unchanged``, else its last line."""
    text = "\n".join(lines)
    if "Running stage" in text:
        return "ran"
    if "is cached - skipping run" in text:
        return "restored"
    if "didn't change, skipping" in text or "are up to date" in text:
        return "unchanged"
    return next((line for line in reversed(lines) if line.strip()), "")


def mlflow_run(lines: Sequence[str]) -> tuple[str, str] | None:
    """The experiment and run of MLflow in a command's output; of several the last."""
    matches = re.findall(r"experiments/(\d+)/runs/([0-9a-f]{32})\b", "\n".join(lines))
    return matches[-1] if matches else None


def gate_report(lines: Sequence[str]) -> str | None:
    """The page of the gate's report in a command's output, at MLflow; of several the last."""
    matches = re.findall(r"experiments/\d+/runs/[0-9a-f]{32}/artifacts/gate/\S+\.html", "\n".join(lines))
    return f"{mlflow_address()}/#/{matches[-1]}" if matches else None


def mlflow_address() -> str:
    """The address of MLflow's pages."""
    return os.environ.get("NER_MLFLOW_URL", "http://127.0.0.1:5000")


class GateReportLink(BaseOperatorLink):
    """From a promotion to the report of the gate's verdict."""

    name = "Gate report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The page's address; empty where the gate was not asked. Called in the worker, when the task has ended."""
        return getattr(operator, "gate_report", None) or ""


class MlflowRunLink(BaseOperatorLink):
    """From a task to the MLflow run that it logged; the other links are in the plugin ``ner_links``."""

    name = "MLflow run"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The run's address; empty where the task logged none. Called in the worker, when the task has ended."""
        run = getattr(operator, "mlflow_run", None)
        return f"{mlflow_address()}/#/experiments/{run[0]}/runs/{run[1]}" if run else ""


class RunReportLink(BaseOperatorLink):
    """From registration and promotion to the run report of the version, in MLflow."""

    name = "Run report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The page's address; empty where the task logged no run."""
        run = MlflowRunLink().get_link(operator, ti_key=ti_key)
        return f"{run}/artifacts/{RUN_REPORT}" if run else ""


class CommandOperator(BaseOperator):
    """Run a command in the workspace, its output as the task's log.

    The outcome (see :func:`outcome`) is the task's XCom, the address of the gate's report another, ``gate_report``. An
    error that a person has to mend is not tried again. The command and all that it started end with the task, however
    the task ends.

    Args:
        command: program and arguments; no shell reads them.
        busy_minutes: how long to wait for DVC's files at most, while another stage has them.
        shared_state: whether the command gets the address of the gateways' database.
    """

    template_fields = ("command",)
    operator_extra_links = (MlflowRunLink(), GateReportLink(), RunReportLink())
    ui_color = "#eef4fb"

    def __init__(
        self, *, command: list[str], busy_minutes: float = BUSY_MINUTES, shared_state: bool = False, **more: Any
    ) -> None:
        super().__init__(**more)
        self.command = command
        self.busy_minutes = busy_minutes
        self.shared_state = shared_state
        self.mlflow_run: tuple[str, str] | None = None
        self.gate_report: str | None = None
        self._process: subprocess.Popen[str] | None = None

    def execute(self, context: Any) -> str:
        """Run the command to its end and return its outcome.

        Raises:
            AirflowFailException: no retry can help (see :func:`refused`), DVC's files did not become free in time, or
                the files in DVC's remote are damaged.
            AirflowException: it failed otherwise; the task is tried again.
        """
        if self.command[:-1] == STAGE and "ti" in context and context["ti"].xcom_pull(task_ids=PLAN) == FORCED:
            self.command = [*STAGE, "--force", self.command[-1]]
        self.log.info("$ %s", shlex.join(self.command))
        exit_code, lines = self._run_once_free(context)
        if self._damaged(exit_code, lines):
            exit_code, lines = self._run_once_free(context)
            if again := self._damaged(exit_code, lines):
                raise AirflowFailException(f"damaged in DVC's remote, too; delete it there: {', '.join(again)}")
        self.mlflow_run, self.gate_report = mlflow_run(lines), gate_report(lines)
        if self.gate_report:
            context["ti"].xcom_push("gate_report", self.gate_report)
        if exit_code:
            kind = AirflowFailException if refused(exit_code, lines) else AirflowException
            advice = KILLED if killed(exit_code, lines) else ""
            raise kind(f"{shlex.join(self.command)} ended with exit code {exit_code}{advice}")
        return outcome(lines)

    def _damaged(self, exit_code: int, lines: Sequence[str]) -> list[str]:
        """The stage's outputs that DVC restored from a damaged cache; they are removed, to be made again."""
        if exit_code or outcome(lines) != "restored" or own_workspaces():  # there the command checks it itself
            return []
        from multiner.pipeline.core.dvc_cache import discard_damaged, outputs_of

        damaged = discard_damaged(workspace_root(), outputs_of(workspace_root(), self.command[-1]))
        if damaged:
            self.log.warning("DVC restored these from its cache, cut off or altered; removed:\n%s", "\n".join(damaged))
        return damaged

    def _run_once_free(self, context: Any) -> tuple[int, list[str]]:
        """As :meth:`_run`, once DVC's files are free."""
        exit_code, lines = self._run(context)
        deadline = time.monotonic() + 60 * self.busy_minutes
        while exit_code and blocked(lines):
            self._wait_for_files(lines, deadline)
            exit_code, lines = self._run(context)
        return exit_code, lines

    def _wait_for_files(self, lines: Sequence[str], deadline: float) -> None:
        """Return when DVC may be asked again: at once where those who block it are gone.

        Raises:
            AirflowFailException: the deadline has passed.
        """
        from multiner.pipeline.core.dvc_locks import release

        if stale := release(workspace_root()):
            self.log.info("Dropped locks of DVC whose holders are gone:\n%s", "\n".join(stale))
            return
        if time.monotonic() >= deadline:
            output = "\n".join(lines[-KEPT_LINES:])
            raise AirflowFailException(
                f"DVC's files were in use for {self.busy_minutes:g} minutes (airflow.busy_minutes); end the process "
                f"that is named here if it hangs, then run the task again:\n{output}"
            )
        self.log.info("DVC's files are in use by another stage; asked again in %d seconds", BUSY_SECONDS)
        time.sleep(BUSY_SECONDS)

    def _run(self, context: Any) -> tuple[int, list[str]]:
        """Run the command once: its exit code, and the first and last lines of its output."""
        first: list[str] = []  # DVC says first what it does; a training fills the rest
        last: deque[str] = deque(maxlen=KEPT_LINES)
        secret = () if self.shared_state else SHARED_STATE
        environment = {name: value for name, value in os.environ.items() if name not in secret}
        self._process = subprocess.Popen(
            processes.tied(self.command),
            cwd=workspace_root(),
            env=environment | {"PYTHONUNBUFFERED": "1", **lineage(context)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        for line in self._process.stdout or ():
            (first if len(first) < KEPT_LINES else last).append(line.rstrip())
            self.log.info("%s", line.rstrip())
        return self._process.wait(), [*first, *last]

    def on_kill(self) -> None:
        """End the command with everything that it started."""
        if self._process and self._process.poll() is None:
            command = processes.tree(self._process.pid)
            processes.end(lambda: processes.running(command))


def lineage(context: Any) -> dict[str, str]:
    """The DAG run that a command belongs to, as environment variables."""
    run = context["dag_run"]
    return {"AIRFLOW_CTX_DAG_ID": run.dag_id, "AIRFLOW_CTX_DAG_RUN_ID": run.run_id}


def schedule(section: str = "airflow") -> CronTriggerTimetable | None:
    """The schedule in a section of params.yaml (UTC), that of the pipeline by default; None: no schedule."""
    cron = settings()[section].get("schedule")
    return CronTriggerTimetable(cron, timezone="UTC") if cron else None


def first_day() -> datetime:
    """The beginning of all schedules: the system's first start, so that no run of the past is made up for."""
    return datetime.fromisoformat(os.environ.get("NER_SINCE") or "2025-01-01T00:00:00+00:00").astimezone(UTC)


def settings() -> dict[str, Any]:
    """The groups of params.yaml that DAGs read; what they read of them no profile overlays."""
    file = workspace_root() / "params.yaml"
    params = _params(file, file.stat().st_mtime_ns)
    groups = {name: params.get(name, {}) for name in ("airflow", "drift", "keep", "promotion")}
    return {"languages": list(params["languages"]), **groups}


@lru_cache(maxsize=1)
def _params(file: Path, changed: int) -> dict[str, Any]:
    """The file as it was ``changed`` (nanoseconds): each task of a DAG asks for it when the DAG is parsed."""
    return read_mapping(file)


def default_args() -> dict[str, Any]:
    """The retries and time limits of every task, from params.yaml, and its notice when it has failed for good."""
    options = settings()["airflow"]
    return {
        "retries": options.get("retries", 2),
        "retry_delay": timedelta(seconds=options.get("retry_delay_seconds", 20)),
        "retry_exponential_backoff": 2,  # each wait twice the one before, and up to as much again, by chance
        "execution_timeout": timedelta(minutes=options.get("task_timeout_minutes", 360)),
        "busy_minutes": options.get("busy_minutes", BUSY_MINUTES),
        "on_failure_callback": FailureNotice(),
        "owner": "ner",
    }


def run_timeout() -> timedelta:
    """The time limit of a DAG run; waiting for a free slot counts."""
    return timedelta(minutes=settings()["airflow"].get("run_timeout_minutes", 1440))


def approval_time() -> timedelta | None:
    """The time that a person has to approve a challenger (``promotion.approval_hours``); None: nobody is asked."""
    options = settings()["promotion"]
    return timedelta(hours=options.get("approval_hours", 20)) if options.get("approval") else None
