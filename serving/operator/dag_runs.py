"""Starting the project's DAGs and looking how they go, for those who do not sit at Airflow's page; blocking."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta

import httpx

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.serving.airflow import run_tracker as following
from multiner.serving.airflow.access import access, elsewhere, public_url
from multiner.serving.airflow.api import AirflowClient
from multiner.serving.airflow.run_tracker import STRANDED_SECONDS, consumers
from multiner.serving.http.problems import Problem, headline
from multiner.serving.operator.actions import DagRun, DagTask, conflict

ANSWER_SECONDS = 15


def connect(workspace: Workspace) -> AirflowClient:
    """A client of the Airflow that the workspace orders at.

    Raises:
        NerError: there is none, or its address or password is missing.
    """
    to = access(workspace)
    return AirflowClient(to.url, to.user, to.password, timeout=ANSWER_SECONDS, public_url=public_url(workspace))


def start(client: AirflowClient, dag: str, run: str, note: str) -> DagRun:
    """Start a DAG that does not run yet.

    Raises:
        Problem: 409, it runs already, is paused or unknown.
        NerError, httpx.HTTPError: Airflow refuses, or does not answer.
    """
    paused = client.is_paused(dag)
    if paused is None:
        raise Problem(409, "no-dag", "Airflow does not know the DAG", f"There is no DAG {dag}. See `ner status`.")
    if paused:
        raise Problem(
            409, "paused", "The DAG is paused", f"Unpause {dag} on Airflow's page first: {client.public_url}."
        )
    if active := client.active_runs(dag):
        raise conflict(f"{dag} runs in Airflow already (run {active[0][1]}).")
    return DagRun(dag=dag, run=client.trigger(dag, run, note), url=address_of(client, dag, run))


def address_of(client: AirflowClient, dag: str, run: str) -> str:
    """A run's page in Airflow."""
    return f"{client.public_url}/dags/{dag}/runs/{run}"


def look(client: AirflowClient, languages: Iterable[str], runs: list[DagRun]) -> list[DagRun]:
    """``runs`` as they stand now, with those that they have set off in the meantime.

    Raises:
        NerError, httpx.HTTPError: Airflow refuses, or does not answer.
    """
    seen = [run if run.finished else look_at(client, run) for run in runs]
    after = consumers(languages)
    for run in seen:  # grows as it goes
        missing = after.get(run.dag, set()) - {each.dag for each in seen}
        if run.state == "success" and missing:
            for dag, id in client.set_off(run.dag, run.run):
                if dag in missing:
                    seen.append(look_at(client, DagRun(dag=dag, run=id, url=address_of(client, dag, id))))
    return seen


def look_at(client: AirflowClient, run: DagRun) -> DagRun:
    """A run as it stands now; one that Airflow no longer knows has failed."""
    found = client.dag_run(run.dag, run.run)
    if found is None:
        return run.model_copy(update={"state": "failed", "tasks": []})
    tasks = [
        DagTask(
            name=task["task_id"],
            state=task["state"] or "waiting",
            tries=task.get("try_number") or 0,
            seconds=task.get("duration"),
        )
        for task in client.tasks(run.dag, run.run)
    ]
    return run.model_copy(update={"state": found["state"], "ended": found.get("end_date"), "tasks": tasks})


def outstanding(runs: Iterable[DagRun], languages: Iterable[str]) -> set[str]:
    """The DAGs that ended runs should have set off but have not."""
    known, after = {run.dag for run in runs}, consumers(languages)
    return {dag for run in runs if run.state == "success" for dag in after.get(run.dag, set()) - known}


def lately(run: DagRun) -> bool:
    """Whether a run ended so recently that what it sets off may still be coming."""
    if run.ended is None:
        return False
    return datetime.now(UTC) - datetime.fromisoformat(run.ended) < timedelta(seconds=STRANDED_SECONDS)


def held_up(client: AirflowClient, languages: Iterable[str], runs: list[DagRun]) -> set[str]:
    """As :func:`multiner.serving.airflow.run_tracker.held_up`.

    Raises:
        NerError, httpx.HTTPError: Airflow refuses, or does not answer.
    """
    states = {run.dag: {task.state for task in run.tasks} for run in runs if not run.finished}
    missing = outstanding(runs, languages)
    if not (states or missing):
        return set()
    return following.held_up(states, missing, {dag for dag, paused in client.dags().items() if paused})


def verdict(runs: list[DagRun], languages: list[str], held: Collection[str] = ()) -> tuple[str, str]:
    """State (``running``, ``success``, ``failed``) and a sentence on runs and all that they set off.

    ``held`` are the paused DAGs that alone are waited for (:func:`held_up`).
    """
    if failed := [run for run in runs if run.state == "failed"]:
        if all(run.finished or run.dag in held for run in runs):
            tasks = [f"{task.name} of {run.dag}" for run in failed for task in run.tasks if task.state == "failed"]
            what = ", ".join(tasks) or ", ".join(run.dag for run in failed)
            return "failed", f"Failed: {what}. The task's log on Airflow's page says why."
    elif held:
        names = ", ".join(sorted(held))
        return "failed", f"Paused on Airflow's page: {names}. Unpause there what is to go on, then order it again."
    elif all(run.finished for run in runs):
        missing = outstanding(runs, languages)
        if not missing:
            return "success", f"Ended well: {', '.join(run.dag for run in runs)}."
        if not any(lately(run) for run in runs):
            return "success", f"{runs[0].dag} ended well, but did not set off {', '.join(sorted(missing))}."
        return "running", f"Waiting for what is set off next: {', '.join(sorted(missing))}."
    at_work = [f"{task.name} ({run.dag})" for run in runs for task in run.tasks if task.state == "running"]
    return "running", f"Running: {', '.join(at_work)}." if at_work else "Waiting for Airflow to begin."


def missing(workspace: Workspace) -> Problem | None:
    """Why no Airflow can be asked however well one runs, and what to set; None where one can."""
    try:
        access(workspace)
    except NerError as error:
        where = f" ({error.where})" if error.where else ""
        detail = f"{error.message[:1].upper()}{error.message[1:]}{where}. {error.remedy or ''}".strip()
        return Problem(503, "no-airflow", "No Airflow is set up for this gateway", detail)
    return None


def down(error: Exception, workspace: Workspace) -> Problem:
    """Airflow cannot be asked; what to do."""
    if found := missing(workspace):
        return found
    silent = "Airflow does not answer" if isinstance(error, httpx.HTTPError) else "what answers there is no Airflow"
    reason = headline(error) if isinstance(error, NerError) else silent
    remedy = "See that it runs there and takes the gateway's NER_AIRFLOW_USER and NER_AIRFLOW_PASSWORD"
    remedy = remedy if elsewhere() else "Start the system with `ner up`"
    detail = f"{reason} ({access(workspace).url}). {remedy}, then try again."
    return Problem(503, "no-airflow", "Airflow does not run", detail, retry_after=30)
