"""Starting the project's DAGs and looking how they go, for those who do not sit at Airflow's page; blocking."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from pipeline.errors import NerError
from pipeline.settings import Workspace
from serving import airflow_setup
from serving.actions import DagRun, DagTask, conflict
from serving.airflow_api import AirflowClient
from serving.components import Addresses
from serving.following import STRANDED_SECONDS, consumers
from serving.problems import Problem

ANSWER_SECONDS = 15


def connect(workspace: Workspace) -> AirflowClient:
    """A client of the workspace's Airflow.

    Raises:
        NerError: Airflow was never set up here.
    """
    address = Addresses.of(workspace).airflow
    if not (airflow_setup.home(workspace) / "passwords.json").is_file():
        raise NerError("Airflow has not run in this workspace yet", where=address)
    return AirflowClient(address, airflow_setup.USER, airflow_setup.password(workspace), timeout=ANSWER_SECONDS)


def start(client: AirflowClient, dag: str, run: str, note: str) -> DagRun:
    """Start a DAG that does not run yet.

    Raises:
        Problem: 409, it runs already, is paused or unknown.
        NerError, httpx.HTTPError: Airflow refuses, or does not answer.
    """
    paused = client.dags()
    if dag not in paused:
        raise Problem(409, "no-dag", "Airflow does not know the DAG", f"There is no DAG {dag}. See `ner status`.")
    if paused[dag]:
        raise Problem(409, "paused", "The DAG is paused", f"Unpause {dag} on Airflow's page first: {client.url}.")
    if found := next((active for of, active in client.active_runs() if of == dag), None):
        raise conflict(f"{dag} runs in Airflow already (run {found}).")
    return DagRun(dag=dag, run=client.trigger(dag, run, note), url=address_of(client, dag, run))


def address_of(client: AirflowClient, dag: str, run: str) -> str:
    """A run's page in Airflow."""
    return f"{client.url}/dags/{dag}/runs/{run}"


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


def verdict(runs: list[DagRun], languages: list[str]) -> tuple[str, str]:
    """State (``running``, ``success``, ``failed``) and a sentence on runs and all that they set off."""
    if failed := [run for run in runs if run.state == "failed"]:
        if all(run.finished for run in runs):
            tasks = [f"{task.name} of {run.dag}" for run in failed for task in run.tasks if task.state == "failed"]
            what = ", ".join(tasks) or ", ".join(run.dag for run in failed)
            return "failed", f"Failed: {what}. The task's log on Airflow's page says why."
    elif all(run.finished for run in runs):
        missing = outstanding(runs, languages)
        if not missing:
            return "success", f"Ended well: {', '.join(run.dag for run in runs)}."
        if not any(lately(run) for run in runs):
            return "success", f"{runs[0].dag} ended well, but did not set off {', '.join(sorted(missing))}."
        return "running", f"Waiting for what is set off next: {', '.join(sorted(missing))}."
    at_work = [f"{task.name} ({run.dag})" for run in runs for task in run.tasks if task.state == "running"]
    return "running", f"Running: {', '.join(at_work)}." if at_work else "Waiting for Airflow to begin."


def down(error: Exception, address: str) -> Problem:
    """Airflow cannot be asked; what to do."""
    reason = error.message.splitlines()[0] if isinstance(error, NerError) else "Airflow does not answer"
    detail = f"{reason} ({address}). Start the system with `ner up`, then try again."
    return Problem(503, "no-airflow", "Airflow does not run", detail, retry_after=30)
