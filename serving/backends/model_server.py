"""Slots: what a model version is asked through, in a process of its own (:mod:`.server_process`).

A slot is started, probed, asked, drained and stopped here, and ended where its process is found to answer no more;
which slot takes the traffic is decided in :mod:`multiner.serving.routing.model_router`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.inference.cancel_tickets import issued
from multiner.pipeline.inference.golden import samples
from multiner.serving.answers import (
    ModelFailed,
    NoTokens,
    check_predictions,
    failure,
)
from multiner.serving.backends.health import PING_SECONDS, Pulse
from multiner.serving.backends.server_process import (
    STOPPING_SECONDS,
    ServedModel,
    ServedProcess,
    refused,
    telling_lines,
)

log = logging.getLogger("serving")


class SlotGone(Exception):
    """The process did not take the request, or died over it."""


class SlotTimeout(Exception):
    """No answer within the time allowed."""


async def outlast(task: asyncio.Task[Any]) -> None:
    """Wait until ``task`` has ended, however often the waiter is cancelled meanwhile, and then be cancelled."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if not task.cancelled():
        task.exception()  # asked for here, since nobody else will
    if cancelled is not None:
        raise cancelled


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
        log: the file that its output is appended to.
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
        self._process: ServedProcess | None = None
        self._client: httpx.AsyncClient | None = None
        self._tickets: Path | None = None
        self._takes_params = True  # until the probe tells otherwise
        self._pulse = Pulse()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def pid(self) -> int | None:
        """The process id of the server's parent process, also its process group."""
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        """Whether the process runs, and was not ended here."""
        return self._process is not None and self._process.alive

    @property
    def resident(self) -> int:
        """Bytes of memory that the process and all it started hold."""
        return self._process.resident if self._process else 0

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
        self._process = await ServedProcess.start(
            self.model,
            self.log,
            tracking_uri=self.tracking_uri,
            timeout=self.timeout,
            nice=self.nice,
            folders=self.folders,
        )
        self.port, self._tickets = self._process.port, self._process.tickets
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
                raise self._failure(f"the served process ended with code {self._process.code} before it was ready")
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

    async def invoke(self, body: bytes, params: Mapping[str, Any] | None = None) -> httpx.Response:
        """What the process answers to a body at ``/invocations``, whatever its status.

        Where the caller is cancelled, or the time is up, the model is told to stop, and waited for.

        Args:
            body: JSON in one of MLflow's shapes, without ``params`` of its own.
            params: for the model.

        Raises:
            SlotGone, SlotTimeout: see there.
        """
        with issued(self._tickets) if self._tickets else contextlib.nullcontext() as ticket:
            if self._takes_params:
                body = with_params(body, {**(params or {}), **({"ticket": ticket.name} if ticket else {})})
            asking = asyncio.create_task(self._post(body, self._takes_params and ticket is not None))
            try:
                async with asyncio.timeout(self.timeout):
                    response = await asyncio.shield(asking)
            except (TimeoutError, asyncio.CancelledError) as error:
                if ticket:
                    ticket.withdraw()
                await outlast(asking)  # the place at the model is free once the model is
                if isinstance(error, TimeoutError):
                    raise SlotTimeout(f"no answer within {self.timeout:g} s") from None
                raise
        if response.status_code == 504:
            raise SlotTimeout(f"no answer within {self.timeout:g} s")
        return response

    async def _post(self, body: bytes, stoppable: bool) -> httpx.Response:
        for attempt in (1, 2):
            post = self._client.post("/invocations", content=body, headers={"content-type": "application/json"})
            try:
                return await self._pulse.hear(post, stoppable=stoppable)
            except httpx.TimeoutException:
                raise SlotTimeout("no answer, not even that it stopped") from None
            except (httpx.TransportError, RuntimeError) as error:  # RuntimeError: the client was closed
                if attempt == 2 and isinstance(error, httpx.ConnectError) and await refused(self.port):
                    self.end("nobody listens at its port")  # its server has died; MLflow notices seconds later
                if attempt == 2 or not self.alive:
                    raise SlotGone(f"the served process did not answer ({type(error).__name__})") from None
            finally:
                if self._pulse.stuck:
                    self.end("several calls in a row had to stop and did not")
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
        response = await self.invoke(body, {"tokens": True} if tokens else None)
        if response.status_code != 200:
            raise ModelFailed(f"the model answered {response.status_code} ({failure(response).reason})")
        try:
            predictions = response.json()["predictions"]
        except (ValueError, KeyError, TypeError):
            raise ModelFailed("the model's answer is no JSON with predictions") from None
        check_predictions(texts, predictions)
        return predictions

    async def died(self) -> None:
        """Return when the process has ended; one that hangs, or listens no more, is ended."""
        watching = asyncio.create_task(self._watch())
        try:
            await self._process.ended()
        finally:
            watching.cancel()

    async def _watch(self) -> None:
        client, port = self._client, self.port
        self.end(await self._pulse.lost(lambda: client.get("/ping", timeout=PING_SECONDS), lambda: refused(port)))

    def end(self, reason: str) -> None:
        """End the process at once, for it does not answer: :meth:`died` tells, and :meth:`stop` tidies up."""
        if self.alive:
            named = {"language": self.model.language, "name": self.model.name, "version": self.model.version}
            log.error("slot does not answer", extra={"fields": named | {"reason": reason}})
            self._process.kill()

    async def drain(self, timeout: float) -> None:
        """Wait until no request is in flight, ``timeout`` seconds at most."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), timeout)

    async def stop(self, grace: float = 5) -> None:
        """End the process and all it started: SIGTERM, then after ``grace`` seconds SIGKILL. May be called twice."""
        if self._process is not None:
            await self._process.stop(grace)
        if self._client is not None:
            await self._client.aclose()
