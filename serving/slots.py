"""Slots: loopback processes of ``mlflow models serve``, one model version each.

A slot is started, probed, asked, drained and stopped here; which slot takes the traffic is decided in
:mod:`serving.switching`. The processes die with their parent, however that dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from pipeline.environment import quiet_environment, without_secrets
from pipeline.errors import NerError
from pipeline.golden import samples
from serving.answers import ModelFailed, NoTokens, check_predictions, failure
from serving.folders import SlotFolder, slot_folder
from serving.processes import family_of, is_running, resident_bytes, signal_group
from serving.tickets import FOLDER, issued

# exec'd in between: the kernel ends the server when the gateway ends, even by SIGKILL (Linux only)
DIE_WITH_PARENT = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the gateway has gone")
os.nice(int(sys.argv[2]))
os.execv(sys.executable, [sys.executable, *sys.argv[3:]])
"""


STOPPING_SECONDS = 5  # in which a model whose ticket was withdrawn has stopped


class SlotGone(Exception):
    """The process did not take the request, or died over it."""


class SlotTimeout(Exception):
    """No answer within the time allowed."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A registered model version: ``uri`` is what ``mlflow models serve -m`` takes (a folder, or models:/…)."""

    language: str
    name: str
    version: str
    uri: str


def free_port() -> int:
    """A port on loopback that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def mlflow_timeout(timeout: float) -> str:
    """Seconds after which MLflow gives up on a call that the gateway ends after ``timeout``."""
    return str(max(1, round(timeout)) + STOPPING_SECONDS)


def serve_environment(tracking_uri: str | None, timeout: float) -> dict[str, str]:
    """The environment of a slot: quiet, with our interpreter's scripts first, without our code on the path."""
    scripts = str(Path(sys.executable).parent)
    extra = {"PATH": scripts + os.pathsep + os.environ.get("PATH", os.defpath)}
    extra["MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT"] = mlflow_timeout(timeout)
    if tracking_uri:
        extra["MLFLOW_TRACKING_URI"] = tracking_uri
    environment = without_secrets(quiet_environment(**extra))
    environment.pop("PYTHONPATH", None)  # a served model runs the code frozen with it
    return environment


def telling_lines(log: str, number: int = 15) -> list[str]:
    """The last lines of a slot's log, without the stack trace of MLflow's parent process, which tells nothing."""
    head, mark, trace = log.rpartition("Traceback (most recent call last):")
    if mark and "mlflow/models/cli.py" in trace and head.strip():
        log = head
    return log.rstrip().splitlines()[-number:]


def with_params(body: bytes, params: Mapping[str, Any]) -> bytes:
    """A JSON object, not empty, with ``params`` as its first field; else as it was, however it was written."""
    if not params:
        return body
    at = body.index(b"{") + 1
    return b'%b"params":%b,%b' % (body[:at], json.dumps(params).encode(), body[at:])


