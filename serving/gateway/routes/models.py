"""The gateway's endpoints: what callers ask, what watchers ask, what the operator orders."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import Field

from multiner.pipeline.core.errors import NerError
from multiner.serving.gateway import schemas
from multiner.serving.gateway.routes import invocations, streaming
from multiner.serving.http.entity_requests import EntitiesRequest, StreamRequest, parse_request
from multiner.serving.http.metrics import CONTENT_TYPE
from multiner.serving.http.payload import (
    M,
    RequestModel,
    json_response,
    parse_json,
    read_body,
    require_type,
    unless_gone,
    validated,
)
from multiner.serving.http.problems import Problem, headline
from multiner.serving.operator.authorization import Guard
from multiner.serving.operator.facts_reader import FactsReader
from multiner.serving.routing.inference_service import LONG, Switchboard

log = logging.getLogger("serving")
ENTITIES = {
    "response_model": schemas.EntitiesAnswer,
    "responses": schemas.problems(400, 408, 409, 413, 415, 422, 429, 502, 503, 504),
}
LINE_OUT = {"anyOf": [schemas.schema(schemas.StreamResult), schemas.schema(schemas.StreamProblem)]}
STREAM = {
    "response_class": Response,
    "responses": schemas.problems(415)
    | {
        200: {
            "description": "A line for each line that is not blank, in their order: a result, or a problem.",
            "content": {streaming.MEDIA_TYPE: {"schema": LINE_OUT}},
        }
    },
}
INVOCATIONS = {
    "response_model": schemas.Predictions,
    "responses": schemas.problems(400, 404, 408, 413, 415, 422, 429, 502, 503, 504),
    "openapi_extra": schemas.body(
        {
            invocations.JSON: {"type": "object", "properties": {shape: {} for shape in invocations.SHAPES}},
            invocations.CSV: {"type": "string"},
        }
    ),
}


def callers(board: Switchboard) -> APIRouter:
    """The endpoints that find entities."""
    router, limits, offer = APIRouter(), board.config.limits, board.config.offer
    text_in = schemas.request_schema(EntitiesRequest, offer)
    line = {"type": "string", "maxLength": limits.characters}
    line_in = {"anyOf": [line, schemas.request_schema(StreamRequest, offer)]}

    @router.post("/v1/entities", **ENTITIES, openapi_extra=schemas.body({"application/json": text_in}))
    async def entities(request: Request) -> Response:
        """Find the entities of a text, or of each text of a list."""
        require_type(request, ["application/json"])
        body = await read_body(request, limits.body_bytes, limits.seconds)
        items = parse_request(body, offer)
        return json_response({"results": await unless_gone(request, board.answer(items))})

    @router.post("/v1/entities/stream", **STREAM, openapi_extra=schemas.body({streaming.MEDIA_TYPE: line_in}))
    async def stream(request: Request) -> Response:
        """Find the entities of texts without end: JSON lines in, JSON lines out, while the body is being sent."""
        require_type(request, [streaming.MEDIA_TYPE])
        return streaming.EntityStream(board, request.state.request_id)

    @router.post("/v1/{language}/invocations", **INVOCATIONS)
    async def invoke(request: Request, language: str) -> Response:
        """Ask a language's model as `mlflow models serve` is asked; the body and the answer are MLflow's."""
        if language not in board.routes:
            raise Problem(404, "not-found", "Not Found", f"Languages are: {', '.join(board.routes)}.")
        media_type = require_type(request, [invocations.JSON, invocations.CSV])
        body = await read_body(request, limits.body_bytes, limits.seconds)
        rows, body = invocations.read(body, media_type, limits)
        large = len(body) > LONG  # bytes: no fewer than characters
        asking = board.call(language, lambda slot: invocations.invoke(slot, rows, body), large=large)
        model, answer = await unless_gone(request, asking)
        board.metrics.called(language, rows)
        board.metrics.texts.labels(language).inc(rows)
        headers = {"X-Model": f"{model.name}/{model.version}"}
        return Response(answer, media_type="application/json", headers=headers)

    return router


def watchers(board: Switchboard, facts: FactsReader) -> APIRouter:
    """The endpoints that tell the gateway's state."""
    router = APIRouter()

    @router.get("/health", response_model=schemas.Health, responses={503: {"model": schemas.Health}})
    async def health() -> Response:
        """Whether the models are live: 200 when `ok` or `degraded` (one language is missing), else 503."""
        report = board.health()
        return json_response(report, 200 if report["status"] in ("ok", "degraded") else 503)

    @router.get("/ready", response_model=schemas.Health, responses={503: {"model": schemas.Health}})
    async def ready() -> Response:
        """Whether every language is answered: 200, else 503 with `Retry-After`."""
        report = board.health()
        if all(route.answering for route in board.routes.values()):  # by the version before, where one is restarting
            return json_response(report)
        coming = any(route.state in ("starting", "restarting") for route in board.routes.values())
        return json_response(report, 503, {"Retry-After": "5" if coming else "30"})

    @router.get("/metrics", responses={200: {"content": {"text/plain": {}}}}, response_class=Response)
    async def metrics() -> Response:
        """What was asked, answered and refused so far, in Prometheus' text format."""
        return Response(board.metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    @router.get("/v1/models", response_model=schemas.Models)
    async def models() -> Response:
        """What serves each language and its shadow, its data, scores and history, and the version kept warm."""
        states = board.models()
        known = await asyncio.gather(*(facts.of(state["language"], state["version"]) for state in states))
        told = [state | found.model_dump() for state, found in zip(states, known, strict=True)]
        return json_response({"models": told})

    return router


class SwitchRequest(RequestModel):
    """A language whose live version is to change."""

    language: str


class DeployRequest(SwitchRequest):
    """The version to go to."""

    version: str = Field(pattern="^[0-9]{1,9}$")


class ReconcileRequest(SwitchRequest):
    """Whether to go to the champion also in spite of an earlier order or failure."""

    insist: bool = True


def operator(board: Switchboard, guard: Guard) -> APIRouter:
    """The endpoints that switch versions; they want the gateway's token."""
    limits = board.config.limits

    async def read(request: Request, model: type[M]) -> M:
        require_type(request, ["application/json"])
        value = validated(model, parse_json(await read_body(request, limits.body_bytes, limits.seconds)))
        board.config.offer.check_language(value.language)
        return value

    async def switched(language: str, switch: Awaitable[str]) -> Response:
        try:
            action = await switch
        except NerError as error:
            log.error("switch failed", extra={"fields": {"error": str(error)}})
            problem = Problem(409, "switch-failed", "The switch failed; nothing has changed", headline(error))
            raise problem from error
        return json_response({"action": action, **board.routes[language].describe()})

    router = APIRouter(prefix="/admin", include_in_schema=False, dependencies=[Depends(guard)])

    @router.post("/deploy")
    async def deploy(request: Request) -> Response:
        """Bring a version of a language live, with no request dropped."""
        order = await read(request, DeployRequest)
        return await switched(order.language, board.deploy(order.language, str(int(order.version))))

    @router.post("/reconcile")
    async def reconcile(request: Request) -> Response:
        """Bring a language to the registry's champion; with `insist` also in spite of an earlier order or failure."""
        order = await read(request, ReconcileRequest)
        return await switched(order.language, board.reconcilers[order.language].reconcile(insist=order.insist))

    @router.post("/rollback")
    async def rollback(request: Request) -> Response:
        """Swap a language's live version with the warm one before it."""
        order = await read(request, SwitchRequest)

        async def swap() -> str:
            board.reconcilers[order.language].rollback()
            return "rolled back"

        return await switched(order.language, swap())

    return router
