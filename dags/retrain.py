"""The DAGs that retrain, one for each language: a task for each stage of dvc.yaml, then the registration."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import DAG, task
from wiring.assets import RAW_DATA, candidate
from wiring.classes import LIGHT, placement
from wiring.graph import parse_stages, read_mapping, stages_of, task_id, workspace_root
from wiring.notices import FailureNotice
from wiring.plan import check_request
from wiring.requests import parameters, request_of
from wiring.tasks import CommandOperator, default_args, run_timeout, settings
from wiring.workspaces import first_task, register_command, stage_task

DOC = """
### Retraining, language `{language}`

Set off by the Asset `ner-data`. Each stage is a task, in the order of dvc.yaml's paths; it runs
`dvc repro --single-item STAGE@{language}`, so a stage whose inputs have not changed does nothing, and one that was
interrupted goes on from its checkpoint. The stages that run models share the pool `training` with its one slot.
`airflow.classes` in params.yaml can give trainings, scoring, and the other tasks a pool, a queue, an executor or a
pod's resources of their own.

**register** logs the outputs of the stages in one MLflow run (button *MLflow run*) and registers a version of
`ner-{language}`; doing it again changes nothing. It emits the Asset `ner-candidate-{language}`, which sets off
`promote_{language}`.

Started by hand, its form asks whether stages run although nothing has changed, and whether only to say what would run:
then the log of **plan**, the first task, says it, and the others are skipped. So are they where the data was published
for another language alone.

Tasks are retried, except where a person has to mend something (exit code 1), and end at a time limit. A run reads the
state of the workspace at its start, which may be newer than the event that set it off.
"""


@task(inlets=[RAW_DATA], **placement(LIGHT))
def plan(language: str, **context: Any) -> str:
    """End a dry run, and a run that is for other languages alone."""
    stages = parse_stages(read_mapping(workspace_root() / "dvc.yaml"))
    return check_request(request_of(context, context["inlet_events"][RAW_DATA]), stages, [language])


def build(language: str) -> DAG:
    """The retraining DAG of a language."""
    stages = parse_stages(read_mapping(workspace_root() / "dvc.yaml"))
    with DAG(
        f"retrain_{language}",
        schedule=[RAW_DATA],
        start_date=datetime(2025, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=run_timeout(),
        default_args=default_args(),
        on_failure_callback=FailureNotice(),
        doc_md=DOC.format(language=language),
        tags=["ner", "retraining", language],
        params=parameters(),
    ) as dag:
        first = first_task(plan(language))
        tasks: dict[str, CommandOperator] = {}
        for address, before in stages_of(stages, language).items():
            stage = stages[address]
            tasks[address] = stage_task(stage, task_id(stage, language))
            tasks[address].set_upstream([tasks[other] for other in before] or first)
        register = CommandOperator(
            task_id="register", command=register_command(language), outlets=[candidate(language)], **placement(LIGHT)
        )
        register.set_upstream([each for each in tasks.values() if not each.downstream_task_ids])
    return dag


for code in settings()["languages"]:
    globals()[f"retrain_{code}"] = build(code)
