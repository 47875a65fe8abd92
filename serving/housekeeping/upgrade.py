"""``ner upgrade``: brings the databases of an older release up to date, after a backup of them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.environment import silence_telemetry
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry.schema import latest_schema, older_schema, upgrade_schema
from multiner.pipeline.registry.store import database
from multiner.serving.addresses import Addresses
from multiner.serving.airflow import environment as airflow_setup
from multiner.serving.gateway import state
from multiner.serving.housekeeping.backup import backup
from multiner.serving.operator import state_schema
from multiner.serving.system.components import airflow_environment
from multiner.serving.system.instance_lock import read_system

Say = Callable[[str], None]


def upgrade(workspace: Workspace, say: Say = print) -> Path | None:
    """Upgrade the databases that are of an older release; returns the backup, None where there was nothing to do.

    A call that is killed may be repeated.

    Raises:
        NerError: the system runs, a database is of a later release, or an upgrade fails.
    """
    silence_telemetry()
    if read_system(workspace) or state.read_state(workspace):
        raise NerError("the system runs", where=str(workspace.root), remedy="End it first: ner down")
    work = list(_outdated(workspace))
    if not work:
        return None
    file = workspace.paths.run / "backups" / f"before-upgrade-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.tar"
    backup(workspace, file, artifacts=False)
    say(f"the databases as they were: {file}")
    for name, step in work:
        step()
        say(f"{name}: up to date")
    return file


def _outdated(workspace: Workspace) -> Iterator[tuple[str, Callable[[], None]]]:
    """The databases of an older release, each with its upgrade."""
    registry = database(workspace)
    if revision := older_schema(registry):
        name = f"MLflow's database, schema {revision} to {latest_schema()}"
        yield name, lambda: upgrade_schema(f"sqlite:///{registry}")
    if before := airflow_setup.older_release(workspace):
        name = f"Airflow's database, from Airflow {before} to {airflow_setup.installed()}"
        yield name, lambda: _migrate_airflow(workspace)
    if columns := state_schema.missing_columns(url := state.store_url(workspace)):
        yield f"the gateways' state, {len(columns)} new columns", lambda: state_schema.add_columns(url)


def _migrate_airflow(workspace: Workspace) -> None:
    command = [airflow_setup.script("airflow"), "db", "migrate"]
    environment = airflow_environment(workspace, Addresses.of(workspace))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()][-3:]
        raise NerError("airflow db migrate failed:\n" + "\n".join(lines))
    airflow_setup.note_migration(workspace)
