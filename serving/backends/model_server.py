"""A model version behind the protocol of ``mlflow models serve``: ``/invocations`` and ``/ping``, over HTTP alone.

Source: https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.inference.cancelled_calls import CALL, CANCEL
from multiner.pipeline.inference.golden import samples
from multiner.serving.answers import ModelFailed, NoTokens, check_predictions, failure
from multiner.serving.backends.backend import Backend, BackendGone, BackendTimeout, ServedModel
from multiner.serving.backends.health import PING_SECONDS, STOPPING_SECONDS, Health

log = logging.getLogger("serving")
HEADERS = {"content-type": "application/json"}


async def outlast(*tasks: asyncio.Task[Any]) -> None:
    """Wait until all tasks have ended, however often the waiter is cancelled meanwhile, and then be cancelled."""
    cancelled: asyncio.CancelledError | None = None
    while waiting := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(waiting)
        except asyncio.CancelledError as error:
            cancelled = error
    for task in tasks:
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


def body_of(texts: Sequence[str]) -> bytes:
    """Texts as the body of a call."""
    # dataframe_split, since the numpy strings behind "inputs" lose trailing NULs; escaped, since any text must pass
    return json.dumps({"dataframe_split": {"columns": ["text"], "data": [[text] for text in texts]}}).encode()


class ModelServer(Backend):
    """A server that speaks MLflow's protocol; where it runs is left to subclasses.

    Args:
        model: what it serves.
        timeout: seconds a call may take.
    """

    def __init__(self, model: ServedModel, timeout: float) -> None:
        super().__init__(model)
        self.timeout = timeout
        self._client: httpx.AsyncClient | None = None
        self._takes_params = True  # until the probe tells otherwise
        self._cancellable = False  # until the probe tells otherwise
        self._health = Health()

    @abstractmethod
    async def start(self) -> None:
        """Reach the server, ready for calls, with :meth:`connect`.

        Raises:
            NerError: it does not get ready.
        """

    @abstractmethod
    def failure(self, message: str) -> NerError:
        """The error of a server that does not come up."""

    @abstractmethod
    def mark_lost(self) -> None:
        """See to it that it is not alive any more, and that :meth:`ended` returns."""

    @abstractmethod
    async def ended(self) -> None:
        """Return when it is known to answer no more, without asking it."""

    async def refused(self) -> bool:
        """Whether it is certain that nobody listens; that a connection fails otherwise may be the gateway's fault."""
        return False

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
            await self.close()
            raise

    def connect(self) -> None:
        """Prepare to call the server; nothing is sent yet."""
        self._client = httpx.AsyncClient(
            base_url=self.address,
            timeout=self.timeout + 2 * STOPPING_SECONDS,
            trust_env=False,
            # the server drops idle connections after 5 s; drop them first, or a request meets a closing one
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=16, keepalive_expiry=2),
        )

    def _connected(self) -> httpx.AsyncClient:
        assert self._client is not None  # nothing is asked before start() has connected
        return self._client

    async def ping(self) -> bool:
        """Whether the server says that it is well.

        Raises:
            httpx.TimeoutException: nothing comes within PING_SECONDS.
            httpx.TransportError: it cannot be asked.
        """
        return (await self._connected().get("/ping", timeout=PING_SECONDS)).status_code == 200

    async def answers_ping(self) -> bool:
        """Whether the server is there, and well."""
        try:
            return await self.ping()
        except httpx.HTTPError:
            return False

    async def probe(self) -> None:
        """Ask the golden texts of the model's language; what comes back must be well formed, offsets included.

        Raises:
            NerError: it is not.
        """
        texts = [sample.text for sample in samples(self.model.language)]
        try:
            answers = await self.answer(texts, tokens=True)
            self._takes_params = all("tokens" in answer for answer in answers)
            self._cancellable = self._takes_params and await self._heeds_cancellation(texts[0])
        except (BackendGone, BackendTimeout, ModelFailed) as error:
            raise self.failure(f"the golden texts were not answered: {error}") from error

    async def _heeds_cancellation(self, text: str) -> bool:
        """Whether the model refuses a call that is cancelled before it comes; older versions answer it."""
        call = secrets.token_hex(16)
        await self.cancel(call)
        return failure(await self.call(body_of([text]), {CALL: call})).raised

    async def warm_up(self, at_once: int) -> None:
        """Answer texts of several lengths, ``at_once`` calls together, so that no caller meets what is slow at first.

        Raises:
            NerError: a call is not answered.
        """
        texts = [sample.text for sample in samples(self.model.language)]
        try:
            for text in (*texts, "\n".join(texts)):
                await asyncio.gather(*(self.predict([text]) for _ in range(at_once)))
        except (BackendGone, BackendTimeout, ModelFailed) as error:
            raise self.failure(f"the golden texts were not answered a second time: {error}") from error

    async def call(self, body: bytes, params: Mapping[str, Any] | None = None) -> httpx.Response:
        """As :meth:`.Backend.call`."""
        call = secrets.token_hex(16) if self._cancellable else None
        if self._takes_params:
            body = with_params(body, {**(params or {}), **({CALL: call} if call else {})})
        posting = asyncio.create_task(self._post(body, cancellable=call is not None))
        try:
            async with asyncio.timeout(self.timeout):
                response = await asyncio.shield(posting)
        except (TimeoutError, asyncio.CancelledError) as error:
            stopping = [asyncio.create_task(self.cancel(call))] if call else []
            await outlast(posting, *stopping)  # the place at the model is free once the model is
            if isinstance(error, TimeoutError):
                raise BackendTimeout(f"no answer within {self.timeout:g} s") from None
            raise
        if response.status_code == 504:
            raise BackendTimeout(f"no answer within {self.timeout:g} s")
        return response

    async def cancel(self, call: str) -> None:
        """As :meth:`.Backend.cancel`; where the server is not reached, MLflow ends the call when its time is up."""
        body = with_params(body_of([""]), {CANCEL: call})
        for _ in range(2):  # the first may meet a connection that is just being closed
            with contextlib.suppress(httpx.TransportError, RuntimeError):
                await self._connected().post("/invocations", content=body, headers=HEADERS, timeout=STOPPING_SECONDS)
                return

    async def _post(self, body: bytes, *, cancellable: bool) -> httpx.Response:
        for attempt in (1, 2):
            post = self._connected().post("/invocations", content=body, headers=HEADERS)
            try:
                return await self._health.hear(post, cancellable=cancellable)
            except httpx.TimeoutException:
                raise BackendTimeout("no answer, not even that it stopped") from None
            except (httpx.TransportError, RuntimeError) as error:  # RuntimeError: the client was closed
                if attempt == 2 and isinstance(error, httpx.ConnectError) and await self.refused():
                    self.give_up("nobody listens at its port")  # its server has died; MLflow notices seconds later
                if attempt == 2 or not self.alive:
                    raise BackendGone(f"the model server did not answer ({type(error).__name__})") from None
            finally:
                if self._health.stuck:
                    self.give_up("several calls in a row had to stop and did not")
        raise AssertionError("not reached")

    async def answer(self, texts: Sequence[str], *, tokens: bool = False) -> list[dict[str, Any]]:
        """As :meth:`.Backend.answer`; that a version cannot tell tokens, the probe has seen."""
        if tokens and not self._takes_params:
            raise NoTokens(f"{self.model.name} version {self.model.version} was registered before models told tokens")
        response = await self.call(body_of(texts), {"tokens": True} if tokens else None)
        if response.status_code != 200:
            raise ModelFailed(f"the model answered {response.status_code} ({failure(response).reason})")
        try:
            predictions = response.json()["predictions"]
        except (ValueError, KeyError, TypeError):
            raise ModelFailed("the model's answer is no JSON with predictions") from None
        check_predictions(texts, predictions)
        return predictions

    async def lost(self) -> None:
        """As :meth:`.Backend.lost`: a server that hangs, or listens no more, is given up."""
        watching = asyncio.create_task(self._watch())
        try:
            await self.ended()
        finally:
            watching.cancel()

    async def _watch(self) -> None:
        self.give_up(await self._health.lost(self.ping, self.refused))

    def give_up(self, reason: str) -> None:
        """Call the server no more, for it does not answer: :meth:`lost` tells, and :meth:`close` tidies up."""
        if self.alive:
            named = {"language": self.model.language, "name": self.model.name, "version": self.model.version}
            log.error("model server does not answer", extra={"fields": named | {"reason": reason}})
            self.mark_lost()

    async def close(self) -> None:
        """As :meth:`.Backend.close`."""
        if self._client is not None:
            await self._client.aclose()
