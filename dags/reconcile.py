"""The DAG that checks at intervals that the registry's champions are live."""

from __future__ import annotations

from airflow.sdk import DAG, CronTriggerTimetable
from wiring.classes import LIGHT, placement
from wiring.tasks import CommandOperator, command_line, default_args, first_day, run_timeout

SCHEDULE = "*/15 * * * *"
DOC = f"""
### The live versions against the registry's champions

Every quarter of an hour ({SCHEDULE}). The gateway itself reads the registry twice a minute
(`serving.reconcile_seconds`); this DAG checks that, and shows a champion that does not come up as a failed run.

**deploy** (`ner deploy --watch`) has the gateway compare the two and switch if they differ. If no gateway runs, or
there is no champion yet, it says so and ends well; it starts none. A version that an operator chose stays as long as
the champion stays. A champion that is tried out as a canary is right as it is. The DAG belongs to no run of the
pipeline and emits no Asset.
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
    CommandOperator(task_id="deploy", command=command_line("deploy", "--watch"), **placement(LIGHT))
