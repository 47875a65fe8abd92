"""The DAGs that promote, one for each language: the gate judges the candidate, then the champion is deployed."""

from __future__ import annotations

from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable
from wiring.assets import candidate, live
from wiring.classes import LIGHT, SCORE, placement
from wiring.tasks import CommandOperator, command_line, default_args, first_day, run_timeout, settings
from wiring.waiting import WaitingOperator
from wiring.workspaces import promote_command

SCHEDULE = "30 * * * *"
DOC = """
### Promotion and deployment, language `{language}`

Set off by the Asset `ner-candidate-{language}`, and every hour ({schedule}) if a challenger waits that the gate could
not judge before.

1. **waiting** ends a run on schedule with "nothing to do", unless a challenger waits (`ner waiting`).
2. **promote**: the candidate becomes `champion` if it is no worse than the champion on the gate half of the
   development documents, loads in a fresh process, answers the golden samples and passes the behaviour suite no less
   often than the champion; otherwise it stays `challenger`, and its MLflow run says why. Both are regular ends.
   If a process failed, or the model was merely too slow, the gate could not judge (exit code 75): the task is tried
   again, and fails in the end. It shares the pool `training`, before waiting stages, so that no training slows it.
3. **deploy** brings the registry's champion live at the gateway: the new version starts beside the old one, is
   probed, then takes over. Nothing happens if the champion is live already, an operator chose another version, or
   there is no champion, since a first model was not good enough.

To go back by hand: `ner rollback {language}`.
"""


def build(language: str) -> DAG:
    """The promotion DAG of a language."""
    with DAG(
        f"promote_{language}",
        schedule=AssetOrTimeSchedule(
            timetable=CronTriggerTimetable(SCHEDULE, timezone="UTC"), assets=[candidate(language)]
        ),
        start_date=first_day(),
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=run_timeout(),
        default_args=default_args(),
        doc_md=DOC.format(language=language, schedule=SCHEDULE),
        tags=["ner", "promotion", language],
    ) as dag:
        waiting = WaitingOperator(
            task_id="waiting", command=command_line("waiting", "--language", language), **placement(LIGHT)
        )
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
        waiting >> promote >> deploy
    return dag


for code in settings()["languages"]:
    globals()[f"promote_{code}"] = build(code)