class Slot:
    """A process of ``mlflow models serve``.

    Args:
        model: what it serves.
        log: where its output goes.
        tracking_uri: MLflow's tracking address, needed for ``models:/`` addresses.
        timeout: seconds a request may take.
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
        self.model = model
        self.log = log
        self.tracking_uri = tracking_uri
        self.timeout = timeout
        self.nice = nice
        self.folders = folders
        self.port = 0
        self.in_flight = 0
        self._process: asyncio.subprocess.Process | None = None
        self._client: httpx.AsyncClient | None = None
        self._folder: SlotFolder | None = None
        self._tickets: Path | None = None
        self._takes_params = True  # until the probe tells otherwise
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def pid(self) -> int | None:
        """The process id of the server's parent process, also its process group."""
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def resident(self) -> int:
        """Bytes of memory that the process and all it started hold."""
        return resident_bytes(self._process.pid) if self._process else 0

    async def bring_up(self, at_once: int = 1) -> None:
        """Start, probe and warm up; where one of them fails, nothing is left behind.

        Args:
            at_once: calls that it will have to answer at the same time.

        Raises:
            NerError: it does not come up, or does not answer the golden texts.
        """
        try:
            await self.start()
            await self.probe()
            await self.warm_up(at_once)
        except BaseException:
            await self.stop()
            raise

    async def start(self, timeout: float = 180) -> None:
        """Start the process and wait until it says that its model is loaded.

        Raises:
            NerError: it ended or stayed silent; the end of its log is in the message.
        """
        self.port = free_port()
        # an empty folder to start in (nothing to import by chance), one for what MLflow downloads, one for tickets
        self._folder = slot_folder(self.folders)
        folders = {name: self._folder.path / name for name in ("cwd", "tmp", "tickets")}
        for folder in folders.values():
            folder.mkdir()
        self._tickets = folders["tickets"]
        private = {"TMPDIR": str(folders["tmp"]), FOLDER: str(self._tickets)}
        self.log.parent.mkdir(parents=True, exist_ok=True)
        serve = ["-m", "mlflow", "models", "serve", "-m", self.model.uri, "--env-manager", "local"]
        serve += ["-h", "127.0.0.1", "-p", str(self.port), "-w", "1", "-t", mlflow_timeout(self.timeout)]
        with self.log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-c", DIE_WITH_PARENT, str(os.getpid()), str(self.nice), *serve),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folders["cwd"],
                env=serve_environment(self.tracking_uri, self.timeout) | private,
                start_new_session=True,
                pass_fds=(self._folder.lock,),
            )
        self._client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}",
            timeout=self.timeout + 2 * STOPPING_SECONDS,
            trust_env=False,
            # the server drops idle connections after 5 s; drop them first, or a request meets a closing one
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=16, keepalive_expiry=2),
        )
        deadline = time.monotonic() + timeout
        while not await self._answers_ping():
            if not self.alive:
                raise self._failure(
                    f"the served process ended with code {self._process.returncode} before it was ready"
                )
            if time.monotonic() > deadline:
                raise self._failure(f"the served process was not ready within {timeout:.0f} s")
            await asyncio.sleep(0.2)

    async def _answers_ping(self) -> bool:
        try:
            return (await self._client.get("/ping", timeout=2)).status_code == 200
        except httpx.HTTPError:
            return False

    def _failure(self, message: str) -> NerError:
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        tail = "\n".join(f"  | {line}" for line in telling_lines(text))
        return NerError(
            f"{self.model.name} version {self.model.version}: {message}\n{tail}",
            where=str(self.log),
            remedy="See the log; the version that was live before goes on serving.",
        )

    async def probe(self) -> None:
        """Ask the golden texts of the model's language; what comes back must be well formed, offsets included.

        Raises:
            NerError: it is not.
        """
        try:
            answers = await self.answer([sample.text for sample in samples(self.model.language)], tokens=True)
            self._takes_params = all("tokens" in answer for answer in answers)
        except (SlotGone, SlotTimeout, ModelFailed) as error:
            raise self._failure(f"the golden texts were not answered: {error}") from error

    async def warm_up(self, at_once: int) -> None:
        """Answer texts of several lengths, ``at_once`` calls together, so that no caller meets what is slow at first.

        Raises:
            NerError: a call is not answered.
        """
        texts = [sample.text for sample in samples(self.model.language)]
        try:
            for text in (*texts, "\n".join(texts)):
                await asyncio.gather(*(self.predict([text]) for _ in range(at_once)))
        except (SlotGone, SlotTimeout, ModelFailed) as error:
            raise self._failure(f"the golden texts were not answered a second time: {error}") from error

    @contextlib.contextmanager
    def lease(self) -> Iterator[Slot]:
        """Count a request as in flight; a leased slot is not stopped by :meth:`drain`."""
        self.in_flight += 1
        self._idle.clear()
        try:
            yield self
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self._idle.set()

    async def invoke(self, body: bytes, content_type: str, params: Mapping[str, Any] | None = None) -> httpx.Response:
        """What the process answers to a body at ``/invocations``, whatever its status.

        Where the caller is cancelled, or the time is up, the model is told to stop, and waited for.

        Args:
            body: in one of MLflow's shapes; JSON without ``params`` of its own.
            content_type: of the body. CSV has no room for parameters: such a call runs to its end.
            params: for the model.

        Raises:
            SlotGone, SlotTimeout: see there.
        """
        with issued(self._tickets) if self._tickets else contextlib.nullcontext() as ticket:
            if content_type == "application/json" and self._takes_params:
                body = with_params(body, {**(params or {}), **({"ticket": ticket.name} if ticket else {})})
            asking = asyncio.create_task(self._post(body, content_type))
            try:
                async with asyncio.timeout(self.timeout):
                    response = await asyncio.shield(asking)
            except (TimeoutError, asyncio.CancelledError) as error:
                if ticket:
                    ticket.withdraw()
                await asyncio.wait({asking})  # the place at the model is free once the model is
                if not asking.cancelled():
                    asking.exception()
                if isinstance(error, TimeoutError):
                    raise SlotTimeout(f"no answer within {self.timeout:g} s") from None
                raise
        if response.status_code == 504:
            raise SlotTimeout(f"no answer within {self.timeout:g} s")
        return response

    async def _post(self, body: bytes, content_type: str) -> httpx.Response:
        for attempt in (1, 2):
            try:
                return await self._client.post("/invocations", content=body, headers={"content-type": content_type})
            except httpx.TimeoutException:
                raise SlotTimeout("no answer, not even that it stopped") from None
            except (httpx.TransportError, RuntimeError) as error:  # RuntimeError: the client was closed
                if attempt == 2 or not self.alive:
                    raise SlotGone(f"the served process did not answer ({type(error).__name__})") from None
        raise AssertionError("not reached")

    async def predict(self, texts: Sequence[str]) -> list[list[dict[str, Any]]]:
        """Entities of each text, as the model answers them.

        Raises:
            SlotGone, SlotTimeout, ModelFailed: see there.
        """
        return [answer["entities"] for answer in await self.answer(texts)]

    async def answer(self, texts: Sequence[str], *, tokens: bool = False) -> list[dict[str, Any]]:
        """What the model answers to each text: its ``entities``, and its ``tokens`` if asked for.

        Raises:
            NoTokens: this version cannot tell tokens; the probe has found that.
            SlotGone, SlotTimeout, ModelFailed: see there.
        """
        if tokens and not self._takes_params:
            raise NoTokens(f"{self.model.name} version {self.model.version} was registered before models told tokens")
        # dataframe_split, since the numpy strings behind "inputs" lose trailing NULs; escaped, since any text must pass
        body = json.dumps({"dataframe_split": {"columns": ["text"], "data": [[text] for text in texts]}}).encode()
        response = await self.invoke(body, "application/json", {"tokens": True} if tokens else None)
        if response.status_code != 200:
            raise ModelFailed(f"the model answered {response.status_code} ({failure(response).reason})")
        try:
            predictions = response.json()["predictions"]
        except (ValueError, KeyError, TypeError):
            raise ModelFailed("the model's answer is no JSON with predictions") from None
        check_predictions(texts, predictions)
        return predictions

    async def died(self) -> None:
        """Return when the process has ended."""
        await self._process.wait()

    async def drain(self, timeout: float) -> None:
        """Wait until no request is in flight, ``timeout`` seconds at most."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), timeout)

    async def stop(self, grace: float = 5) -> None:
        """End the process and all it started: SIGTERM, then after ``grace`` seconds SIGKILL. May be called twice."""
        if self._process is not None:
            family = family_of(self._process.pid)
            signal_group(self._process.pid, signal.SIGTERM)
            deadline = time.monotonic() + grace
            while any(is_running(process) for process in family) and time.monotonic() < deadline:
                await asyncio.sleep(0.05)
            signal_group(self._process.pid, signal.SIGKILL)
            await self._process.wait()
        if self._client is not None:
            await self._client.aclose()
        if self._folder is not None:
            self._folder.remove()
            self._folder = None
