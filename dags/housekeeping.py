"""The DAG that deletes at intervals what nothing needs any more."""

from __future__ import annotations

from airflow.sdk import DAG
from wiring.classes import LIGHT, placement
from wiring.notices import FailureNotice
from wiring.tasks import CommandOperator, command_line, default_args, first_day, run_timeout, schedule, settings

DOC = f"""
### House-keeping

On the schedule `keep.schedule` of params.yaml, now {settings()["keep"].get("schedule")} (null: never), or by hand.

**gc** (`ner gc --yes`) deletes old versions of the models, runs that were deleted in MLflow, objects of DVC's cache,
checkpoints, logs, and Airflow's old records. Champions, challengers, rollback targets, the newest versions
(`keep.versions`), versions in use and what these need always stay. The task's log says the bytes of each kind. To see
what it would delete: `ner gc`.
"""

with DAG(
    "housekeeping",
    schedule=schedule("keep"),
    start_date=first_day(),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=run_timeout(),
    default_args=default_args(),
    on_failure_callback=FailureNotice(),
    doc_md=DOC,
    tags=["ner", "housekeeping"],
) as dag:
    CommandOperator(task_id="gc", command=command_line("gc", "--yes"), shared_state=True, **placement(LIGHT))
