"""The supervisor of a workspace: starts all parts of the system, starts ended ones again, leaves no process behind."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from subprocess import Popen
from typing import IO

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core import processes
from multiner.pipeline.core.dvc_locks import release
from multiner.pipeline.core.environment import quiet_environment
from multiner.pipeline.core.errors import TRANSIENT, NerError
from multiner.serving import logs
from multiner.serving.addresses import Addresses, listening, require_free
from multiner.serving.airflow import environment as airflow_setup
from multiner.serving.airflow.api import AirflowClient
from multiner.serving.gateway import state
from multiner.serving.operator.state_schema import missing_columns
from multiner.serving.system import PARTS, deployment
from multiner.serving.system.components import Component, airflow_environment, components, launch, tail
from multiner.serving.system.instance_lock import write_system

TRAINING_POOL = "training"
START_SECONDS = 240  # on a loaded machine Airflow takes a while
LOOK_SECONDS = 30  # between looks at the gateway
FAILED_SECONDS = 300  # after a deployment that failed, before it is tried again
PREPARE_STORE = """
import sys
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry.store import open_store
from multiner.pipeline.config.settings import Workspace
try:
    open_store(Workspace.load())
except NerError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
"""
Say = Callable[[str], None]


class System:
    """A context manager that runs the system, within :func:`.instance_lock.only_supervisor`.

    ``parts`` are some of :data:`multiner.serving.system.PARTS`; ``say`` gets lines for the user.
    """

    def __init__(self, workspace: Workspace, parts: list[str] | None = None, say: Say = print) -> None:
        self.workspace = workspace
        self.parts = list(parts or PARTS)
        self.addresses = Addresses.of(workspace)
        self.say = say
        self.components: list[Component] = []
        self.airflow: AirflowClient | None = None
        self._deploying: Popen[bytes] | None = None
        self._next_look = self._next_rotation = 0.0
        self._gateway_ran = False
        self._registry_times: list[int] = []

    def __enter__(self) -> System:
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._end()

    def _start(self) -> None:
        root = self.workspace.root
        if left := processes.marked(root):
            self.say(f"Ending {len(left)} processes that an earlier system left behind")
            processes.end(partial(processes.marked, root))
        gateway = state.read_state(self.workspace)
        if gateway and gateway.profile != self.workspace.profile:
            self.say(f"Ending the gateway that serves profile {gateway.profile}")
            deployment.stop(self.workspace)
            gateway = None
        # a gateway of this profile goes on serving
        require_free(self.addresses, [part for part in self.parts if not (part == "serving" and gateway)])
        self._write_state("starting")
        self._prepare()
        self.components = components(self.workspace, self.addresses, self.parts)
        if "airflow" in self.parts and (stale := release(root)):  # before a task waits for them
            self.say(f"Removed locks of DVC whose holders have ended: {len(stale)}")
        interrupted = self._interrupted()  # the scheduler must not find runs that ended with the last system
        for component in self.components:
            if not (interrupted and component.name == "airflow scheduler"):
                component.start()
        if "airflow" in self.parts:
            self._await_airflow(interrupted)
        if "serving" in self.parts:
            self.reconcile()
        if "mlflow" in self.parts:
            self._wait("MLflow", lambda: listening(self.addresses.host, self.addresses.mlflow_port))
        self._write_state("ready")

    def _write_state(self, phase: str) -> None:
        write_system(
            self.workspace,
            phase=phase,
            parts=self.parts,
            profile=self.workspace.profile,
            since=datetime.now(UTC).isoformat(timespec="seconds"),
            addresses=asdict(self.addresses),
            processes={each.name: each.process.pid for each in self.components if each.process},
        )

    def _prepare(self) -> None:
        """Create the databases of Airflow and MLflow at the same time; one of an older release is not touched.

        A database of Airflow elsewhere is migrated: nothing here knows its state, and its backup is others' concern.

        Raises:
            NerError: a database could not be made, or is of an older release.
        """
        log, work = self.workspace.paths.run / "logs" / "prepare.log", []
        migrate = "airflow" in self.parts
        if migrate and airflow_setup.own_database(self.workspace):
            if before := airflow_setup.older_release(self.workspace):
                raise NerError(
                    f"Airflow's database is of Airflow {before}, and {airflow_setup.installed()} is installed",
                    where=str(airflow_setup.own_database(self.workspace)),
                    remedy="Run: ner upgrade. It makes a backup first.",
                )
            migrate = airflow_setup.migrated_by(self.workspace) != airflow_setup.installed()
        url = state.store_url(self.workspace)  # one elsewhere may be away for now
        if url.startswith("sqlite") and (columns := missing_columns(url)):
            raise NerError(
                f"the gateways' state is of an older release: it lacks {', '.join(columns)}",
                where=url,
                remedy="Run: ner upgrade. It makes a backup first.",
            )
        with logs.open_log(log) as file:
            if "mlflow" in self.parts:
                work.append(self._run([sys.executable, "-c", PREPARE_STORE], file))
            if migrate:
                self.say("Making Airflow's database")
                command = [airflow_setup.script("airflow"), "db", "migrate"]
                work.append(self._run(command, file, airflow_environment(self.workspace, self.addresses)))
            codes = [process.wait() for process in work]
            if any(codes):
                transient = set(codes) <= {0, TRANSIENT}
                raise NerError(
                    f"a database could not be created or updated\n{tail(log)}", where=str(log), transient=transient
                )
        if migrate:
            airflow_setup.note_migration(self.workspace)

    def _run(self, command: list[str], log: IO[bytes], environment: dict[str, str] | None = None) -> Popen[bytes]:
        root = self.workspace.root
        own = quiet_environment(**processes.mark(root), NER_ROOT=str(root))
        own.pop("NER_GATEWAY_URL", None)  # for Airflow's tasks: `ner deploy` would await the gateway, not start it
        return launch(processes.tied(command), root, environment or own, log)

    def _interrupted(self) -> bool:
        """Whether Airflow's database has active runs though no scheduler runs: they ended with the last system."""
        database = airflow_setup.own_database(self.workspace)
        if "airflow" not in self.parts or not database or not database.is_file():
            return False  # in a database of its own, workers of other machines may still be at work
        with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            query = "SELECT count(*) FROM dag_run WHERE state IN ('running', 'queued')"
            return bool(connection.execute(query).fetchone()[0])

    def _wait(self, what: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            self.look_after()
            if time.monotonic() > deadline:
                logs_folder = str(self.workspace.paths.run / "logs")
                raise NerError(f"{what} is not ready after {START_SECONDS} s", where=logs_folder)
            time.sleep(0.5)

    def _await_airflow(self, interrupted: bool) -> None:
        self.say("Waiting for Airflow")
        client = AirflowClient(self.addresses.airflow, airflow_setup.USER, airflow_setup.password(self.workspace))
        self.airflow = client
        self._wait("Airflow's API", lambda: "api-server" not in client.unhealthy())
        if interrupted:
            for dag_id, run_id in client.active_runs():
                client.fail_run(dag_id, run_id, "interrupted: the system ended while this ran")
                self.say(
                    f"Closed the interrupted run {run_id} of {dag_id}; the next run continues with what its stages left"
                )
            next(each for each in self.components if each.name == "airflow scheduler").start()
        for pool in self._pools():
            client.ensure_pool(pool, 1, "One training at a time" if pool == TRAINING_POOL else "")
        self._wait("Airflow", lambda: not client.unhealthy())
        dags = {"data"} | {f"{kind}_{code}" for kind in ("retrain", "promote") for code in self.workspace.languages}
        self._wait("the DAGs", lambda: bool(dags <= client.dags().keys() or client.import_errors()))
        if errors := client.import_errors():
            file, trace = next(iter(errors.items()))
            raise NerError(f"the DAG file cannot be read\n{trace.strip()}", where=file)

    def _pools(self) -> list[str]:
        """The pools that tasks name; Airflow would never start a task of one that is missing."""
        classes = self.workspace.params["airflow"].get("classes", {}).values()
        return list(dict.fromkeys([TRAINING_POOL, *(each["pool"] for each in classes if each.get("pool"))]))

    def reconcile(self) -> None:
        """Start `ner deploy` in the background, unless the last one still runs."""
        if self._deploying is None or self._deploying.poll() is not None:
            log = self.workspace.paths.run / "logs" / "deploy.log"
            with logs.open_log(log) as file:
                # no task starts it: in a container, and where tasks run on machines that await it at its address
                start = "airflow" not in self.parts or bool(os.environ.get("NER_GATEWAY_URL"))
                command = [airflow_setup.script("ner"), "deploy", "--if-any", *(["--start"] if start else [])]
                self._deploying = self._run(command, file)

    def _registry_changed(self) -> bool:
        """Whether the registry has changed since the last call; with Airflow, its promotion DAG deploys instead."""
        if "airflow" in self.parts:
            return False
        files = [self.workspace.paths.mlruns / name for name in ("mlflow.db", "mlflow.db-wal")]
        before = self._registry_times
        self._registry_times = [file.stat().st_mtime_ns if file.is_file() else 0 for file in files]
        return before != self._registry_times

    def look_after(self) -> None:
        """Start ended parts again; at intervals check the gateway and rotate the logs.

        Raises:
            NerError: a part keeps ending.
        """
        for component in self.components:
            if component.revive():
                self.say(f"{component.name} ended and was started again; see {component.log}")
        if self._deploying is not None:
            self._deploying.poll()
        if time.monotonic() > self._next_rotation:
            logs.rotate_all(self.workspace.paths.run / "logs")
            logs.rotate_all(airflow_setup.home(self.workspace) / "logs" / "dag_processor")
            self._next_rotation = time.monotonic() + logs.LOOK_SECONDS
        if "serving" in self.parts and time.monotonic() > self._next_look:
            runs = state.read_state(self.workspace) is not None
            failed = self._deploying is not None and self._deploying.returncode not in (None, 0)
            if (self._gateway_ran and not runs) or failed or self._registry_changed():
                self.reconcile()
            self._gateway_ran = runs
            self._next_look = time.monotonic() + (FAILED_SECONDS if failed else LOOK_SECONDS)

    def stay(self) -> None:
        """Look after the parts until a signal ends this process."""
        while True:
            self.look_after()
            time.sleep(1)

    def _end(self) -> None:
        if self.airflow:
            self.airflow.close()
        if "serving" in self.parts:
            deployment.stop(self.workspace)
        processes.end(partial(processes.marked, self.workspace.root))
