"""A backend elsewhere: an endpoint that speaks the protocol of ``mlflow models serve`` and that others keep running."""

from __future__ import annotations

import logging

import httpx

from multiner.pipeline.core.errors import NerError
from multiner.serving.backends.health import PING_SECONDS
from multiner.serving.backends.model_server import ModelServer

log = logging.getLogger("serving")


class RemoteServer(ModelServer):
    """The endpoint at ``model.uri``. It is only called: it is neither started nor ended here."""

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
        """0: it takes no memory of this machine."""
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
        """MLflow's version at the endpoint, if it answers with one."""
        try:
            response = await self._connected().get("/version", timeout=PING_SECONDS)
        except httpx.HTTPError:
            return None
        return response.text[:100] if response.status_code == 200 else None

    async def ping(self) -> bool:
        """As :meth:`.ModelServer.ping`, but an endpoint that cannot be reached is not well.

        That may be the gateway's own fault; giving up the endpoint ends no process, so it does no harm.
        """
        try:
            return await super().ping()
        except httpx.TimeoutException:
            raise
        except httpx.TransportError:
            return False

    def failure(self, message: str) -> NerError:
        """The error of an endpoint that cannot be used now."""
        return NerError(
            f"{self.model.name} version {self.model.version}: {message}",
            where=self.address,
            remedy="Check that it runs, or remove it from serving.endpoints in params.yaml; the gateway tries again.",
            transient=True,
        )
