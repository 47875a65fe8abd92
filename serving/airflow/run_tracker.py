"""Following a run of the pipeline through Airflow: from the data DAG along the Assets to both deployments."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from multiner.serving.airflow.api import FINISHED, AirflowClient

STRANDED_SECONDS = 90  # an Asset event that set off nothing by then is taken for lost, and its DAG started by hand
MOVING = frozenset({"running", "queued"})  # states of tasks that go on although their DAG is paused
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


def held_up(states: Mapping[str, Collection[str]], missing: Collection[str], paused: Collection[str]) -> set[str]:
    """The paused DAGs that are waited for, where there is nothing else to wait for: Airflow starts nothing of theirs.

    Args:
        states: of the tasks of the runs that have not ended, by DAG.
        missing: the DAGs that are yet to be set off.
        paused: the DAGs that are paused.
    """
    waiting = {dag for dag, tasks in states.items() if not MOVING & set(tasks)}
    if waiting != states.keys():
        return set()
    waiting |= set(missing)
    return waiting if waiting <= set(paused) else set()


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
        self.paused: set[str] = set()
        self._held_since: float | None = None

    def poll(self) -> list[TaskView]:
        """Look again; returns the tasks whose state has changed."""
        changed: list[TaskView] = []
        for run in list(self.runs.values()):
            if run.ended is None:
                changed += self._look_at(run)
            if run.state == "success":
                self._find_consumers(run)
        self._look_for_pauses()
        return changed

    @property
    def held_up(self) -> set[str]:
        """The paused DAGs that alone have been waited for, for so long that it is no matter of a moment."""
        late = self._held_since is not None and time.monotonic() - self._held_since > STRANDED_SECONDS
        return self.paused if late else set()

    def _look_for_pauses(self) -> None:
        """Note which of the DAGs that are waited for are paused."""
        missing = {
            dag for run in self.runs.values() if run.state == "success" for dag in self.after.get(run.dag, set())
        }
        missing -= self.runs.keys()
        states = {
            run.dag: {task.state for task in run.tasks.values()} for run in self.runs.values() if run.ended is None
        }
        waiting = {dag for dag, tasks in states.items() if not MOVING & tasks} | missing
        self.paused = waiting & self._paused() if waiting else set()
        held = held_up(states, missing, self.paused)
        self._held_since = (self._held_since or time.monotonic()) if held else None

    def _paused(self) -> set[str]:
        return {dag for dag, paused in self.client.dags().items() if paused}

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
            # one that is active takes the event up when it has ended; a run of a paused one would wait
            for dag in missing - active - self._paused():
                # a name of its own: Airflow refuses one that begins as those of its own runs do
                run_id = f"resumed__{dag}__{self.runs['data'].run}"
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
