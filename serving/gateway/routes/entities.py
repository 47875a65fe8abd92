"""The endpoints that find entities: ``/v1/entities``, its stream, and MLflow's own protocol."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from multiner.serving.gateway.routes import invocations, streaming
from multiner.serving.gateway.schemas import openapi
from multiner.serving.gateway.schemas.answers import (
    EntitiesAnswer,
    PredictionsAnswer,
    StreamProblemSchema,
    StreamResultSchema,
)
from multiner.serving.http.entity_requests import EntitiesRequest, StreamRequest
from multiner.serving.http.payload import json_response, read_body, read_model, require_type, unless_gone
from multiner.serving.http.problems import Problem
from multiner.serving.routing.inference_service import LONG, InferenceService

ENTITIES: dict[str, Any] = {
    "response_model": EntitiesAnswer,
    "responses": openapi.problems(400, 408, 409, 413, 415, 422, 429, 502, 503, 504),
}
LINE_OUT = {"anyOf": [openapi.schema(StreamResultSchema), openapi.schema(StreamProblemSchema)]}
STREAM: dict[str, Any] = {
    "response_class": Response,
    "responses": openapi.problems(415)
    | {
        200: {
            "description": "A line for each line that is not blank, in their order: a result, or a problem.",
            "content": {streaming.MEDIA_TYPE: {"schema": LINE_OUT}},
        }
    },
}
INVOCATIONS: dict[str, Any] = {
    "response_model": PredictionsAnswer,
    "responses": openapi.problems(400, 404, 408, 413, 415, 422, 429, 502, 503, 504),
    "openapi_extra": openapi.body(
        {
            invocations.JSON: {"type": "object", "properties": {shape: {} for shape in invocations.SHAPES}},
            invocations.CSV: {"type": "string"},
        }
    ),
}


def entities_router(service: InferenceService) -> APIRouter:
    """The endpoints that find entities."""
    router, limits, offer = APIRouter(), service.config.limits, service.config.offer
    text_in = openapi.request_schema(EntitiesRequest, offer)
    line = {"type": "string", "maxLength": limits.characters}
    line_in = {"anyOf": [line, openapi.request_schema(StreamRequest, offer)]}

    @router.post("/v1/entities", **ENTITIES, openapi_extra=openapi.body({"application/json": text_in}))
    async def entities(request: Request) -> Response:
        """Find the entities of a text, or of each text of a list."""
        items = (await read_model(request, EntitiesRequest, limits)).items(offer)
        return json_response({"results": await unless_gone(request, service.answer(items))})

    @router.post("/v1/entities/stream", **STREAM, openapi_extra=openapi.body({streaming.MEDIA_TYPE: line_in}))
    async def stream(request: Request) -> Response:
        """Find the entities of texts without end: JSON lines in, JSON lines out, while the body is being sent."""
        require_type(request, [streaming.MEDIA_TYPE])
        return streaming.EntityStream(service, request.state.request_id)

    @router.post("/v1/{language}/invocations", **INVOCATIONS)
    async def invoke(request: Request, language: str) -> Response:
        """Ask a language's model by the protocol of `mlflow models serve`."""
        if language not in service.routes:
            raise Problem(404, "not-found", "Not Found", f"Languages are: {', '.join(service.routes)}.")
        media_type = require_type(request, [invocations.JSON, invocations.CSV])
        body = await read_body(request, limits.body_bytes, limits.seconds)
        rows, body = invocations.read(body, media_type, limits)
        large = len(body) > LONG  # in bytes, which are no fewer than characters
        asking = service.call(language, lambda backend: invocations.invoke(backend, rows, body), large=large)
        model, answer = await unless_gone(request, asking)
        service.metrics.called(language, rows)
        service.metrics.texts.labels(language).inc(rows)
        headers = {"X-Model": f"{model.name}/{model.version}"}
        return Response(answer, media_type="application/json", headers=headers)

    return router
