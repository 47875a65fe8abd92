"""A backend on this machine: a process of ``mlflow models serve`` on a loopback port."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psutil

from multiner.pipeline.core.environment import quiet_environment, without_secrets
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.processes import is_running, tied, tree
from multiner.pipeline.notices import without_addresses
from multiner.serving import executors
from multiner.serving.backends.backend import ServedModel
from multiner.serving.backends.health import STOPPING_SECONDS
from multiner.serving.backends.model_server import ModelServer
from multiner.serving.backends.work_folders import WorkFolder, work_folder
from multiner.serving.logs import open_log

START_SECONDS = 180  # for a model to load, on a busy machine
GRACE_SECONDS = 5  # between SIGTERM and SIGKILL
START = "=== started "  # begins the line that is written to the log before each start


class LocalServer(ModelServer):
    """A process of ``mlflow models serve``, which ends with this process, or when it no longer answers.

    MLflow's process and the server that it starts are one process group.

    Args:
        model: the version to serve.
        log: the file that the output is appended to.
        tracking_uri: MLflow's tracking address, needed for ``models:/`` addresses.
        timeout: seconds that a call may take.
        nice: niceness of the process, 0 to 19.
        folders: where the work folder is made; None: in the system's temporary folder.
        source: checks the version before each start, and returns what to serve it from; it may put a copy into the
            empty folder that it is given.
    """

    def __init__(
        self,
        model: ServedModel,
        log: Path,
        *,
        tracking_uri: str | None = None,
        timeout: float = 60,
        nice: int = 0,
        folders: Path | None = None,
        source: Callable[[Path], str] | None = None,
    ) -> None:
        super().__init__(model, timeout)
        self.log = log
        self.tracking_uri = tracking_uri
        self.nice = nice
        self.folders = folders
        self.source = source
        self.port = 0
        self._process: asyncio.subprocess.Process | None = None
        self._folder: WorkFolder | None = None

    @property
    def address(self) -> str:
        """A port of loopback."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """Id of MLflow's process, and of its process group."""
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        """Whether the process runs and was not killed."""
        return self._process is not None and self._process.returncode is None and not self._lost.is_set()

    @property
    def memory(self) -> int:
        """Bytes of resident memory of the process and its descendants."""
        total = 0
        for process in tree(self._process.pid) if self._process else ():
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
        return total

    async def start(self) -> None:
        """Start the process and wait until its model is loaded.

        Raises:
            NerError: it ended or stayed silent; the message has the end of its log.
        """
        self._process = await self.launch()
        self.connect()
        deadline = time.monotonic() + START_SECONDS
        while not await self.answers_ping():
            if not self.alive:
                code = self._process.returncode
                raise self.failure(f"the server process ended with code {code} before it was ready")
            if time.monotonic() > deadline:
                raise self.failure(f"the server process was not ready within {START_SECONDS} s")
            await asyncio.sleep(0.2)

    async def launch(self) -> asyncio.subprocess.Process:
        """Start the process on a free port; it does not answer yet.

        Raises:
            NerError: the version must not be served.
        """
        self.port = free_port()
        self._folder = work_folder(self.folders)
        # an empty folder to start in (nothing to import by chance), one for what MLflow downloads
        cwd, tmp, copy = (self._folder.path / name for name in ("cwd", "tmp", "model"))
        for folder in (cwd, tmp, copy):
            folder.mkdir()
        uri = await executors.run(executors.REGISTRY, self.source, copy) if self.source else self.model.uri
        serve = ["-m", "mlflow", "models", "serve", "-m", uri, "--env-manager", "local"]
        serve += ["-h", "127.0.0.1", "-p", str(self.port), "-w", "1", "-t", mlflow_timeout(self.timeout)]
        with open_log(self.log) as output:
            now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
            output.write(f"{START}{now} port {self.port}: {self.model.uri}\n".encode())
            output.flush()
            return await asyncio.create_subprocess_exec(
                *tied(["nice", "-n", str(self.nice), sys.executable, *serve]),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=cwd,
                env=serve_environment(self.tracking_uri, self.timeout) | {"TMPDIR": str(tmp)},
                start_new_session=True,
                pass_fds=(self._folder.lock,),
            )

    def failure(self, message: str) -> NerError:
        """The error of a process that does not come up, with the end of its log."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        tail = "\n".join(f"  | {line}" for line in last_lines(text))
        return NerError(
            f"{self.model.name} version {self.model.version}: {message}\n{tail}",
            where=str(self.log),
            remedy="See the log; the version that was live before goes on serving.",
        )

    async def refused(self) -> bool:
        """Whether nobody listens at its port; a connection that fails otherwise may be the gateway's own fault."""
        try:
            async with asyncio.timeout(2):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError as error:  # TimeoutError is one
            return isinstance(error, ConnectionRefusedError)
        writer.close()
        return False

    def mark_lost(self) -> None:
        """Kill the process group, even a stopped one."""
        super().mark_lost()
        self._signal(signal.SIGKILL)

    async def ended(self) -> None:
        """Return when the process has ended or was killed."""
        assert self._process is not None  # only what was started is watched
        waits = [asyncio.create_task(self._process.wait()), asyncio.create_task(self._lost.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def close(self) -> None:
        """End the process and its descendants: SIGTERM, after GRACE_SECONDS SIGKILL. May be called twice."""
        try:
            family = tree(self._process.pid) if self._process else []
            self._signal(signal.SIGTERM)
            deadline = time.monotonic() + GRACE_SECONDS
            while any(is_running(process) for process in family) and time.monotonic() < deadline:
                await asyncio.sleep(0.05)
        finally:
            if self._process:
                self._signal(signal.SIGKILL)
                await self._process.wait()
            if self._folder:
                self._folder.remove()
                self._folder = None
        await super().close()

    def _signal(self, number: int) -> None:
        """Send a signal to the process group, if it is still there."""
        if self._process:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)


def free_port() -> int:
    """A loopback port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def mlflow_timeout(timeout: float) -> str:
    """Seconds after which MLflow gives up a call that the gateway ends after ``timeout``."""
    return str(max(1, round(timeout)) + STOPPING_SECONDS)


def serve_environment(tracking_uri: str | None, timeout: float) -> dict[str, str]:
    """The environment of a server: quiet, this interpreter's scripts first, and none of our code on the path."""
    scripts = str(Path(sys.executable).parent)
    extra = {"PATH": scripts + os.pathsep + os.environ.get("PATH", os.defpath)}
    extra["MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT"] = mlflow_timeout(timeout)
    extra["UVICORN_ACCESS_LOG"] = "false"  # requests are in the gateway's log; pings would fill this one
    if tracking_uri:
        extra["MLFLOW_TRACKING_URI"] = tracking_uri
    environment = without_addresses(without_secrets(quiet_environment(**extra)))
    environment.pop("PYTHONPATH", None)  # a served model runs the code frozen with it
    environment["PYTHONDONTWRITEBYTECODE"] = "1"  # its folder stays as it was signed
    return environment


def last_lines(log: str, number: int = 15) -> list[str]:
    """The last lines of a server's log since the last start, without the stack trace of MLflow's own process."""
    log = re.split(f"(?m)^{START}.*\n", log)[-1]
    head, mark, trace = log.rpartition("Traceback (most recent call last):")
    if mark and "mlflow/models/cli.py" in trace and head.strip():
        log = head
    return log.rstrip().splitlines()[-number:]
