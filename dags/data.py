"""The DAG that pulls the corpora and validates them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airflow.sdk import DAG, Metadata, task
from airflow.sdk.exceptions import AirflowSkipException
from wiring.assets import RAW_DATA, live
from wiring.classes import LIGHT, placement
from wiring.graph import parse_stages, read_mapping, stages_of, task_id, workspace_root
from wiring.notices import FailureNotice
from wiring.plan import check_request
from wiring.requests import parameters, request_of
from wiring.tasks import CommandOperator, default_args, first_day, run_timeout, schedule, settings
from wiring.unchanged import live_since
from wiring.workspaces import inputs_unchanged, published_version, pull_command, stage_task

LANGUAGES = settings()["languages"]
STAGES = parse_stages(read_mapping(workspace_root() / "dvc.yaml"))
DOC = f"""
### The corpora: pull, version, validate

Set off by the schedule (`airflow.schedule` in params.yaml, now {settings()["airflow"].get("schedule")}), by `ner run`
and `ner up`, or by hand, as after `ner pull --accept CORPUS`: then its form asks which language is retrained, whether
stages run although nothing has changed, and whether only to say what would run.

1. **plan** ends a dry run; its log says what would run.
2. **pull** brings the corpora from the first source that has them and refuses a file whose SHA-256 is not the
   manifest's; it takes new texts into growing corpora (`growing` in params.yaml). DVC then versions all of it.
3. **validate** and what it stands on, for each language, as dvc.yaml has it: a breach fails the task, its log names
   the rows, and the button *Data Docs* shows them in full.
4. **publish** emits the Asset `ner-data` with DVC's hash of the data. It only runs when everything before passed, and
   it sets off the retraining of every language, or of the one that was asked for. A run on schedule skips this task if
   there is nothing to do: the data is that of the last run, whose models were deployed, and DVC finds no stage whose
   data, code or parameters have changed. The task's log says so.
"""


@task(**placement(LIGHT))
def plan(**context: Any) -> str:
    """End a dry run, and say what would run."""
    return check_request(request_of(context), STAGES, LANGUAGES)


@task(inlets=[RAW_DATA, *map(live, LANGUAGES)], outlets=[RAW_DATA], **placement(LIGHT))
def publish(
    dag_run: Any = None, inlet_events: Mapping[Any, Any] | None = None, params: Mapping[str, Any] | None = None
) -> Iterator[Metadata]:
    """Emit the Asset `ner-data` with the hash of the data."""
    unchanged = dag_run.run_type == "scheduled" and inputs_unchanged(workspace_root(), dag_run)
    data = published_version(workspace_root(), dag_run)
    if unchanged and (since := live_since(inlet_events or {}, data, LANGUAGES)):
        raise AirflowSkipException(
            "nothing to do: data, code and parameters have not changed, "
            f"and the models are live since {since:%F %R} UTC"
        )
    yield Metadata(RAW_DATA, {"data": data} | request_of({"params": params}).extra)


with DAG(
    "data",
    schedule=schedule(),
    start_date=first_day(),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=run_timeout(),
    default_args=default_args(),
    on_failure_callback=FailureNotice(),
    doc_md=DOC,
    tags=["ner", "data"],
    params=parameters(LANGUAGES),
):
    pull = CommandOperator(task_id="pull", command=pull_command(), **placement(LIGHT))
    plan() >> pull
    published = publish()
    tasks: dict[str, CommandOperator] = {}
    for language in LANGUAGES:
        order = stages_of(STAGES, language)
        needed = {f"validate@{language}"}
        for address in reversed(order):  # the validation with everything upstream of it, and nothing else
            needed |= order[address] if address in needed else set()
        for address, before in order.items():
            if address not in needed or address in tasks:
                continue
            stage = STAGES[address]
            tasks[address] = stage_task(stage, task_id(stage, ""))
            tasks[address].set_upstream([tasks[other] for other in before] or [pull])
        tasks[f"validate@{language}"] >> published
