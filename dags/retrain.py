"""A DAG a language that retrains: a task for each stage of dvc.yaml, then the registration."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG
from wiring.assets import RAW_DATA, candidate
from wiring.graph import parse_stages, read_mapping, stages_of, task_id, workspace_root
from wiring.tasks import (
    TRAINING_POOL,
    CommandOperator,
    command_line,
    default_args,
    run_timeout,
    settings,
    stage_command,
)

DOC = """
### Retraining, language `{language}`

Set off by the Asset `ner-data`. A task a stage, in the order that dvc.yaml's paths give; each
runs `dvc repro --single-item STAGE@{language}`, so a stage whose inputs have not changed does nothing, and one that
was interrupted goes on from its checkpoint. The stages that run models share the pool `training` with its one slot.

**register** replays what the stages wrote into one MLflow run (button *MLflow run*) and a version of
`ner-{language}`; doing it again changes nothing. It emits the Asset `ner-candidate-{language}`, which sets off
`promote_{language}`.

Tasks are retried, except where a person has to mend something (exit code 1), and end at a time limit. A run reads the
latest state of the workspace, not only that of the event which set it off.
"""


MODEL_STAGES = (
    "train",
    "export",
    "out_of_fold",
    "ensemble",
    "evaluate",
)  # they run the models on all cores: two at once are slower than in turn


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
        doc_md=DOC.format(language=language),
        tags=["ner", "retraining", language],
    ) as dag:
        made: dict[str, CommandOperator] = {}
        for address, before in stages_of(stages, language).items():
            stage = stages[address]
            pool = {"pool": TRAINING_POOL} if stage.name.startswith(MODEL_STAGES) else {}
            made[address] = CommandOperator(task_id=task_id(stage, language), command=stage_command(stage), **pool)
            made[address].set_upstream([made[other] for other in before])
        register = CommandOperator(
            task_id="register",
            command=command_line("register", "--language", language),
            outlets=[candidate(language)],
        )
        register.set_upstream([one for one in made.values() if not one.downstream_task_ids])
    return dag


for code in settings()["languages"]:
    globals()[f"retrain_{code}"] = build(code)
