"""The DAGs that promote, one for each language: the gate judges the candidate, then the champion is deployed."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG
from wiring.assets import candidate, live
from wiring.classes import LIGHT, SCORE, placement
from wiring.notices import FailureNotice
from wiring.tasks import CommandOperator, command_line, default_args, run_timeout, settings
from wiring.workspaces import promote_command

DOC = """
### Promotion and deployment, language `{language}`

Set off by the Asset `ner-candidate-{language}`.

1. **promote**: the candidate becomes `champion` if it is no worse than the champion on the gate half of the
   development documents, loads in a fresh process, answers the golden samples and passes the behaviour suite no less
   often than the champion; otherwise it stays `challenger`, and its MLflow run says why. Both are regular ends.
   If a process failed, or the model was merely too slow, the gate could not judge (exit code 75): the task is tried
   again, and fails in the end. It shares the pool `training`, before waiting stages, so that no training slows it.
2. **deploy** brings the registry's champion live at the gateway: the new version starts beside the old one, is
   probed, then takes over. Nothing happens if the champion is live already, an operator chose another version, or
   there is no champion, since a first model was not good enough.

To go back by hand: `ner rollback {language}`.
"""


def build(language: str) -> DAG:
    """The promotion DAG of a language."""
    with DAG(
        f"promote_{language}",
        schedule=[candidate(language)],
        start_date=datetime(2025, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=run_timeout(),
        default_args=default_args(),
        on_failure_callback=FailureNotice(),
        doc_md=DOC.format(language=language),
        tags=["ner", "promotion", language],
    ) as dag:
        promote = CommandOperator(
            task_id="promote",
            command=promote_command(language),
            **placement(SCORE),
            weight_rule="absolute",
            priority_weight=100,  # beyond what any stage has, by those that wait for it
        )
        deploy = CommandOperator(
            task_id="deploy",
            command=command_line("deploy", "--language", language, "--if-any"),
            outlets=[live(language)],
            **placement(LIGHT),
        )
        promote >> deploy
    return dag


for code in settings()["languages"]:
    globals()[f"promote_{code}"] = build(code)
