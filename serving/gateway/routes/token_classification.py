"""Token classification as Hugging Face's clients ask for it: the entities as their pipeline groups them.

Source: https://huggingface.co/docs/inference-providers/tasks/token-classification
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from multiner.pipeline.text.languages import AUTO
from multiner.serving.gateway import schemas
from multiner.serving.http.entity_requests import EntitiesRequest, Item, Offer
from multiner.serving.http.payload import RequestModel, json_response, read_model, unless_gone, validate
from multiner.serving.http.problems import Problem
from multiner.serving.routing.inference_service import InferenceService

MEDIA_TYPES = ("application/json", "")


def _whole_entities(strategy: Any) -> Any:
    if strategy == "none":
        detail = "cannot be 'none', which asks for pieces of words: use simple, first, average or max"
        raise PydanticCustomError("strategy", detail)
    return strategy


class TokenClassificationParameters(RequestModel, extra="ignore", frozen=True):
    """What the answer holds; other parameters of Hugging Face's have no meaning here and are ignored."""

    aggregation_strategy: Annotated[Literal["simple", "first", "average", "max"], BeforeValidator(_whole_entities)] = (
        Field(default="simple", description="All give the same: the model answers whole entities.")
    )
    ignore_labels: list[str] = Field(default=["O"], description="Types to leave out.")


class TokenClassificationRequest(RequestModel, extra="ignore", frozen=True):
    """A text, or several."""

    inputs: str | Annotated[list[str], Field(fail_fast=True)]
    parameters: TokenClassificationParameters = TokenClassificationParameters()

    def items(self, language: str, offer: Offer) -> list[Item]:
        """The texts, as those of ``/v1/entities``; else Problem 413 or 422."""
        return validate(EntitiesRequest, {"text": self.inputs, "language": language}).items(offer)

    def groups(self, result: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The entities of a text's result."""
        return [
            {"entity_group": entity["label"], "score": entity["score"], "word": entity["text"]}
            | {"start": entity["start"], "end": entity["end"]}
            for entity in result["entities"]
            if entity["label"] not in self.parameters.ignore_labels
        ]


def token_classification_router(service: InferenceService) -> APIRouter:
    """The endpoint of each language, and of ``auto``."""
    router, config = APIRouter(), service.config
    languages = (AUTO, *config.languages)

    @router.post(
        "/v1/{language}/token-classification",
        response_model=schemas.EntityGroups,
        openapi_extra=schemas.body({"application/json": schemas.schema(TokenClassificationRequest)}),
        responses=schemas.problems(400, 404, 408, 413, 415, 422, 429, 502, 503, 504),
    )
    async def token_classification(request: Request, language: str) -> Response:
        """Find the entities of a text, or of each text of a list, for Hugging Face's clients."""
        if language not in languages:
            raise Problem(404, "not-found", "Not Found", f"Languages are: {', '.join(languages)}.")
        body = await read_model(request, TokenClassificationRequest, config.limits, MEDIA_TYPES)
        results = await unless_gone(request, service.answer(body.items(language, config.offer)))
        groups = [body.groups(result) for result in results]
        return json_response(groups[0] if isinstance(body.inputs, str) else groups)

    return router
