"""The commands of the tasks, by where they work: in the common working copy, or each in one of its own.

``NER_WORKSPACE=own`` is for workers without a common folder; DAG processor and workers must have the same setting.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wiring.classes import LIGHT, class_of, placement
from wiring.graph import Stage, data_version, pointers_of
from wiring.tasks import STAGE, CommandOperator, command_line, own_workspaces
from wiring.unchanged import stages_up_to_date

DATA = "data"  # the published state of the DAG ``data``


def candidate_state(language: str) -> str:
    """The published state of a language's retraining."""
    return f"candidate-{language}"


def pull_command() -> list[str]:
    """The command that brings the corpora; with working copies of their own it begins the run."""
    return command_line("workspace", "pull") if own_workspaces() else command_line("pull")


def stage_task(stage: Stage, task_id: str) -> CommandOperator:
    """The task of a stage of dvc.yaml."""
    own = command_line("workspace", "stage", stage.address)
    command = own if own_workspaces() else [*STAGE, stage.address]
    return CommandOperator(task_id=task_id, command=command, **placement(class_of(stage.name)))


def first_task(plan: Any) -> Any:
    """The last task before the stages: ``plan``.

    With working copies of their own, it is followed by one that takes over the state that the DAG ``data`` has
    published.
    """
    if not own_workspaces():
        return plan
    begin = CommandOperator(
        task_id="begin", command=command_line("workspace", "begin", "--from", DATA), **placement(LIGHT)
    )
    plan >> begin
    return begin


def register_command(language: str) -> list[str]:
    """The command that registers a language's model."""
    register = ["register", "--language", language]
    if not own_workspaces():
        return command_line(*register)
    options = ["--needs", f"evaluate@{language}", "--publish", candidate_state(language)]
    return command_line("workspace", "run", *options, "--", *register)


def promote_command(language: str, *options: str) -> list[str]:
    """The command that judges the candidate, or with options carries out a decision on it."""
    promote = ["promote", "--language", language, *options]
    if not own_workspaces():
        return command_line(*promote)
    place = ["--needs", f"prepare@{language}", "--from", candidate_state(language)]
    return command_line("workspace", "run", *place, "--", *promote)


def inputs_unchanged(root: Path, dag_run: Any) -> bool:
    """Whether data, code and parameters are those of the last retraining. Call it before :func:`published_version`."""
    if not own_workspaces():
        return stages_up_to_date(root)
    from multiner.pipeline.core.object_store import required_store
    from multiner.pipeline.workspaces.state import Runs

    return Runs(required_store()).would_publish_the_same(DATA, f"{dag_run.dag_id}/{dag_run.run_id}")


def published_version(root: Path, dag_run: Any) -> str:
    """DVC's hash of a run's data; where the run has a state of its own, it is published for the retraining."""
    if not own_workspaces():
        return data_version(pointers_of(root))
    from multiner.pipeline.core.object_store import required_store
    from multiner.pipeline.workspaces.state import Runs

    return data_version(Runs(required_store()).publish(DATA, f"{dag_run.dag_id}/{dag_run.run_id}").pointers)
