"""The project's DAGs for operators: connecting to Airflow, starting a DAG, and what became of it in a sentence."""

from __future__ import annotations

import httpx

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.serving.airflow.access import access, elsewhere, public_url
from multiner.serving.airflow.api import AirflowClient
from multiner.serving.airflow.run_tracker import DagRun, RunTracker
from multiner.serving.http.problems import Problem, headline
from multiner.serving.operator.actions import State, conflict

ANSWER_SECONDS = 15


def connect(workspace: Workspace) -> AirflowClient:
    """A client of the workspace's Airflow; NerError where there is none, or its address or password is missing."""
    airflow = access(workspace)
    return AirflowClient(
        airflow.url, airflow.user, airflow.password, timeout=ANSWER_SECONDS, public_url=public_url(workspace)
    )


def start(client: AirflowClient, dag: str, run: str, note: str) -> DagRun:
    """Start a DAG; blocking, with Airflow's own errors. Problem 409 where it runs already, is paused or unknown."""
    paused = client.is_paused(dag)
    if paused is None:
        raise Problem(409, "no-dag", "Airflow does not know the DAG", f"There is no DAG {dag}. See `ner status`.")
    if paused:
        raise Problem(
            409, "paused", "The DAG is paused", f"Unpause {dag} on Airflow's page first: {client.public_url}."
        )
    if active := client.active_runs(dag):
        raise conflict(f"{dag} runs in Airflow already (run {active[0][1]}).")
    return DagRun(dag=dag, run=client.trigger(dag, run, note), url=client.run_url(dag, run))


def verdict(tracker: RunTracker) -> tuple[State, str]:
    """The state of an action whose runs are tracked, and a sentence on it."""
    paused, missing = ", ".join(sorted(tracker.paused)), ", ".join(sorted(tracker.missing))
    if tracker.done or tracker.held_up:
        if tracker.failed:
            tasks = [f"{task.name} of {run.dag}" for run, task in tracker.tasks("failed")]
            return "failed", f"Failed: {', '.join(tasks or tracker.failed)}. The task's log on Airflow's page says why."
        if tracker.held_up:
            return "failed", f"Paused on Airflow's page: {paused}. Unpause there what is to go on, then order it again."
        return "success", f"Ended well: {', '.join(tracker.runs)}."
    if at_work := [f"{task.name} ({run.dag})" for run, task in tracker.tasks("running")]:
        return "running", f"Running: {', '.join(at_work)}."
    if paused:
        return "running", f"Paused on Airflow's page: {paused}. Unpause there what is to go on."
    return "running", f"Waiting for what is set off next: {missing}." if missing else "Waiting for Airflow to begin."


def not_set_up(workspace: Workspace) -> Problem | None:
    """Why no Airflow can be asked even if one runs, and what to set; None where one can."""
    try:
        access(workspace)
    except NerError as error:
        where = f" ({error.where})" if error.where else ""
        detail = f"{error.message[:1].upper()}{error.message[1:]}{where}. {error.remedy or ''}".strip()
        return Problem(503, "no-airflow", "No Airflow is set up for this gateway", detail)
    return None


def no_answer(error: Exception, workspace: Workspace) -> Problem:
    """Airflow cannot be asked, since ``error`` was raised; what to do."""
    if problem := not_set_up(workspace):
        return problem
    silent = (
        "Airflow does not answer"
        if isinstance(error, httpx.HTTPError)
        else "the server at Airflow's address is not Airflow"
    )
    reason = headline(error) if isinstance(error, NerError) else silent
    remedy = "See that it runs there and takes the gateway's NER_AIRFLOW_USER and NER_AIRFLOW_PASSWORD"
    remedy = remedy if elsewhere() else "Start the system with `ner up`"
    detail = f"{reason} ({access(workspace).url}). {remedy}, then try again."
    return Problem(503, "no-airflow", "Airflow does not run", detail, retry_after=30)
