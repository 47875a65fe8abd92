"""Runs the DAG ``promote_en`` by Airflow's own runner, with a stub of ``ner``; run in a process of its own.

Arguments: the workspace, and what happens while the DAG waits for an approval: approve, reject or nothing (its time is
up), or ``refused`` if the gate refuses the challenger, so that nobody is asked. Prints the states of the tasks, what
was asked, and the commands, as JSON.
"""

import importlib.util
import json
import os
import sys
import time
from datetime import timedelta
from pathlib import Path

root, answer = Path(sys.argv[1]), sys.argv[2]
os.environ |= {
    "NER_ROOT": str(root),
    "AIRFLOW_HOME": str(root / "airflow"),
    "AIRFLOW__CORE__DAGS_FOLDER": str(root / "dags"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{root}/airflow.db",
    "NER_MLFLOW_URL": "http://mlflow.example",
}
sys.path.append(str(root / "dags"))

from airflow.utils.db import initdb  # noqa: E402

initdb()

from airflow.jobs.job import Job  # noqa: E402
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner  # noqa: E402
from airflow.models.hitl import HITLDetail  # noqa: E402
from airflow.models.taskinstance import TaskInstance  # noqa: E402
from airflow.models.trigger import handle_event_submit  # noqa: E402
from airflow.sdk import timezone  # noqa: E402
from airflow.triggers.base import TriggerEvent  # noqa: E402
from airflow.utils.session import create_session  # noqa: E402
from airflow.utils.state import TaskInstanceState  # noqa: E402
from sqlalchemy import select  # noqa: E402
from wiring import tasks, workspaces  # noqa: E402

NER = f"""
import sys
words = sys.argv[1:]
with open({str(root / "commands")!r}, "a") as file:
    print(*words, file=file)
if "--judge-only" in words:
    print("report: experiments/7/runs/{"ab" * 16}/artifacts/gate/version-3-against-1.html")
    print({"not promoted: the champion stays" if answer == "refused" else "passed: version 3"!r})
"""
tasks.command_line = workspaces.command_line = lambda *words: [sys.executable, "-c", NER, *words]
questions = []


def respond(_: float) -> None:
    """What happens in place of a second's wait for the answer."""
    with create_session() as session:
        query = select(TaskInstance).where(TaskInstance.state == TaskInstanceState.AWAITING_INPUT)
        instance = session.scalars(query).one_or_none()
        if instance is None:  # the runner also waits for a skip to reach the tasks behind
            return
        detail = session.scalars(select(HITLDetail).where(HITLDetail.ti_id == instance.id)).one()
        questions.append([detail.subject, detail.body, list(detail.defaults)])
        if answer == "nothing":
            assert timedelta(hours=19) < instance.trigger_timeout - timezone.utcnow() < timedelta(hours=20)
            instance.trigger_timeout = timezone.utcnow() - timedelta(seconds=1)
            session.flush()
            SchedulerJobRunner(Job()).check_awaiting_input_timeouts(session=session)
        else:  # as Airflow's API records it
            detail.chosen_options, detail.params_input = [answer.capitalize()], {}
            detail.responded_at, detail.responded_by = timezone.utcnow(), {"id": "1", "name": "ada"}
            event = TriggerEvent(detail.as_resume_event_payload())
            handle_event_submit(event, task_instance=instance, session=session)


time.sleep = respond
spec = importlib.util.spec_from_file_location("promote", root / "dags" / "promote.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
run = module.promote_en.test()
states = {instance.task_id: str(instance.state) for instance in run.get_task_instances()}
commands = (root / "commands").read_text().splitlines()
print(json.dumps({"run": str(run.state), "states": states, "questions": questions, "commands": commands}))
