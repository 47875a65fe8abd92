"""The Open Inference Protocol (KServe's version 2) over HTTP: its health, metadata and inference endpoints.

A model takes one tensor of texts and gives one tensor with the entities of each text as JSON. Errors are in the form of
the protocol (:meth:`multiner.serving.http.problems.Problem.response`).

Source: https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

import multiner
from multiner.pipeline.text.languages import AUTO
from multiner.serving.gateway.schemas import openapi
from multiner.serving.gateway.schemas.protocols import (
    InferenceAnswer,
    InferenceError,
    ModelMetadata,
    ModelReady,
    ServerLive,
    ServerMetadata,
    ServerReady,
)
from multiner.serving.http import conversation
from multiner.serving.http.entity_requests import EntitiesRequest, Item, Offer
from multiner.serving.http.payload import RequestModel, json_response, read_model, to_json, unless_gone, validate
from multiner.serving.http.problems import Problem, invalid, wrong_media_type
from multiner.serving.routing.inference_service import InferenceService

MEDIA_TYPES = ("application/json", "")  # KServe's and Triton's clients send JSON without a content type
OPTIONS = ("min_score", "types", "legs", "offsets")
INPUT = {"name": "text", "datatype": "BYTES", "shape": [-1]}
OUTPUT = {"name": "entities", "datatype": "BYTES", "shape": [-1]}


class InputTensor(RequestModel, extra="ignore", frozen=True):
    """The texts."""

    name: Literal["text"]
    shape: list[int] = Field(min_length=1, max_length=1, description="The number of texts.")
    datatype: Literal["BYTES"]
    data: Annotated[list[str], Field(fail_fast=True)]


class OutputChoice(RequestModel, extra="ignore", frozen=True):
    """An output to return."""

    name: Literal["entities"]


class InferenceRequest(RequestModel, extra="ignore", frozen=True):
    """A request for inference; what a client adds by extensions of the protocol is ignored."""

    id: str | None = None
    parameters: dict[str, Any] = Field(
        default={}, description="`min_score`, `legs`, `offsets` as in `/v1/entities`; `types` with commas between them."
    )
    inputs: list[InputTensor] = Field(min_length=1, max_length=1)
    outputs: list[OutputChoice] | None = Field(default=None, max_length=1)

    def items(self, language: str, offer: Offer) -> list[Item]:
        """The texts, as those of ``/v1/entities``; else Problem 413 or 422."""
        (tensor,) = self.inputs
        if tensor.shape != [len(tensor.data)]:
            raise invalid(f"shape is {tensor.shape}, but data has {len(tensor.data)} texts.", "/inputs/0/shape")
        options = {name: self.parameters[name] for name in OPTIONS if name in self.parameters}
        if isinstance(types := options.get("types"), str):
            options["types"] = types.split(",")
        return validate(EntitiesRequest, options | {"text": tensor.data, "language": language}).items(offer)


def _responses(*codes: int) -> dict[str, Any]:
    return {"responses": openapi.problems(*codes, form=InferenceError)}


def inference_protocol_router(service: InferenceService) -> APIRouter:
    """The protocol's endpoints: a model for each language, by its registered name, and one for ``auto``."""
    router, config = APIRouter(prefix="/v2", **_responses(400, 403, 414, 421, 431)), service.config
    languages = {config.model_name(code): code for code in (AUTO, *config.languages)}

    def live_version(language: str) -> str | None:
        """The version that answers; None where there is none, and for ``auto``, which has none of its own."""
        return None if language == AUTO else service.routes[language].describe()["version"]

    def find(name: str, version: str | None) -> str:
        """The language of a model; Problem 404 where there is no such model, or its version is not the live one."""
        if (language := languages.get(name)) is None:
            raise Problem(404, "not-found", "Not Found", f"Models are: {', '.join(sorted(languages))}.")
        if version is not None and language == AUTO:
            raise Problem(404, "not-found", "Not Found", f"{name} has no versions: leave the version out.")
        if version is not None and (live := live_version(language)) not in (None, version):
            raise other_version(name, live)
        return language

    def other_version(name: str, live: str | None) -> Problem:
        detail = f"This version of {name} is not live; version {live} is. Leave the version out to ask the live one."
        return Problem(404, "not-found", "Not Found", detail)

    @router.get("", response_model=ServerMetadata)
    async def server() -> Response:
        """The server's name and version; there are no extensions, that of binary tensors included."""
        return json_response({"name": "multiner", "version": multiner.__version__, "extensions": []})

    @router.get("/health/live", response_model=ServerLive)
    async def live() -> Response:
        """Whether the gateway answers: 200."""
        return json_response({"live": True})

    @router.get("/health/ready", response_model=ServerReady, responses={503: {"model": ServerReady}})
    async def ready() -> Response:
        """As `/ready`: 200 if every language is answered, else 503."""
        is_ready = all(route.ready for route in service.routes.values())
        return json_response({"live": True, "ready": is_ready}, 200 if is_ready else 503)

    @router.get("/models/{name}/versions/{version}", response_model=ModelMetadata, **_responses(404))
    async def version_metadata(name: str, version: str) -> Response:
        """The tensors of a model's live version."""
        return described(name, version)

    @router.get("/models/{name}", response_model=ModelMetadata, **_responses(404))
    async def metadata(name: str) -> Response:
        """A model's tensors, and its live version."""
        return described(name, None)

    def described(name: str, version: str | None) -> Response:
        live = live_version(find(name, version))
        versions = {"versions": [live]} if live else {}
        return json_response(
            {"name": name, **versions, "platform": "mlflow_pyfunc", "inputs": [INPUT], "outputs": [OUTPUT]}
        )

    @router.get("/models/{name}/versions/{version}/ready", response_model=ModelReady, **_responses(404))
    async def version_ready(name: str, version: str) -> Response:
        """Whether a model's live version answers: 200, else 503."""
        return readiness(name, version)

    @router.get("/models/{name}/ready", response_model=ModelReady, **_responses(404))
    async def model_ready(name: str) -> Response:
        """Whether a model answers: 200, else 503."""
        return readiness(name, None)

    def readiness(name: str, version: str | None) -> Response:
        language = find(name, version)
        routes = service.routes.values() if language == AUTO else [service.routes[language]]
        is_ready = all(route.ready for route in routes)
        return json_response({"name": name, "ready": is_ready}, 200 if is_ready else 503)

    infer_entry: dict[str, Any] = {
        "response_model": InferenceAnswer,
        "openapi_extra": openapi.body({"application/json": openapi.schema(InferenceRequest)}),
        **_responses(400, 404, 408, 413, 415, 422, 429, 502, 503, 504),
    }

    @router.post("/models/{name}/versions/{version}/infer", **infer_entry)
    async def version_infer(request: Request, name: str, version: str) -> Response:
        """Find the entities of a tensor of texts, by the live version."""
        return await inferred(request, name, version)

    @router.post("/models/{name}/infer", **infer_entry)
    async def infer(request: Request, name: str) -> Response:
        """Find the entities of a tensor of texts."""
        return await inferred(request, name, None)

    async def inferred(request: Request, name: str, version: str | None) -> Response:
        language = find(name, version)
        if "inference-header-content-length" in request.headers:
            raise wrong_media_type("Tensors in binary form are not taken here: send data as JSON (binary_data=False).")
        body = await read_model(request, InferenceRequest, config.limits, MEDIA_TYPES)
        if version is not None:
            conversation.current.set(None)  # the live version is asked for, not a canary
        results = await unless_gone(request, service.answer(body.items(language, config.offer)))
        answer = {"model_name": name} | ({"id": body.id} if body.id is not None else {})
        if language != AUTO and results:
            answer["model_version"] = results[0]["model"]["version"]
            if version is not None and answer["model_version"] != version:  # a switch came between
                raise other_version(name, answer["model_version"])
        entities = [to_json(result["entities"]).decode() for result in results]
        return json_response(answer | {"outputs": [OUTPUT | {"shape": [len(entities)], "data": entities}]})

    return router
