"""The DAG that now and then sees to it that what is served is what the registry says."""

from __future__ import annotations

from airflow.sdk import DAG, CronTriggerTimetable
from wiring.tasks import CommandOperator, command_line, default_args, first_day, run_timeout

SCHEDULE = "*/15 * * * *"
DOC = f"""
### What is served against what the registry says

Every quarter of an hour ({SCHEDULE}). The gateway itself looks at the registry twice a minute
(`serving.reconcile_seconds`); this DAG is the second pair of eyes, and the place where a champion that does not come
up is seen as a failed run.

**deploy** (`ner deploy --watch`) tells the gateway to compare and, where they differ, to switch. Where no gateway runs,
or nothing has a champion yet, it ends well and says so; it starts none. What an operator chose at the gateway stays, as
long as the champion stays. It belongs to no run of the pipeline and emits no Asset.
"""

with DAG(
    "reconcile",
    schedule=CronTriggerTimetable(SCHEDULE, timezone="UTC"),
    start_date=first_day(),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=run_timeout(),
    default_args=default_args(),
    doc_md=DOC,
    tags=["ner", "serving"],
) as dag:
    CommandOperator(task_id="deploy", command=command_line("deploy", "--watch"))
