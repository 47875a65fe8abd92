"""The DAG that checks at intervals that the registry's champions are live, and that the schedule is kept."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.sdk import DAG, CronTriggerTimetable, task
from wiring.classes import LIGHT, placement
from wiring.notices import FailureNotice, check_schedule
from wiring.tasks import CommandOperator, command_line, default_args, first_day, run_timeout, settings

SCHEDULE = "*/15 * * * *"
DOC = f"""
### The live versions against the registry's champions

Every quarter of an hour ({SCHEDULE}). The gateway itself reads the registry twice a minute
(`serving.reconcile_seconds`); this DAG checks that, and shows a champion that does not come up as a failed run.

**deploy** (`ner deploy --watch`) has the gateway compare the two and switch if they differ. If no gateway runs, or
there is no champion yet, it says so and ends well; it starts none. A version that an operator chose stays as long as
the champion stays. A champion that is tried out as a canary is right as it is. The DAG belongs to no run of the
pipeline and emits no Asset.

**on_time** sends a notice, once a day, while the last scheduled run of the DAG `data` has not ended well
`airflow.late_minutes` after it was due: it failed, still runs, or never began.
"""


@task(**placement(LIGHT))
def on_time(ti: Any = None) -> str:
    """Send a notice if the scheduled run is late."""

    def succeeded(due: datetime) -> bool:
        return ti.get_dr_count("data", logical_dates=[due], states=["success"]) > 0

    return check_schedule(settings()["airflow"], first_day(), succeeded)


with DAG(
    "reconcile",
    schedule=CronTriggerTimetable(SCHEDULE, timezone="UTC"),
    start_date=first_day(),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=run_timeout(),
    default_args=default_args(),
    on_failure_callback=FailureNotice(),
    doc_md=DOC,
    tags=["ner", "serving"],
) as dag:
    CommandOperator(task_id="deploy", command=command_line("deploy", "--watch"), **placement(LIGHT))
    on_time()
