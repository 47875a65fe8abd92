"""Lets Airflow's scheduler create runs for events of the Asset ner-data; prints what it did as JSON.

Run in a process of its own, with an empty AIRFLOW_HOME: the DAG retrain_en of the repository, Airflow's database and
the scheduler's own step that creates runs, but no executor.
"""

import json
import os
import sys
from pathlib import Path

root = Path(sys.argv[1])
os.environ |= {"NER_ROOT": str(root), "AIRFLOW__CORE__DAGS_FOLDER": str(root / "dags")}
sys.path.append(str(root / "dags"))

from airflow.assets.manager import AssetManager  # noqa: E402
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db  # noqa: E402
from airflow.jobs.job import Job  # noqa: E402
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner  # noqa: E402
from airflow.models.asset import AssetModel  # noqa: E402
from airflow.models.dag import DagModel  # noqa: E402
from airflow.models.dagbundle import DagBundleModel  # noqa: E402
from airflow.models.dagrun import DagRun  # noqa: E402
from airflow.utils.db import initdb  # noqa: E402
from airflow.utils.session import create_session  # noqa: E402
from airflow.utils.sqlalchemy import prohibit_commit  # noqa: E402
from airflow.utils.state import DagRunState  # noqa: E402
from sqlalchemy import select, update  # noqa: E402

DAG = "retrain_en"


def emit(*numbers: int) -> None:
    """An event for each number, each in a transaction of its own, as tasks emit them."""
    for number in numbers:
        with create_session() as session:
            asset = session.scalars(select(AssetModel).where(AssetModel.name == "ner-data")).one()
            AssetManager.register_asset_change(asset=asset, extra={"data": str(number)}, session=session)


def schedule() -> list[list[str]]:
    """The events that each run lists which the scheduler creates now, by what they say of the data."""
    with create_session() as session:
        before = set(session.scalars(select(DagRun.id)))
    with create_session() as session, prohibit_commit(session) as guard:
        runner._create_dagruns_for_dags(guard, session)
    with create_session() as session:
        runs = session.scalars(select(DagRun).where(DagRun.dag_id == DAG, DagRun.id.not_in(before)))
        return [[event.extra["data"] for event in run.consumed_asset_events] for run in runs]


def end_runs() -> None:
    with create_session() as session:
        session.execute(update(DagRun).values(state=DagRunState.SUCCESS))


initdb()
with create_session() as session:
    session.add(DagBundleModel(name="dags"))
bag = DagBag(root / "dags" / "retrain.py", bundle_path=root / "dags", bundle_name="dags")
assert not bag.import_errors, bag.import_errors
sync_bag_to_db(bag, "dags", None)
with create_session() as session:
    session.execute(update(DagModel).values(is_paused=False))
runner = SchedulerJobRunner(job=Job(), executors=[])

steps = []
emit(1, 2, 3, 4)
steps += [schedule(), schedule()]  # one run for four events, and no other
emit(5, 6, 7, 8)
steps += [schedule()]  # while it is active, none
end_runs()
steps += [schedule()]  # then one for those that have come meanwhile
end_runs()
steps += [schedule()]
print(json.dumps(steps))
