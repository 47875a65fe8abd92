"""A model version behind the protocol of ``mlflow models serve``: ``/invocations`` and ``/ping`` over HTTP.

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
from multiner.serving import tracing
from multiner.serving.answers import ModelFailed, NoTokens, check_predictions, failure
from multiner.serving.backends.backend import Backend, BackendGone, BackendTimeout, ServedModel
from multiner.serving.backends.health import PING_SECONDS, STOPPING_SECONDS, Health

log = logging.getLogger("serving")
HEADERS = {"content-type": "application/json"}


async def outlast(*tasks: asyncio.Task[Any]) -> None:
    """Wait until all tasks have ended; a cancellation of the waiter takes effect only then."""
    cancelled: asyncio.CancelledError | None = None
    while waiting := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(waiting)
        except asyncio.CancelledError as error:
            cancelled = error
    for task in tasks:
        if not task.cancelled():
            task.exception()  # else asyncio logs that it was never retrieved
    if cancelled is not None:
        raise cancelled


def with_params(body: bytes, params: Mapping[str, Any]) -> bytes:
    """A body, a JSON object that is not empty, with ``params`` as its first field and no other change."""
    if not params:
        return body
    at = body.index(b"{") + 1
    return b'%b"params":%b,%b' % (body[:at], json.dumps(params).encode(), body[at:])


def body_of(texts: Sequence[str]) -> bytes:
    """Texts as the body of a call."""
    # dataframe_split, since the numpy strings behind "inputs" lose trailing NULs; escaped, since any text must pass
    return json.dumps({"dataframe_split": {"columns": ["text"], "data": [[text] for text in texts]}}).encode()


class ModelServer(Backend):
    """A server that speaks MLflow's protocol; subclasses know where it runs. A call may take ``timeout`` seconds."""

    def __init__(self, model: ServedModel, timeout: float) -> None:
        super().__init__(model)
        self.timeout = timeout
        self._client: httpx.AsyncClient | None = None
        self._takes_params, self._cancellable = True, False  # until the probe shows otherwise
        self._health = Health()
        self._lost = asyncio.Event()

    @abstractmethod
    async def start(self) -> None:
        """Make the server ready for calls, and :meth:`connect` to it.

        Raises:
            NerError: it does not get ready.
        """

    @abstractmethod
    def failure(self, message: str) -> NerError:
        """The error of a server that does not come up."""

    def mark_lost(self) -> None:
        """Make it no longer alive, and :meth:`ended` return."""
        self._lost.set()

    async def ended(self) -> None:
        """Return once it is certain, without a ping, that it no longer answers."""
        await self._lost.wait()

    async def refused(self) -> bool:
        """Whether certainly nobody listens; a connection may also fail by the gateway's own fault."""
        return False

    async def bring_up(self, at_once: int = 1) -> None:
        """As :meth:`.Backend.bring_up`."""
        try:
            await self.start()
            await self.probe()
            await self.warm_up(at_once)
        except BaseException:
            await self.close()
            raise

    def connect(self) -> None:
        """Make the HTTP client; this sends nothing."""
        self._client = httpx.AsyncClient(
            base_url=self.address,
            timeout=self.timeout + 2 * STOPPING_SECONDS,
            trust_env=False,
            # the server drops idle connections after 5 s; drop them first, or a request meets a closing one
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=16, keepalive_expiry=2),
        )

    def _connected(self) -> httpx.AsyncClient:
        assert self._client is not None  # start() comes before every call
        return self._client

    async def ping(self) -> bool:
        """Whether the server says that it is well.

        Raises:
            httpx.TransportError: no connection; httpx.TimeoutException: no answer within PING_SECONDS.
        """
        return (await self._connected().get("/ping", timeout=PING_SECONDS)).status_code == 200

    async def answers_ping(self) -> bool:
        """Whether the server can be reached and is well."""
        try:
            return await self.ping()
        except httpx.HTTPError:
            return False

    async def probe(self) -> None:
        """Ask the golden texts of the model's language.

        Raises:
            NerError: an answer is missing or not well formed, offsets included.
        """
        texts = [sample.text for sample in samples(self.model.language)]
        try:
            answers = await self.answer(texts, tokens=True)
            self._takes_params = all("tokens" in answer for answer in answers)
            self._cancellable = self._takes_params and await self._heeds_cancellation(texts[0])
        except (BackendGone, BackendTimeout, ModelFailed) as error:
            raise self.failure(f"the golden texts were not answered: {error}") from error

    async def _heeds_cancellation(self, text: str) -> bool:
        """Whether the model refuses a call that was cancelled before; older versions answer it."""
        call = secrets.token_hex(16)
        await self.cancel(call)
        return failure(await self.call(body_of([text]), {CALL: call})).raised

    async def warm_up(self, at_once: int) -> None:
        """Ask texts of several lengths, ``at_once`` calls together, so that no caller meets a slow first call.

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
        with tracing.span("model", client=True, model=self.model.name, version=self.model.version):
            return await self._traced_call(body, params)

    async def _traced_call(self, body: bytes, params: Mapping[str, Any] | None) -> httpx.Response:
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
        """As :meth:`.Backend.cancel`; if the server cannot be reached, MLflow ends the call when its time is up."""
        body = with_params(body_of([""]), {CANCEL: call})
        for _ in range(2):  # the first may meet a connection that the server is closing
            with contextlib.suppress(httpx.TransportError, RuntimeError):
                await self._connected().post("/invocations", content=body, headers=HEADERS, timeout=STOPPING_SECONDS)
                return

    async def _post(self, body: bytes, *, cancellable: bool) -> httpx.Response:
        for attempt in (1, 2):
            post = self._connected().post("/invocations", content=body, headers=tracing.with_context(HEADERS))
            try:
                return await self._health.hear(post, cancellable=cancellable)
            except httpx.TimeoutException:
                raise BackendTimeout("no answer, not even that it stopped") from None
            except (httpx.TransportError, RuntimeError) as error:  # RuntimeError: the client was closed
                if attempt == 2 and isinstance(error, httpx.ConnectError) and await self.refused():
                    self.give_up("nobody listens at its port")  # MLflow notices the death seconds later
                if attempt == 2 or not self.alive:
                    raise BackendGone(f"the model server did not answer ({type(error).__name__})") from None
            finally:
                if self._health.stuck:
                    self.give_up("several calls in a row did not stop when told to")
        raise AssertionError("not reached")

    async def answer(self, texts: Sequence[str], *, tokens: bool = False) -> list[dict[str, Any]]:
        """As :meth:`.Backend.answer`; the probe has shown whether the version has tokens."""
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
        """As :meth:`.Backend.lost`; a server that hangs or no longer listens is given up."""

        async def watch() -> None:
            self.give_up(await self._health.lost(self.ping, self.refused))

        watcher = asyncio.create_task(watch())
        try:
            await self.ended()
        finally:
            watcher.cancel()

    def give_up(self, reason: str) -> None:
        """Stop calling a server that does not answer; :meth:`lost` returns then."""
        if self.alive:
            log.error("model server does not answer", extra={"fields": self.model.facts | {"reason": reason}})
            self.mark_lost()

    async def close(self) -> None:
        """As :meth:`.Backend.close`."""
        if self._client is not None:
            await self._client.aclose()
