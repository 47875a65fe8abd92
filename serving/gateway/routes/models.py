"""The gateway's endpoints: what callers ask, what watchers ask, what the operator orders."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry.failures import RegistryUnavailable
from multiner.serving.gateway import schemas
from multiner.serving.gateway.routes import invocations, streaming
from multiner.serving.http.metrics import CONTENT_TYPE
from multiner.serving.http.payload import (
    json_response,
    parse_json,
    parse_request,
    read_body,
    require_type,
    unless_gone,
)
from multiner.serving.http.problems import Problem, headline, invalid
from multiner.serving.operator.authorization import Guard
from multiner.serving.operator.facts_reader import FactsReader
from multiner.serving.routing.inference_service import LONG, Switchboard

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
            "content": {streaming.MEDIA_TYPES[0]: {"schema": LINE_OUT}},
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
    text_in = schemas.asked(schemas.EntitiesRequest, offer)
    line = {"type": "string", "maxLength": limits.characters}
    line_in = {"anyOf": [line, schemas.asked(schemas.StreamRequest, offer)]}

    @router.post("/v1/entities", **ENTITIES, openapi_extra=schemas.body({"application/json": text_in}))
    async def entities(request: Request) -> Response:
        """Find the entities of a text, or of each text of a list."""
        require_type(request, ["application/json"])
        body = await read_body(request, limits.body_bytes, limits.seconds)
        items = parse_request(body, offer)
        return json_response({"results": await unless_gone(request, board.answer(items))})

    @router.post(
        "/v1/entities/stream", **STREAM, openapi_extra=schemas.body(dict.fromkeys(streaming.MEDIA_TYPES, line_in))
    )
    async def stream(request: Request) -> Response:
        """Find the entities of texts without end: JSON lines in, JSON lines out, while the body is being sent."""
        require_type(request, streaming.MEDIA_TYPES)
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
        board.metrics.texts.add(language, amount=rows)
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
        return Response(board.metrics.render(board.gauges()), headers={"Content-Type": CONTENT_TYPE})

    @router.get("/v1/models", response_model=schemas.Models)
    async def models() -> Response:
        """What serves each language and its shadow, its data, scores and history, and the version kept warm."""
        states = board.models()
        known = await asyncio.gather(*(facts.of(state["language"], state["version"]) for state in states))
        told = [state | found.model_dump() for state, found in zip(states, known, strict=True)]
        return json_response({"models": told})

    return router


def operator(board: Switchboard, guard: Guard) -> APIRouter:
    """The endpoints that switch versions; they want the gateway's token."""
    config = board.config

    async def read(request: Request) -> dict[str, Any]:
        require_type(request, ["application/json"])
        value = parse_json(await read_body(request, config.limits.body_bytes, config.limits.seconds))
        language = value.get("language") if isinstance(value, dict) else None
        if language not in list(config.languages):
            raise invalid(f"language must be one of: {', '.join(config.languages)}.", "/language")
        return value

    router = APIRouter(prefix="/admin", include_in_schema=False, dependencies=[Depends(guard)])

    @router.post("/deploy")
    async def deploy(request: Request) -> Response:
        """Bring a version of a language live, with no request dropped."""
        value = await read(request)
        version = value.get("version")
        if not (isinstance(version, str) and version.isascii() and version.isdigit() and len(version) < 10):
            raise invalid('version must be a string of digits, such as "3".', "/version")
        try:
            action = await board.deploy(value["language"], str(int(version)))
        except NerError as error:
            raise _failed(error) from error
        return json_response({"action": action, **board.routes[value["language"]].describe()})

    @router.post("/reconcile")
    async def reconcile(request: Request) -> Response:
        """Bring a language to the registry's champion; with `insist` also in spite of an earlier order or failure."""
        value = await read(request)
        insist = value.get("insist", True)
        if not isinstance(insist, bool):
            raise invalid("insist must be true or false.", "/insist")
        try:
            action = await board.reconcilers[value["language"]].reconcile(insist=insist)
        except NerError as error:
            raise _failed(error) from error
        return json_response({"action": action, **board.routes[value["language"]].describe()})

    @router.post("/rollback")
    async def rollback(request: Request) -> Response:
        """Swap a language's live version with the warm one before it."""
        value = await read(request)
        try:
            board.reconcilers[value["language"]].rollback()
        except NerError as error:
            raise _failed(error) from error
        return json_response({"action": "rolled back", **board.routes[value["language"]].describe()})

    return router


def _failed(error: NerError) -> Problem:
    logging.getLogger("serving").error("switch failed", extra={"fields": {"error": str(error)}})
    if isinstance(error, RegistryUnavailable):
        return Problem(503, "no-registry", "The registry cannot be read", headline(error), retry_after=30)
    return Problem(409, "switch-failed", "The switch failed; nothing has changed", headline(error))
