"""The DAGs that promote, one for each language: the gate judges the candidate, then the champion is deployed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable
from wiring.assets import candidate, live
from wiring.classes import LIGHT, SCORE, placement
from wiring.notices import FailureNotice
from wiring.tasks import CommandOperator, approval_time, command_line, default_args, first_day, run_timeout, settings
from wiring.waiting import WaitingOperator
from wiring.workspaces import promote_command

SCHEDULE = "30 * * * *"
DOC = """
### Promotion and deployment, language `{language}`

Set off by the Asset `ner-candidate-{language}`, and every hour ({schedule}) if a challenger waits: the gate could not
judge it before, or nobody was asked to the end whether it is approved.

1. **waiting** ends a run on schedule with "nothing to do", unless a challenger waits (`ner waiting`).
2. **promote**: the candidate becomes `champion` if it is no worse than the champion on the gate half of the
   development documents, loads in a fresh process, answers the golden samples and passes the behaviour suite no less
   often than the champion; otherwise it stays `challenger`, and its MLflow run says why. Both are regular ends.
   If a process failed, or the model was merely too slow, the gate could not judge (exit code 75): the task is tried
   again, and fails in the end. It shares the pool `training`, before waiting stages, so that no training slows it.
3. **deploy** brings the registry's champion live at the gateway: the new version starts beside the old one, is
   probed, then takes over; with `serving.canary_share` it first gets a share of the calls. Nothing happens if the
   champion is live already, an operator chose another version, or there is no champion, since a first model was not
   good enough.

To go back by hand: `ner rollback {language}`.
"""

APPROVAL_DOC = """
A person approves (`promotion.approval`): **judge** writes the verdict, **passed** ends the matter if the candidate was
refused, and **approve** waits for an answer, on Airflow's page *Required Actions*; the button *Gate report* of *judge*
leads to the verdict. Without an answer within `promotion.approval_hours` the candidate is rejected. **promote** carries
the answer out; the journal (`ner history {language}`) says who gave it. It refuses an approval if another candidate was
registered, or the champion changed, since the verdict.
"""
ANSWERS = {"Approve": "--approved", "Reject": "--rejected"}
NOBODY = "nobody within the time limit"  # as multiner.pipeline.registry.gate.approval has it, which would import MLflow
ANSWER = "ti.xcom_pull(task_ids='approve')"
DECISION = [
    f"{{{{ {ANSWERS}[{ANSWER}['chosen_options'][0]] }}}}",
    "{{ ti.xcom_pull(task_ids='judge').rpartition(' ')[2] }}",  # of the line "passed: version 3"
    "--by",
    f"{{{{ ({ANSWER}['responded_by_user'] or {{}}).get('name') or '{NOBODY}' }}}}",
]


def build(language: str) -> DAG:
    """The promotion DAG of a language."""
    time = approval_time()
    with DAG(
        f"promote_{language}",
        schedule=AssetOrTimeSchedule(
            timetable=CronTriggerTimetable(SCHEDULE, timezone="UTC"), assets=[candidate(language)]
        ),
        start_date=first_day(),
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=run_timeout() + (time or timedelta()),
        default_args=default_args(),
        on_failure_callback=FailureNotice(),
        doc_md=(DOC + (APPROVAL_DOC if time else "")).format(language=language, schedule=SCHEDULE),
        tags=["ner", "promotion", language],
    ) as dag:
        waiting = WaitingOperator(
            task_id="waiting", command=command_line("waiting", "--language", language), **placement(LIGHT)
        )
        promote = CommandOperator(
            task_id="promote", command=promote_command(language, *(DECISION if time else [])), **gate_placement()
        )
        deploy = CommandOperator(
            task_id="deploy",
            command=command_line("deploy", "--language", language, "--if-any"),
            outlets=[live(language)],
            trigger_rule="none_failed_min_one_success",  # also where the candidate was refused, not where none waits
            **placement(LIGHT),
        )
        if time:
            waiting >> ask_first(promote, language, time)
        else:
            waiting >> promote
        [waiting, promote] >> deploy
    return dag


def gate_placement() -> dict[str, Any]:
    """The place of the tasks of the gate."""
    return placement(SCORE) | {
        "weight_rule": "absolute",
        "priority_weight": 100,  # beyond what any stage has, by those that wait for it
    }


def ask_first(promote: CommandOperator, language: str, time: timedelta) -> CommandOperator:
    """Put the verdict and a person's approval of it, within ``time``, before ``promote``; returns the first task."""
    from airflow.providers.standard.operators.hitl import HITLOperator
    from airflow.providers.standard.operators.python import ShortCircuitOperator

    judge = CommandOperator(task_id="judge", command=promote_command(language, "--judge-only"), **gate_placement())
    passed = ShortCircuitOperator(
        task_id="passed",
        python_callable=lambda outcome: outcome.startswith("passed: version "),
        op_args=["{{ ti.xcom_pull(task_ids='judge') }}"],
        ignore_downstream_trigger_rules=False,  # deploy runs all the same
        **placement(LIGHT),
    )
    approve = HITLOperator(
        task_id="approve",
        subject=f"{language}: {{{{ ti.xcom_pull(task_ids='judge') }}}}",
        body="It becomes champion if you approve. "
        "[Report of the gate]({{ ti.xcom_pull(task_ids='judge', key='gate_report') }})",
        options=list(ANSWERS),
        defaults="Reject",
        response_timeout=time,
        execution_timeout=None,
        **placement(LIGHT),
    )
    judge >> passed >> approve >> promote
    return judge


for code in settings()["languages"]:
    globals()[f"promote_{code}"] = build(code)
