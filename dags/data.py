"""The DAG that brings the corpora in and lets them pass only if they are valid."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from airflow.sdk import DAG, Metadata, task
from wiring.assets import RAW_DATA
from wiring.graph import data_version, parse_stages, read_mapping, stages_of, task_id, workspace_root
from wiring.tasks import CommandOperator, command_line, default_args, run_timeout, settings, stage_command

DOC = """
### The corpora: pull, version, validate

1. **pull** brings the corpora from the first source that has them and refuses a file whose SHA-256 is not the
   manifest's; DVC then versions them.
2. **validate** and what it stands on, for each language, as dvc.yaml has it: a breach fails the task, its log names
   the rows, and the button *Data Docs* shows them in full.
3. **publish** emits the Asset `ner-data` with DVC's hash of the data. It only runs when everything before passed, and
   it sets off the retraining of every language. Where nothing has changed, the stages there find nothing to do.

Run it by hand after `ner pull --accept CORPUS`, or with `ner run`.
"""


@task(outlets=[RAW_DATA])
def publish() -> Iterator[Metadata]:
    """Say that valid data is there, and which."""
    yield Metadata(RAW_DATA, {"data": data_version(workspace_root())})


with DAG(
    "data",
    schedule=None,
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=run_timeout(),
    default_args=default_args(),
    doc_md=DOC,
    tags=["ner", "data"],
):
    pull = CommandOperator(task_id="pull", command=command_line("pull"))
    published = publish()
    stages = parse_stages(read_mapping(workspace_root() / "dvc.yaml"))
    made: dict[str, CommandOperator] = {}
    for language in settings()["languages"]:
        order = stages_of(stages, language)
        wanted = {f"validate@{language}"}
        for address in reversed(order):  # the validation with everything upstream of it, and nothing else
            wanted |= order[address] if address in wanted else set()
        for address, before in order.items():
            if address not in wanted or address in made:
                continue
            stage = stages[address]
            made[address] = CommandOperator(task_id=task_id(stage, ""), command=stage_command(stage))
            made[address].set_upstream([made[other] for other in before] or [pull])
        made[f"validate@{language}"] >> published
