"""Notices of failed tasks and runs, and of a scheduled run that has not ended in time."""

from __future__ import annotations

import html
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import BaseHook, BaseNotifier
from croniter import croniter

from wiring.graph import read_mapping, workspace_root

REPEATED = timedelta(days=1)  # a timer's task that keeps failing makes one notice in this time
LATE_MINUTES = 360  # without airflow.late_minutes


class FailureNotice(BaseNotifier):
    """The callback of failed tasks and of DAG runs that failed without one, such as by their time limit."""

    def notify(self, context: Any) -> None:
        """Send a notice, unless one of the run's tasks has, or a timer's task goes on failing."""
        reason, task = context.get("reason"), context.get("ti")
        if reason == "task_failure":
            return
        run = context.get("dag_run")
        dag_id, run_id = context["dag"].dag_id, context["run_id"]
        facts = {"dag": dag_id, "run": run_id}
        text = f"the run {run_id} of the DAG {dag_id} failed: {reason}"
        if reason is None:
            facts |= {"task": task.task_id, "log": task.log_url}
            error = context.get("exception")
            text = f"the task {task.task_id} of the DAG {dag_id} failed: {error or 'its process was killed'}"
        once = {name: facts[name] for name in ("dag", "task") if name in facts}
        announce("failure", text, facts, once=once if str(getattr(run, "run_type", "")) == "scheduled" else None)


def announce(event: Any, text: str, facts: dict[str, Any], *, once: dict[str, Any] | None = None) -> None:
    """Send a notice as `ner` does, and by the Airflow connections in ``notices.connections``.

    Args:
        once: facts that identify it: if a notice of the last day has them, this one is left out.
    """
    from multiner.pipeline import notices
    from multiner.pipeline.config.settings import Workspace

    params = read_mapping(workspace_root() / "params.yaml")  # not checked: a mistake there is a failure to tell of
    workspace = Workspace(workspace_root(), params)
    if once and notices.was_sent(workspace, event, datetime.now(UTC) - REPEATED, **once):
        return
    notices.send(workspace, event, text, **facts)
    options = params.get("notices", {})
    for connection_id in options.get("connections", []) if event in options.get("events", []) else []:
        _send_by_connection(connection_id, f"[ner] {event}", "\n".join([text, *map(str, facts.values())]), options)


def _send_by_connection(connection_id: str, subject: str, text: str, options: dict[str, Any]) -> None:
    """Send by Airflow's own notifier for the kind of the connection; a failure is a line in the task's log."""
    notifier: BaseNotifier
    log = FailureNotice().log
    try:
        kind = BaseHook.get_connection(connection_id).conn_type
        if kind == "smtp":
            from airflow.providers.smtp.notifications.smtp import SmtpNotifier

            body = f"<pre>{html.escape(text)}</pre>"
            notifier = SmtpNotifier(options["recipients"], options["sender"], subject, body, smtp_conn_id=connection_id)
        elif kind == "slackwebhook":
            from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier

            notifier = SlackWebhookNotifier(slack_webhook_conn_id=connection_id, text=f"{subject}: {text}")
        else:
            raise ValueError(f"its type is {kind!r}, not smtp or slackwebhook")
        notifier.notify({})  # not by a call, which would read {{ }} in the text as a template
    except Exception as error:
        log.error("no notice by the Airflow connection %s of notices.connections: %s", connection_id, error)


def overdue(schedule: str | None, since: datetime, minutes: float, now: datetime) -> datetime | None:
    """When the last run of the schedule was due that should have ended by now; None where there was none yet.

    Args:
        schedule: a cron expression in UTC; None: no schedule.
        since: the first day of the schedule.
        minutes: after which a run is late.
    """
    if schedule is None:
        return None
    due = croniter(schedule, now - timedelta(minutes=minutes) + timedelta(seconds=1)).get_prev(datetime)
    return due if due >= since else None


def check_schedule(options: dict[str, Any], since: datetime, succeeded: Callable[[datetime], bool]) -> str:
    """Send a notice if the last scheduled run of the DAG ``data`` is late; returns what was found.

    Args:
        options: the section ``airflow`` of params.yaml.
        since: the first day of the schedule.
        succeeded: whether the run that was due at a time has ended well.
    """
    minutes = options.get("late_minutes", LATE_MINUTES)
    due = overdue(options.get("schedule"), since, minutes, datetime.now(UTC))
    if due is None:
        return "no run of the schedule should have ended yet"
    if succeeded(due):
        return f"the run of {due:%F %R} UTC has ended"
    text = (
        f"the run of the DAG data that was due at {due:%F %R} UTC has not ended well {minutes:g} minutes later; "
        "see whether it failed, still runs, or never began because the DAG is paused or the scheduler was down"
    )
    facts = {"dag": "data", "due": due.isoformat()}
    announce("late", text, facts, once=facts)
    return text
