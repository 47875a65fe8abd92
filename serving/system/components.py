"""The long-running parts of the system besides the gateway: how each is started, started again, and logged."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NoReturn

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.environment import quiet_environment, without_secrets
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.processes import mark, tied
from multiner.pipeline.notices import without_addresses
from multiner.serving.addresses import Addresses, netloc, reachable
from multiner.serving.airflow import environment as airflow_setup
from multiner.serving.logs import open_log

RESTARTS = 5  # within RESTART_WINDOW; a part that dies more often is given up
RESTART_WINDOW = 300.0
MLFLOW_HOSTS = ("localhost", "127.0.0.1", "::1")  # that MLflow answers to without --allowed-hosts


@dataclass
class Component:
    """A child process of the supervisor that is started again when it dies.

    Args:
        name: for messages.
        command: program (absolute path) and arguments.
        environment: its environment.
        folder: where it runs.
        log: the file its output is appended to.
    """

    name: str
    command: list[str]
    environment: dict[str, str]
    folder: Path
    log: Path
    process: subprocess.Popen[bytes] | None = None
    start_times: list[float] = field(default_factory=list)

    def start(self) -> None:
        """Start it; it ends with this process."""
        self.start_times.append(time.monotonic())
        with open_log(self.log) as log:
            self.process = launch(tied(self.command), self.folder, self.environment, log)

    def revive(self) -> bool:
        """Start it again if it has ended; returns whether it had.

        Raises:
            NerError: it keeps ending.
        """
        if self.process is None or self.process.poll() is None:
            return False
        recent = [moment for moment in self.start_times if time.monotonic() - moment < RESTART_WINDOW]
        if len(recent) > RESTARTS:
            raise NerError(
                f"{self.name} keeps ending (last with exit code {self.process.returncode})\n{tail(self.log)}",
                where=str(self.log),
            )
        self.start()
        return True


def launch(command: list[str], folder: Path, environment: dict[str, str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a process in ``folder`` and in a session of its own, without input, its output in ``log``."""
    streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
    return subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, **streams)


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log, indented."""
    if not path.is_file():
        return "  | (no log)"
    text = path.read_text(encoding="utf-8", errors="replace")
    return "\n".join(f"  | {line}" for line in text.splitlines()[-lines:])


def components(workspace: Workspace, addresses: Addresses, parts: list[str]) -> list[Component]:
    """The processes behind ``parts``, not yet started."""
    logs, root = workspace.paths.run / "logs", workspace.root
    processes: list[Component] = []
    if "mlflow" in parts:
        store = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{workspace.paths.mlruns / 'mlflow.db'}"
        serve = ["server", "--host", addresses.host, "--port", str(addresses.mlflow_port), "--workers", "1"]
        if reachable(addresses.host) not in MLFLOW_HOSTS:
            serve += ["--allowed-hosts", netloc(addresses.host, addresses.mlflow_port)]
            serve += ["--cors-allowed-origins", addresses.mlflow]
        serve += ["--backend-store-uri", store, "--default-artifact-root", str(workspace.paths.mlruns / "artifacts")]
        own = quiet_environment(**mark(root), MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
        environment = without_addresses(without_secrets(own))
        environment.pop("MLFLOW_TRACKING_URI", None)
        processes.append(
            Component("mlflow", [airflow_setup.script("mlflow"), *serve], environment, root, logs / "mlflow.log")
        )
    if "airflow" in parts:
        environment = airflow_environment(workspace, addresses)
        for name, arguments in (
            ("api-server", ["api-server"]),
            ("dag-processor", ["dag-processor"]),
            ("scheduler", ["scheduler", "--skip-serve-logs"]),
        ):
            command = [airflow_setup.script("airflow"), *arguments]
            log = logs / f"airflow-{name}.log"
            processes.append(Component(f"airflow {name}", command, environment, airflow_setup.home(workspace), log))
    return processes


def airflow_environment(workspace: Workspace, addresses: Addresses) -> dict[str, str]:
    """The environment of Airflow's processes, with the mark of the workspace's system."""
    return _unmarked_environment(workspace, addresses) | mark(workspace.root)


def _unmarked_environment(workspace: Workspace, addresses: Addresses) -> dict[str, str]:
    return airflow_setup.environment(
        workspace,
        host=addresses.host,
        airflow_port=addresses.airflow_port,
        mlflow_url=addresses.mlflow,
        docs_url=addresses.reports,
    )


def become_airflow(workspace: Workspace, arguments: list[str]) -> NoReturn:
    """Run Airflow's command line in place of this process. It has no mark: `ner down` leaves a worker running."""
    command = [airflow_setup.script("airflow"), *arguments]
    os.execve(command[0], command, _unmarked_environment(workspace, Addresses.of(workspace)))
