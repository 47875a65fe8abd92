"""The process of ``mlflow models serve`` that serves one model version on a loopback port: started, watched, ended.

It dies with its parent, however that dies. What it is asked is the matter of
:mod:`multiner.serving.backends.local_server`.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from multiner.pipeline.core.environment import quiet_environment, without_secrets
from multiner.pipeline.core.processes import is_running, tied
from multiner.serving.backends.backend import ServedModel
from multiner.serving.backends.health import STOPPING_SECONDS
from multiner.serving.backends.process_tree import family_of, resident_bytes, signal_group
from multiner.serving.backends.work_folders import WorkFolder, work_folder
from multiner.serving.logs import open_log

START = "=== started "  # begins the line in a log above what a process writes there


def free_port() -> int:
    """A port on loopback that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def refused(port: int) -> bool:
    """Whether nobody listens on a port of loopback; that a connection fails otherwise may be our own fault."""
    try:
        async with asyncio.timeout(2):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError as error:  # TimeoutError is one
        return isinstance(error, ConnectionRefusedError)
    writer.close()
    return False


def mlflow_timeout(timeout: float) -> str:
    """Seconds after which MLflow gives up on a call that the gateway ends after ``timeout``."""
    return str(max(1, round(timeout)) + STOPPING_SECONDS)


def serve_environment(tracking_uri: str | None, timeout: float) -> dict[str, str]:
    """The environment of a server: quiet, with our interpreter's scripts first, without our code on the path."""
    scripts = str(Path(sys.executable).parent)
    extra = {"PATH": scripts + os.pathsep + os.environ.get("PATH", os.defpath)}
    extra["MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT"] = mlflow_timeout(timeout)
    extra["UVICORN_ACCESS_LOG"] = "false"  # requests stand in the gateway's log; pings would fill this one
    if tracking_uri:
        extra["MLFLOW_TRACKING_URI"] = tracking_uri
    environment = without_secrets(quiet_environment(**extra))
    environment.pop("PYTHONPATH", None)  # a served model runs the code frozen with it
    return environment


def last_lines(log: str, number: int = 15) -> list[str]:
    """The last lines of a server's log since the last start, without the stack trace of MLflow's parent process."""
    log = re.split(f"(?m)^{START}.*\n", log)[-1]
    head, mark, trace = log.rpartition("Traceback (most recent call last):")
    if mark and "mlflow/models/cli.py" in trace and head.strip():
        log = head
    return log.rstrip().splitlines()[-number:]


class ServerProcess:
    """MLflow's parent process and the server that it starts, which are one process group.

    ``port`` is where it will listen.
    """

    def __init__(self, process: asyncio.subprocess.Process, port: int, folder: WorkFolder) -> None:
        self.port = port
        self._process = process
        self._folder: WorkFolder | None = folder
        self._killed = asyncio.Event()

    @classmethod
    async def start(
        cls, model: ServedModel, log: Path, *, tracking_uri: str | None, timeout: float, nice: int, folders: Path | None
    ) -> ServerProcess:
        """Start the process; arguments as of :class:`.local_server.LocalServer`. It does not answer yet."""
        port = free_port()
        # an empty folder to start in (nothing to import by chance), one for what MLflow downloads
        folder = work_folder(folders)
        try:
            cwd, tmp = (folder.path / name for name in ("cwd", "tmp"))
            for each in (cwd, tmp):
                each.mkdir()
            serve = ["-m", "mlflow", "models", "serve", "-m", model.uri, "--env-manager", "local"]
            serve += ["-h", "127.0.0.1", "-p", str(port), "-w", "1", "-t", mlflow_timeout(timeout)]
            with open_log(log) as output:
                output.write(f"{START}{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} port {port}: {model.uri}\n".encode())
                output.flush()
                process = await asyncio.create_subprocess_exec(
                    *tied(["nice", "-n", str(nice), sys.executable, *serve]),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=cwd,
                    env=serve_environment(tracking_uri, timeout) | {"TMPDIR": str(tmp)},
                    start_new_session=True,
                    pass_fds=(folder.lock,),
                )
        except BaseException:
            folder.remove()
            raise
        return cls(process, port, folder)

    @property
    def pid(self) -> int:
        """The process id of the parent process, also the process group."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs, and was not killed."""
        return self.code is None and not self._killed.is_set()

    @property
    def code(self) -> int | None:
        """What the process ended with; None while it runs."""
        return self._process.returncode

    @property
    def memory(self) -> int:
        """Bytes of memory that the process and all it started hold."""
        return resident_bytes(self.pid)

    async def ended(self) -> None:
        """Return when the process has ended, or was killed."""
        waits = [asyncio.create_task(self._process.wait()), asyncio.create_task(self._killed.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def kill(self) -> None:
        """End the process and all it started by SIGKILL, which also ends one that was stopped."""
        self._killed.set()
        signal_group(self.pid, signal.SIGKILL)

    async def stop(self, grace: float = 5) -> None:
        """End the process and all it started: SIGTERM, then after ``grace`` seconds SIGKILL. May be called twice."""
        try:
            family = family_of(self.pid)
            signal_group(self.pid, signal.SIGTERM)
            deadline = time.monotonic() + grace
            while any(is_running(process) for process in family) and time.monotonic() < deadline:
                await asyncio.sleep(0.05)
        finally:
            signal_group(self.pid, signal.SIGKILL)
            await self._process.wait()
            if self._folder is not None:
                self._folder.remove()
                self._folder = None
