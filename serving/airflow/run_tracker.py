"""The tracker of a pipeline run through Airflow: from the first DAG along the Assets to the deployments."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime

from pydantic import BaseModel, Field

from multiner.serving.airflow.api import AirflowClient

# after this time an Asset event that has started nothing counts as lost, and waiting for paused DAGs ends
STRANDED_SECONDS = 90
WORKING = frozenset({"running", "queued"})  # states of tasks that go on although their DAG is paused


class DagTask(BaseModel):
    """A task of a DAG run: ``state`` is Airflow's, or ``waiting``; ``outcome`` is its return value, once read."""

    name: str
    state: str
    tries: int = 0
    seconds: float | None = None
    outcome: str | None = Field(default=None, exclude=True)


class DagRun(BaseModel):
    """A run of a DAG; ``ended`` is the time in ISO 8601."""

    dag: str
    run: str
    state: str = "queued"
    ended: str | None = None
    tasks: list[DagTask] = []
    url: str | None = None

    @property
    def finished(self) -> bool:
        """Whether its state is final."""
        return self.state in ("success", "failed")

    @property
    def working(self) -> bool:
        """Whether one of its tasks runs or is queued."""
        return any(task.state in WORKING for task in self.tasks)

    @property
    def stranded(self) -> bool:
        """Whether it ended so long ago that the runs it sets off no longer start by themselves."""
        if self.ended is None:
            return False
        return (datetime.now(UTC) - datetime.fromisoformat(self.ended)).total_seconds() > STRANDED_SECONDS


def consumers(languages: Iterable[str]) -> dict[str, set[str]]:
    """The DAGs that the end of each DAG sets off."""
    codes = list(languages)
    return {"data": {f"retrain_{code}" for code in codes}} | {f"retrain_{code}": {f"promote_{code}"} for code in codes}


class RunTracker:
    """Tracks a DAG run, the runs that it sets off, and so on.

    ``runs`` are by DAG. ``paused`` are the next DAGs if Airflow does not start them: they are paused, or unknown to it.

    Args:
        languages: the languages of the pipeline.
        runs: the runs known so far; the first one started the others.
    """

    def __init__(self, languages: Iterable[str], runs: Iterable[DagRun]) -> None:
        self.runs = {run.dag: run for run in runs}
        self.paused: set[str] = set()
        self._consumers = consumers(languages)
        self._held_since: float | None = None

    def poll(self, client: AirflowClient) -> list[tuple[DagRun, DagTask]]:
        """Ask Airflow; returns the tasks with a new state. A DAG whose Asset event was lost is started here.

        Raises:
            NerError, httpx.HTTPError: Airflow refuses, or does not answer.
        """
        changes: list[tuple[DagRun, DagTask]] = []
        waiting = list(self.runs)
        for dag in waiting:  # grows as it goes
            if not self.runs[dag].finished:
                changes += self._update(client, self.runs[dag])
            if self.runs[dag].state == "success":
                self._find_consumers(client, self.runs[dag])
            waiting += [new for new in self.runs if new not in waiting]
        self._find_paused(client)
        return changes

    def _update(self, client: AirflowClient, run: DagRun) -> list[tuple[DagRun, DagTask]]:
        """Read the state of a run and its tasks; a run that Airflow no longer knows has failed."""
        answer = client.dag_run(run.dag, run.run)
        if answer is None:
            self.runs[run.dag] = run.model_copy(update={"state": "failed", "tasks": []})
            return []
        before = {(task.name, task.state, task.tries): task.outcome for task in run.tasks}
        tasks = [
            DagTask(
                name=task["task_id"],
                state=task["state"] or "waiting",
                tries=task.get("try_number") or 0,
                seconds=task.get("duration"),
            )
            for task in client.tasks(run.dag, run.run)
        ]
        for task in tasks:
            task.outcome = before.get((task.name, task.state, task.tries))
        state = {"state": answer["state"], "ended": answer.get("end_date"), "tasks": tasks}
        self.runs[run.dag] = run = run.model_copy(update=state)
        return [(run, task) for task in tasks if (task.name, task.state, task.tries) not in before]

    def _find_consumers(self, client: AirflowClient, run: DagRun) -> None:
        """Add the runs that an ended run has set off; start those that are overdue."""
        missing = self._consumers.get(run.dag, set()) - self.runs.keys()
        started = dict(client.set_off(run.dag, run.run)) if missing else {}
        if missing - started.keys() and run.stranded:
            # an active DAG takes the event up later; a run of a paused DAG would wait
            active = {dag for dag, _ in client.active_runs()}
            for dag in sorted((missing & self._unpaused(client)) - started.keys() - active):
                # Airflow refuses ids that begin as those of its own runs do
                run_id = f"resumed__{dag}__{next(iter(self.runs.values())).run}"
                started[dag] = client.trigger(dag, run_id, f"started in place of {run.dag}'s event")
        for dag in sorted(missing & started.keys()):
            self.runs[dag] = DagRun(dag=dag, run=started[dag], url=client.run_url(dag, started[dag]))

    def _find_paused(self, client: AirflowClient) -> None:
        active = {run.dag for run in self.runs.values() if not run.finished}
        waiting = self.missing | {dag for dag in active if not self.runs[dag].working}
        self.paused = waiting - self._unpaused(client) if waiting else set()
        held = waiting and waiting == self.paused == self.missing | active
        self._held_since = (self._held_since or time.monotonic()) if held else None

    @staticmethod
    def _unpaused(client: AirflowClient) -> set[str]:
        return {dag for dag, paused in client.dags().items() if not paused}

    @property
    def missing(self) -> set[str]:
        """The DAGs that successful runs set off, and that have not started yet."""
        ended = [run.dag for run in self.runs.values() if run.state == "success"]
        return {consumer for dag in ended for consumer in self._consumers.get(dag, set())} - self.runs.keys()

    @property
    def held_up(self) -> set[str]:
        """The paused DAGs, if the run has waited for them alone for STRANDED_SECONDS."""
        late = self._held_since is not None and time.monotonic() - self._held_since > STRANDED_SECONDS
        return self.paused if late else set()

    @property
    def done(self) -> bool:
        """Whether all runs have ended and no further run is due."""
        return not self.missing and all(run.finished for run in self.runs.values())

    @property
    def failed(self) -> list[str]:
        """The DAGs whose runs failed."""
        return [run.dag for run in self.runs.values() if run.state == "failed"]

    def tasks(self, state: str) -> list[tuple[DagRun, DagTask]]:
        """The tasks in a state, with their runs."""
        return [(run, task) for run in self.runs.values() for task in run.tasks if task.state == state]
