"""What house-keeping removes from Airflow's database, by Airflow's own `airflow db clean`."""

from __future__ import annotations

import re
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.serving.addresses import Addresses
from multiner.serving.airflow import environment as airflow_setup
from multiner.serving.airflow.configuration import PREFIX, VARIANTS
from multiner.serving.housekeeping.removal import Removal
from multiner.serving.system.components import airflow_environment

CONNECTION = f"{PREFIX}DATABASE__SQL_ALCHEMY_CONN"
OLD_CONNECTION = f"{PREFIX}CORE__SQL_ALCHEMY_CONN"  # the name before, which Airflow withholds, too
WITHHELD = "airflow-db-not-allowed"  # begins the address that Airflow gives its tasks in place of its database's
ROWS = re.compile(r"Found (\d+) rows meeting deletion criteria")
# without asset_event: the last event of an Asset says that there is nothing to do, however old it is
TABLES = ("callback", "dag_run", "deadline", "import_error", "job", "log", "task_instance", "task_instance_history",
          "task_reschedule", "trigger", "xcom")  # fmt: skip
BATCH = 1000  # rows in a transaction: the scheduler waits no longer than for these


def old_records(workspace: Workspace, days: float, *, delete: bool) -> Removal:
    """Records of runs that ended more than ``days`` ago; Airflow keeps the last scheduled run of each DAG.

    The size is what becomes free within the database's file, which does not shrink.

    Raises:
        NerError: the command fails.
    """
    kind, own = "rows in Airflow's database", airflow_setup.home(workspace) / "airflow.db"
    environment = airflow_environment(workspace, Addresses.of(workspace))
    if environment.get(CONNECTION, "").startswith(WITHHELD):
        if not own.is_file():
            return Removal(kind, note="this task does not see it: run `ner gc` where the scheduler runs")
        for name in (CONNECTION, OLD_CONNECTION):
            environment.pop(name, None)
    file = None if any(f"{CONNECTION}{variant}" in environment for variant in VARIANTS) else own
    if file and not file.is_file():
        return Removal(kind)
    before = datetime.now(UTC) - timedelta(days=days)
    command = [airflow_setup.script("airflow"), "db", "clean", "--clean-before-timestamp", before.isoformat()]
    command += [
        "--tables",
        ",".join(TABLES),
        "--skip-archive",
        "--yes",
        "--batch-size",
        str(BATCH),
        *([] if delete else ["--dry-run"]),
    ]
    free = _free(file)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()][-3:]
        raise NerError("airflow db clean failed:\n" + "\n".join(lines), transient=True)
    return Removal(kind, size=max(0, _free(file) - free), rows=sum(map(int, ROWS.findall(done.stdout))))


def _free(file: Path | None) -> int:
    """The unused bytes within a SQLite database."""
    if file is None:
        return 0
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
        pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_size"))
    return pages * size
