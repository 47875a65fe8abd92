"""Following a run of the pipeline through Airflow: from the data DAG along the Assets to both deployments."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from multiner.serving.airflow.api import FINISHED, AirflowClient

STRANDED_SECONDS = 90  # an Asset event that set off nothing by then is taken for lost, and its DAG started by hand
STAGE_OUTCOMES = frozenset({"ran", "restored", "unchanged"})


@dataclass
class TaskView:
    """A task of a followed run, as last seen; ``seconds`` is None until it has started."""

    dag: str
    run: str
    name: str
    state: str
    tries: int
    seconds: float | None
    outcome: str = ""


@dataclass
class RunView:
    """A followed DAG run; ``ended`` is when it was first seen ended (monotonic seconds)."""

    dag: str
    run: str
    state: str = "queued"
    tasks: dict[str, TaskView] = field(default_factory=dict)
    ended: float | None = None


def consumers(languages: Iterable[str]) -> dict[str, set[str]]:
    """Which DAGs the end of each DAG sets off."""
    codes = list(languages)
    return {"data": {f"retrain_{code}" for code in codes}} | {f"retrain_{code}": {f"promote_{code}"} for code in codes}


class Follower:
    """Knows all that a run of the DAG ``data`` brings about.

    Args:
        client: a logged-in client.
        languages: those whose models are made.
        run_id: the run of ``data``.
    """

    def __init__(self, client: AirflowClient, languages: Iterable[str], run_id: str) -> None:
        self.client = client
        self.after = consumers(languages)
        self.runs: dict[str, RunView] = {"data": RunView("data", run_id)}

    def poll(self) -> list[TaskView]:
        """Look again; returns the tasks whose state has changed."""
        changed: list[TaskView] = []
        for run in list(self.runs.values()):
            if run.ended is None:
                changed += self._look_at(run)
            if run.state == "success":
                self._find_consumers(run)
        return changed

    def _look_at(self, run: RunView) -> list[TaskView]:
        state = self.client.run_state(run.dag, run.run)
        changed = []
        for found in self.client.tasks(run.dag, run.run):
            task, before = _task(run, found), run.tasks.get(found["task_id"])
            if before is None or (before.state, before.tries) != (task.state, task.tries):
                if task.state == "success":
                    task.outcome = self.client.outcome(run.dag, run.run, task.name)
                changed.append(task)
            else:
                task.outcome = before.outcome
            run.tasks[task.name] = task
        run.state = state
        if state in ("success", "failed"):
            run.ended = time.monotonic()
        return changed

    def _find_consumers(self, run: RunView) -> None:
        missing = self.after.get(run.dag, set()) - self.runs.keys()
        if not missing:
            return
        for dag, run_id in self.client.set_off(run.dag, run.run):
            if dag in missing:
                self.runs[dag] = RunView(dag, run_id)
        missing -= self.runs.keys()
        if missing and time.monotonic() - run.ended > STRANDED_SECONDS:
            active = {dag for dag, _ in self.client.active_runs()}
            for dag in missing - active:  # one that is active takes the event up when it has ended
                run_id = f"{run.run}__{dag}"
                self.runs[dag] = RunView(
                    dag, self.client.trigger(dag, run_id, f"started in place of {run.dag}'s event")
                )

    @property
    def done(self) -> bool:
        """Whether nothing more will happen."""
        return all(
            run.ended is not None and (run.state == "failed" or self.after.get(run.dag, set()) <= self.runs.keys())
            for run in self.runs.values()
        )

    def failures(self) -> list[TaskView]:
        """The tasks that failed, without those that only fell behind one."""
        return [task for run in self.runs.values() for task in run.tasks.values() if task.state == "failed"]

    @property
    def failed(self) -> bool:
        """Whether any run failed."""
        return any(run.state == "failed" for run in self.runs.values())

    def running(self) -> list[TaskView]:
        """The tasks at work right now."""
        return [task for run in self.runs.values() for task in run.tasks.values() if task.state == "running"]

    def work_done(self) -> list[TaskView]:
        """The stages that did something: ran, or were restored from DVC's cache."""
        tasks = [task for run in self.runs.values() for task in run.tasks.values()]
        return [task for task in tasks if task.outcome in ("ran", "restored")]


def _task(run: RunView, found: dict[str, Any]) -> TaskView:
    state = found["state"] or "waiting"
    duration = found.get("duration")
    return TaskView(run.dag, run.run, found["task_id"], state, found.get("try_number") or 0, duration)


def ended(task: TaskView) -> bool:
    """Whether a task's state is final."""
    return task.state in FINISHED
