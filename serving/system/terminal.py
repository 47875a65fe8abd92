"""The progress of `ner run`: a live table on a terminal, otherwise a line for each change."""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from multiner.serving.airflow.run_tracker import DagRun, DagTask, RunTracker

COLOURS = {"success": "green", "running": "cyan", "failed": "red", "up_for_retry": "yellow", "upstream_failed": "red"}
WORDS = {"waiting": "·", "scheduled": "·", "up_for_retry": "retries soon", "upstream_failed": "not run"}  # of states
NOT_STARTED = ("waiting", "scheduled", "queued")
PROGRESS_SECONDS = 30  # between lines about running tasks


def progress_line(log: Path) -> str:
    """The progress bar at the end of a running task's log; empty without one."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4000))
            last = file.read().decode("utf-8", errors="replace").rstrip().splitlines()[-1]
        event = json.loads(last).get("event", "")
    except (OSError, IndexError, ValueError):
        return ""
    return event.rsplit("\r", 1)[-1].strip()


def duration(seconds: float | None) -> str:
    """``3 s`` or ``12:05 min``; empty for None."""
    if seconds is None:
        return ""
    return f"{seconds:.0f} s" if seconds < 60 else f"{int(seconds) // 60}:{int(seconds) % 60:02d} min"


class ProgressView:
    """A context manager that shows the tasks of a tracked run; ``logs`` is the folder of Airflow's task logs."""

    def __init__(self, tracker: RunTracker, logs: Path) -> None:
        self.tracker = tracker
        self.logs = logs
        console = Console()
        self.live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._progress_at = time.monotonic()

    def __enter__(self) -> ProgressView:
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.live:
            self.live.stop()

    def show(self, changes: list[tuple[DagRun, DagTask]]) -> None:
        """Show the tasks; ``changes`` are those with a new state."""
        if self.live:
            self.live.update(Group(self._table(), Text(self._progress(), style="dim")), refresh=True)
            return
        for run, task in changes:
            if task.state in NOT_STARTED:
                continue
            parts = [
                f"{datetime.now():%H:%M:%S}",
                f"{run.dag:<12}",
                f"{task.name:<20}",
                f"{WORDS.get(task.state, task.state):<12}",
            ]
            seconds = duration(task.seconds) if task.state != "running" else ""
            print(" ".join([*parts, seconds, task.outcome or ""]).rstrip())
        if time.monotonic() - self._progress_at > PROGRESS_SECONDS and (progress := self._progress()):
            print("\n".join(f"         {line}" for line in progress.splitlines()))
            self._progress_at = time.monotonic()
        sys.stdout.flush()

    def _progress(self) -> str:
        """A line on the progress of each running task that logs it."""
        lines = []
        for run, task in self.tracker.tasks("running"):
            folder = self.logs / f"dag_id={run.dag}" / f"run_id={run.run}" / f"task_id={task.name}"
            if progress := progress_line(folder / f"attempt={task.tries}.log"):
                lines.append(f"{run.dag}/{task.name}: {progress[:150]}")
        return "\n".join(lines)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        for title in ("DAG", "task", "state", "time", "outcome"):
            table.add_column(title)
        for run in self.tracker.runs.values():
            for index, task in enumerate(run.tasks):
                state = Text(WORDS.get(task.state, task.state), style=COLOURS.get(task.state, ""))
                dag = run.dag if index == 0 else ""
                table.add_row(dag, task.name, state, duration(task.seconds), (task.outcome or "")[:60])
        return table
