"""A backend elsewhere: an endpoint that speaks the protocol of ``mlflow models serve``, and that others keep up."""

from __future__ import annotations

import asyncio
import logging

import httpx

from multiner.pipeline.core.errors import NerError
from multiner.serving.backends.backend import ServedModel
from multiner.serving.backends.health import PING_SECONDS
from multiner.serving.backends.model_server import ModelServer

log = logging.getLogger("serving")


class RemoteServer(ModelServer):
    """An endpoint at ``model.uri``. It is reached in place of being started, and left to itself when it is closed.

    Args:
        model: what it serves, as far as it is known; ``uri`` is the endpoint's address.
        timeout: seconds a call may take.
    """

    def __init__(self, model: ServedModel, timeout: float) -> None:
        super().__init__(model, timeout)
        self._lost = asyncio.Event()

    @property
    def address(self) -> str:
        """The endpoint's address."""
        return self.model.uri

    @property
    def alive(self) -> bool:
        """Whether it was reached, and neither lost nor closed since."""
        return self._client is not None and not self._client.is_closed and not self._lost.is_set()

    @property
    def memory(self) -> int:
        """0: it holds none of this machine's memory that closing the connection would free."""
        return 0

    async def start(self) -> None:
        """Reach the endpoint.

        Raises:
            NerError: transient; it does not answer.
        """
        self.connect()
        if not await self.answers_ping():
            raise self.failure("the endpoint does not answer at /ping")
        fields = {"language": self.model.language, "address": self.address, "mlflow": await self._mlflow_version()}
        log.info("endpoint reached", extra={"fields": fields})

    async def _mlflow_version(self) -> str | None:
        """The version of MLflow there; None where it does not say."""
        try:
            response = await self._connected().get("/version", timeout=PING_SECONDS)
        except httpx.HTTPError:
            return None
        return response.text[:100] if response.status_code == 200 else None

    async def ping(self) -> bool:
        """Whether the endpoint says that it is well; one that cannot be reached is not.

        Should that be the gateway's own fault, giving the endpoint up ends no process there.

        Raises:
            httpx.TimeoutException: nothing comes in time.
        """
        try:
            return await super().ping()
        except httpx.TimeoutException:
            raise
        except httpx.TransportError:
            return False

    def failure(self, message: str) -> NerError:
        """The error of an endpoint that is not to be used now."""
        return NerError(
            f"{self.model.name} version {self.model.version}: {message}",
            where=self.address,
            remedy="See that it runs, or take it out of serving.endpoints in params.yaml; it is asked again by itself.",
            transient=True,
        )

    def mark_lost(self) -> None:
        """Note that it does not answer."""
        self._lost.set()

    async def ended(self) -> None:
        """Return when it was found not to answer."""
        await self._lost.wait()
