"""Corrections for the review queue: ``POST /v1/corrections``, where ``serving.review`` is on."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora.review_queue import QueueFull, ReviewQueue, sentences
from multiner.pipeline.text.surrogates import without_surrogates
from multiner.pipeline.text.tokenizer import document_from_text
from multiner.serving import executors
from multiner.serving.client.results import Entity, Model, Result
from multiner.serving.gateway.schemas import openapi
from multiner.serving.http.payload import (
    RequestModel,
    check_size,
    json_response,
    parse_json,
    read_body,
    require_type,
    validate,
)
from multiner.serving.http.problems import Problem, invalid
from multiner.serving.routing.inference_service import InferenceService

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$")]


class AnswerModel(BaseModel, strict=True):
    """The model version that had answered."""

    name: Identifier
    version: Identifier


class TextPlace(BaseModel, strict=True):
    """A span of the text; offsets count code points."""

    start: int
    end: int


class CorrectEntity(TextPlace, extra="allow"):
    """An entity as it should be; it may have further fields, such as those of an answer."""

    label: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")]


class CorrectionRequest(RequestModel, frozen=True):
    """A text with all its entities as they should be."""

    text: str
    language: str = Field(description="A language's code.")
    model: AnswerModel
    entities: list[CorrectEntity] = Field(fail_fast=True, description="All that are right.")
    changed: list[TextPlace] | None = Field(
        default=None, fail_fast=True, description="Places whose sentences are kept; null: all sentences."
    )


class CorrectionAnswer(BaseModel):
    """How many sentences were new to the review queue, and how many stood there already."""

    kept: int
    known: int


CORRECTIONS: dict[str, Any] = {
    "response_model": CorrectionAnswer,
    "responses": openapi.problems(400, 408, 413, 415, 422, 507) | {201: {"model": CorrectionAnswer}},
    "openapi_extra": openapi.body({"application/json": openapi.schema(CorrectionRequest)}),
}


def corrections_router(service: InferenceService) -> APIRouter:
    """The endpoint, if the gateway has a review queue."""
    router, queue = APIRouter(), service.config.review
    if queue is None:
        return router

    @router.post("/v1/corrections", **CORRECTIONS)
    async def corrections(request: Request) -> Response:
        """Keep the sentences of a text with their right entities for review: 201, or 200 where all are known."""
        answer = await keep(queue, await read(request, service))
        return json_response(answer.model_dump(), 201 if answer.kept else 200)

    return router


async def warm_up(service: InferenceService) -> None:
    """Load the tokenizers, which takes seconds, before the first correction needs them."""
    if service.config.review is not None:
        for language in service.config.languages:
            await executors.run(executors.FILES, document_from_text, "", language)


async def read(request: Request, service: InferenceService) -> CorrectionRequest:
    """A correction, its text without surrogates; else Problem 400, 408, 413, 415 or 422, with the place."""
    limits, offer = service.config.limits, service.config.offer
    require_type(request, ["application/json"])
    # entities with their legs' views are several times as long as the text
    body = await read_body(request, 4 * limits.body_bytes, limits.seconds)
    correction = validate(CorrectionRequest, parse_json(body))
    offer.check_language(correction.language)
    check_size(1, len(correction.text), limits, "/text")
    text, labels = without_surrogates(correction.text), offer.types_of(correction.language)
    for index, entity in enumerate(correction.entities):
        _check_place(entity, text, f"/entities/{index}")
        if labels is not None and entity.label not in labels:
            raise invalid(f"label must be one of: {', '.join(sorted(labels))}.", f"/entities/{index}/label")
    for index, place in enumerate(correction.changed or ()):
        _check_place(place, text, f"/changed/{index}")
    in_order = sorted(enumerate(correction.entities), key=lambda each: (each[1].start, each[1].end))
    for (_, before), (index, entity) in pairwise(in_order):
        if entity.start < before.end:
            raise invalid("Entities must not overlap.", f"/entities/{index}")
    return correction.model_copy(update={"text": text})


def _check_place(place: TextPlace, text: str, where: str) -> None:
    start, end = place.start, place.end
    if not 0 <= start < end <= len(text) or not text[start:end].strip():
        raise invalid(f"There are no words at {start} to {end}; offsets count code points of the text.", where)


async def keep(queue: ReviewQueue, correction: CorrectionRequest) -> CorrectionAnswer:
    """Put a correction's sentences into the queue; Problem 422 where there are none, 507 where it cannot take them."""
    try:
        return await executors.run(executors.FILES, _add, queue, correction)
    except QueueFull as error:
        title, detail = "The review queue is full", f"{error.message}. The operator empties it by `ner review --clear`."
    except OSError as error:
        title, detail = "The review queue cannot be written", f"{error.strerror}."
    except NerError as error:
        raise invalid(f"{error.message}.", "/text") from None
    raise Problem(507, "review-full", title, f"Nothing was kept: {detail}")


def _add(queue: ReviewQueue, correction: CorrectionRequest) -> CorrectionAnswer:
    text, model = correction.text, Model(correction.model.name, correction.model.version)
    in_order = sorted(correction.entities, key=lambda entity: entity.start)
    entities = tuple(Entity(each.start, each.end, text[each.start : each.end], each.label) for each in in_order)
    document = Result(text, correction.language, model, entities).to_document()
    changed = None if correction.changed is None else [(place.start, place.end) for place in correction.changed]
    selection = list(sentences(document, changed))
    if not selection:
        raise invalid("There is no sentence to keep.", "/text" if changed is None else "/changed")
    new = queue.add(correction.language, selection, f"{model.name}/{model.version}")
    return CorrectionAnswer(kept=new, known=len(selection) - new)
