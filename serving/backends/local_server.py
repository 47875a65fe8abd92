"""A backend on this machine: a process of ``mlflow models serve`` on loopback (:mod:`.server_process`)."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from multiner.pipeline.core.errors import NerError
from multiner.serving.backends.backend import ServedModel
from multiner.serving.backends.model_server import ModelServer
from multiner.serving.backends.server_process import ServerProcess, last_lines, refused

START_SECONDS = 180  # until a model is loaded, on a busy machine


class LocalServer(ModelServer):
    """A process of ``mlflow models serve``, ended when it is found to answer no more.

    Args:
        model: what it serves.
        log: the file that its output is appended to.
        tracking_uri: MLflow's tracking address, needed for ``models:/`` addresses.
        timeout: seconds a call may take.
        nice: how far the process stands back for others, 0 to 19.
        folders: where to make the folder that it works in; None: among the system's temporary ones.
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
    ) -> None:
        super().__init__(model, timeout)
        self.log = log
        self.tracking_uri = tracking_uri
        self.nice = nice
        self.folders = folders
        self.port = 0
        self._process: ServerProcess | None = None

    @property
    def address(self) -> str:
        """A port of loopback."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """The process id of the server's parent process, also its process group."""
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        """Whether the process runs, and was not ended here."""
        return self._process is not None and self._process.alive

    @property
    def memory(self) -> int:
        """Bytes of memory that the process and all it started hold."""
        return self._process.memory if self._process else 0

    async def start(self) -> None:
        """Start the process and wait until it says that its model is loaded.

        Raises:
            NerError: it ended or stayed silent; the end of its log is in the message.
        """
        self._process = await ServerProcess.start(
            self.model,
            self.log,
            tracking_uri=self.tracking_uri,
            timeout=self.timeout,
            nice=self.nice,
            folders=self.folders,
        )
        self.port = self._process.port
        self.connect()
        deadline = time.monotonic() + START_SECONDS
        while not await self.answers_ping():
            if not self.alive:
                raise self.failure(f"the server process ended with code {self._process.code} before it was ready")
            if time.monotonic() > deadline:
                raise self.failure(f"the server process was not ready within {START_SECONDS} s")
            await asyncio.sleep(0.2)

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
        """Whether nobody listens at its port."""
        return await refused(self.port)

    def mark_lost(self) -> None:
        """Kill the process."""
        assert self._process is not None  # only what was alive is lost
        self._process.kill()

    async def ended(self) -> None:
        """Return when the process has ended, or was killed."""
        assert self._process is not None  # it was started
        await self._process.ended()

    async def close(self) -> None:
        """End the process and all it started. May be called twice."""
        if self._process is not None:
            await self._process.stop()
        await super().close()
