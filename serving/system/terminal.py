"""What `ner run` shows: a table that is redrawn on a terminal, a line for each change of state in a log."""

from __future__ import annotations

import sys
import time
from datetime import datetime
from pathlib import Path
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from multiner.serving.airflow.run_tracker import Follower, TaskView

LOOKS = {"success": "green", "running": "cyan", "failed": "red", "up_for_retry": "yellow", "upstream_failed": "red"}
SHOWN = {"waiting": "·", "scheduled": "·", "queued": "queued", "up_for_retry": "retries soon"}
NEWS_SECONDS = 30


def progress_line(log: Path) -> str:
    """The last thing a running task said: the end of its log, as its progress bar wrote it."""
    import json

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
    """Shows a follower's tasks; a context manager.

    Args:
        follower: what to show.
        logs: the folder of Airflow's task logs.
    """

    def __init__(self, follower: Follower, logs: Path) -> None:
        self.follower = follower
        self.logs = logs
        self.console = Console()
        self.live = Live(console=self.console, auto_refresh=False) if self.console.is_terminal else None
        self._said = time.monotonic()

    def __enter__(self) -> ProgressView:
        if self.live:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live:
            self.live.stop()

    def show(self, changed: list[TaskView]) -> None:
        """Show the state of things; ``changed`` is what is new."""
        if self.live:
            self.live.update(Group(self._table(), Text(self._news(), style="dim")), refresh=True)
            return
        for task in changed:
            if task.state in SHOWN and task.state != "up_for_retry":
                continue
            parts = [f"{datetime.now():%H:%M:%S}", f"{task.dag:<12}", f"{task.name:<20}", f"{task.state:<10}"]
            print(" ".join([*parts, duration(task.seconds) if task.state != "running" else "", task.outcome]).rstrip())
        if time.monotonic() - self._said > NEWS_SECONDS and (news := self._news()):
            print("\n".join(f"         {line}" for line in news.splitlines()))
            self._said = time.monotonic()
        sys.stdout.flush()

    def _news(self) -> str:
        lines = []
        for task in self.follower.running():
            attempt = f"attempt={task.tries}.log"
            log = self.logs / f"dag_id={task.dag}" / f"run_id={task.run}" / f"task_id={task.name}" / attempt
            if said := progress_line(log):
                lines.append(f"{task.dag}/{task.name}: {said[:150]}")
        return "\n".join(lines)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        for title in ("DAG", "task", "state", "time", "outcome"):
            table.add_column(title)
        for run in self.follower.runs.values():
            for index, task in enumerate(run.tasks.values()):
                state = Text(SHOWN.get(task.state, task.state), style=LOOKS.get(task.state, ""))
                name = run.dag if index == 0 else ""
                table.add_row(name, task.name, state, duration(task.seconds), task.outcome[:60])
        return table
