"""Token classification as Hugging Face's clients ask for it: the entities as their pipeline groups them.

Source: https://huggingface.co/docs/inference-providers/tasks/token-classification
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from multiner.pipeline.text.languages import AUTO
from multiner.serving.gateway.schemas import openapi
from multiner.serving.gateway.schemas.protocols import TokenClassificationAnswer
from multiner.serving.http.entity_requests import EntitiesRequest, Item, Offer
from multiner.serving.http.payload import RequestModel, json_response, read_model, unless_gone, validate
from multiner.serving.http.problems import Problem
from multiner.serving.routing.inference_service import InferenceService

MEDIA_TYPES = ("application/json", "")


class TokenClassificationParameters(RequestModel, extra="ignore", frozen=True):
    """What the answer holds; other parameters of Hugging Face's have no meaning here and are ignored."""

    aggregation_strategy: Literal["none", "simple", "first", "average", "max"] = Field(
        default="simple", description="`none`: each token with its label; all others: whole entities."
    )
    ignore_labels: list[str] = Field(default=["O"], description="Types or labels to leave out.")


class TokenClassificationRequest(RequestModel, extra="ignore", frozen=True):
    """A text, or several."""

    inputs: str | Annotated[list[str], Field(fail_fast=True)]
    parameters: TokenClassificationParameters = TokenClassificationParameters()

    def items(self, language: str, offer: Offer) -> list[Item]:
        """The texts, as those of ``/v1/entities``; else Problem 413 or 422."""
        request = {"text": self.inputs, "language": language, "tokens": self.parameters.aggregation_strategy == "none"}
        return validate(EntitiesRequest, request).items(offer)

    def answer(self, result: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The entities of a text's result, or its tokens if nothing is to be aggregated."""
        ignored = self.parameters.ignore_labels
        if self.parameters.aggregation_strategy == "none":
            return labelled_tokens(result, ignored)
        return [
            {"entity_group": entity["label"], "score": entity["score"], "word": entity["text"]}
            | {"start": entity["start"], "end": entity["end"]}
            for entity in result["entities"]
            if entity["label"] not in ignored
        ]


def labelled_tokens(result: Mapping[str, Any], ignored: Sequence[str]) -> list[dict[str, Any]]:
    """Each token with its label in IOB2, and the probability of the label's type, as the pipeline gives pieces.

    Tokens whose type or label is ``ignored`` are left out. A token that an entity covers in part belongs to it.
    """
    tokens = result["tokens"]
    starts, ends = ([token[edge] for token in tokens] for edge in ("start", "end"))
    labels = [("O", "O")] * len(tokens)  # label, type
    for entity in result["entities"]:
        covered = range(bisect_right(ends, entity["start"]), bisect_left(starts, entity["end"]))
        for place in covered:
            labels[place] = (f"{'I' if place > covered.start else 'B'}-{entity['label']}", entity["label"])
    return [
        {"entity": label, "score": token["probabilities"][type_], "index": number, "word": token["text"]}
        | {"start": token["start"], "end": token["end"]}
        for number, (token, (label, type_)) in enumerate(zip(tokens, labels, strict=True), start=1)
        if label not in ignored and type_ not in ignored
    ]


def token_classification_router(service: InferenceService) -> APIRouter:
    """The endpoint of each language, and of ``auto``."""
    router, config = APIRouter(), service.config
    languages = (AUTO, *config.languages)

    @router.post(
        "/v1/{language}/token-classification",
        response_model=TokenClassificationAnswer,
        openapi_extra=openapi.body({"application/json": openapi.schema(TokenClassificationRequest)}),
        responses=openapi.problems(400, 404, 408, 409, 413, 415, 422, 429, 502, 503, 504),
    )
    async def token_classification(request: Request, language: str) -> Response:
        """Find the entities of a text, or of each text of a list, for Hugging Face's clients."""
        if language not in languages:
            raise Problem(404, "not-found", "Not Found", f"Languages are: {', '.join(languages)}.")
        body = await read_model(request, TokenClassificationRequest, config.limits, MEDIA_TYPES)
        results = await unless_gone(request, service.answer(body.items(language, config.offer)))
        answers = [body.answer(result) for result in results]
        return json_response(answers[0] if isinstance(body.inputs, str) else answers)

    return router
