"""The DAG that checks the live traffic of each language for drift, and may ask for retraining."""

from __future__ import annotations

import json
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, CronTriggerTimetable, task
from wiring.classes import LIGHT, placement
from wiring.notices import FailureNotice
from wiring.tasks import CommandOperator, command_line, default_args, first_day, run_timeout, settings

SCHEDULE = settings()["drift"].get("schedule")
DOC = f"""
### Drift of live traffic

On the schedule `drift.schedule` of params.yaml (now {SCHEDULE}), or by hand.

1. **check_…**: `ner drift LANG --report` compares what the gateways have counted in the last seven days with the
   champion's training texts, and with the week before. The page is under `/reports` at the gateway; `ner status` has
   the outcome in a line. Too few texts, or no champion yet, are regular ends.
2. **asked** goes on if a check asks for retraining: there is a drift, and `drift.retrain` is true.
3. **retrain** sets off the DAG `data`, with the reason in the run's configuration. Without new data or
   corrections that run trains nothing.
"""


@task.short_circuit(**placement(LIGHT))
def asked(checks: list[str]) -> str:
    """The reason for retraining; empty, so that nothing follows, where no check asks for it."""
    outcomes = [json.loads(check) for check in checks]
    return "; ".join(f"{each['language']}: {each['summary']}" for each in outcomes if each["retrain"])


with DAG(
    "drift",
    schedule=CronTriggerTimetable(SCHEDULE, timezone="UTC") if SCHEDULE else None,
    start_date=first_day(),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=run_timeout(),
    default_args=default_args(),
    on_failure_callback=FailureNotice(),
    doc_md=DOC,
    tags=["ner", "drift"],
) as dag:
    checks: list[Any] = [
        CommandOperator(
            task_id=f"check_{language}",
            command=command_line("drift", language, "--report", "--json"),
            shared_state=True,
            **placement(LIGHT),
        ).output
        for language in settings()["languages"]
    ]
    TriggerDagRunOperator(
        task_id="retrain",
        trigger_dag_id="data",
        conf={"reason": asked(checks)},
        note="A check of live traffic has found a drift; the run's configuration has the reason.",
        **placement(LIGHT),
    )
