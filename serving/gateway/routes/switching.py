"""Switching versions: ``/admin/deploy``, ``/admin/reconcile`` and ``/admin/rollback``."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import TypeVar

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import Field

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry.failures import RegistryUnavailable
from multiner.serving.http.payload import RequestModel, json_response, read_model
from multiner.serving.http.problems import Problem, headline
from multiner.serving.operator.authorization import Guard
from multiner.serving.routing.inference_service import InferenceService
from multiner.serving.routing.state_store import StateUnavailable

log = logging.getLogger("serving")


class SwitchRequest(RequestModel, frozen=True):
    """A language whose live version is to change."""

    language: str


Switch = TypeVar("Switch", bound=SwitchRequest)


class DeployRequest(SwitchRequest, frozen=True):
    """The version to go to."""

    version: str = Field(pattern="^[0-9]{1,9}$")


class ReconcileRequest(SwitchRequest, frozen=True):
    """Whether to go to the champion also in spite of an earlier order or failure."""

    insist: bool = True


def switching_router(service: InferenceService, guard: Guard) -> APIRouter:
    """The endpoints that switch versions; they are for operators."""
    limits = service.config.limits

    async def read(request: Request, model: type[Switch]) -> Switch:
        order = await read_model(request, model, limits)
        service.config.offer.check_language(order.language)
        fields = order.model_dump() | {"path": request.url.path, "who": request.state.operator}
        log.info("order", extra={"fields": fields | {"request_id": request.state.request_id}})
        return order

    async def switched(language: str, switch: Awaitable[str]) -> Response:
        try:
            action = await switch
        except StateUnavailable:
            raise
        except NerError as error:
            log.error("switch failed", extra={"fields": {"error": str(error)}})
            if isinstance(error, RegistryUnavailable):
                title = "The registry cannot be read"
                raise Problem(503, "no-registry", title, headline(error), retry_after=30) from error
            problem = Problem(409, "switch-failed", "The switch failed; nothing has changed", headline(error))
            raise problem from error
        return json_response({"action": action, **service.state_of(language)})

    router = APIRouter(prefix="/admin", include_in_schema=False, dependencies=[Depends(guard)])

    @router.post("/deploy")
    async def deploy(request: Request) -> Response:
        """Bring a version of a language live, with no request dropped."""
        order = await read(request, DeployRequest)
        return await switched(order.language, service.deploy(order.language, str(int(order.version))))

    @router.post("/reconcile")
    async def reconcile(request: Request) -> Response:
        """Bring a language to the registry's champion; with `insist` also in spite of an earlier order or failure."""
        order = await read(request, ReconcileRequest)
        return await switched(order.language, service.reconcilers[order.language].reconcile(insist=order.insist))

    @router.post("/rollback")
    async def rollback(request: Request) -> Response:
        """Swap a language's live version with the warm one before it."""
        order = await read(request, SwitchRequest)

        async def swap() -> str:
            await service.reconcilers[order.language].rollback()
            return "rolled back"

        return await switched(order.language, swap())

    return router
