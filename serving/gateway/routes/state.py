"""The gateway's state: ``/live``, ``/health``, ``/ready``, ``/v1/models`` and ``/metrics``."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from fastapi.responses import Response

from multiner.serving.gateway.schemas.states import HealthAnswer, LiveAnswer, ModelsAnswer
from multiner.serving.http.metrics import CONTENT_TYPE
from multiner.serving.http.payload import json_response
from multiner.serving.operator.facts_reader import FactsReader
from multiner.serving.routing.inference_service import InferenceService


def state_router(service: InferenceService, facts: FactsReader) -> APIRouter:
    """The endpoints of the gateway's state."""
    router = APIRouter()

    @router.get("/live", response_model=LiveAnswer)
    async def live() -> Response:
        """Whether the gateway runs: always 200, with or without a champion."""
        return json_response({"live": True})

    @router.get("/health", response_model=HealthAnswer, responses={503: {"model": HealthAnswer}})
    async def health() -> Response:
        """Whether the models are live: 200 when `ok` or `degraded` (one language is missing), else 503."""
        report = service.health()
        return json_response(report, 200 if report["status"] in ("ok", "degraded") else 503)

    @router.get("/ready", response_model=HealthAnswer, responses={503: {"model": HealthAnswer}})
    async def ready() -> Response:
        """Whether every language is answered: 200, else 503 with `Retry-After`; also once the gateway is to end."""
        report = service.health()
        answers = all(route.ready for route in service.routes.values())  # while one restarts, by the version before
        if answers and not service.leaving:
            return json_response(report)
        soon = any(route.state in ("starting", "restarting") for route in service.routes.values())
        return json_response(report, 503, {"Retry-After": "5" if soon else "30"})

    @router.get("/metrics", responses={200: {"content": {"text/plain": {}}}}, response_class=Response)
    async def metrics() -> Response:
        """Counts since the gateway's start, in Prometheus' text format."""
        return Response(service.metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    @router.get("/v1/models", response_model=ModelsAnswer)
    async def models() -> Response:
        """What serves each language and its shadow, its data, scores and history, and the version kept warm."""
        states = service.models()
        rows = await asyncio.gather(*(facts.of(state["language"], state["version"]) for state in states))
        return json_response({"models": [state | row.model_dump() for state, row in zip(states, rows, strict=True)]})

    return router
