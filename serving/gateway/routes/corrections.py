"""Corrections for the review queue: ``POST /v1/corrections``, where ``serving.review`` is on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from multiner.serving.gateway import schemas
from multiner.serving.http.entity_requests import Offer
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


class CorrectEntity(TextPlace):
    """An entity as it should be; further fields, such as those of an answer, are ignored."""

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
    "responses": schemas.problems(400, 408, 413, 415, 422, 507) | {201: {"model": CorrectionAnswer}},
    "openapi_extra": schemas.body({"application/json": schemas.schema(CorrectionRequest)}),
}


@dataclass(frozen=True, slots=True)
class Correction:
    """A text with all its entities as they should be.

    ``result`` holds both; ``entities`` are the same as objects of the request, with their further fields. Sentences at
    the places ``changed`` go to the queue; None: all sentences.
    """

    result: Result
    entities: Sequence[Mapping[str, Any]]
    changed: tuple[tuple[int, int], ...] | None = None


def corrections_router(service: InferenceService) -> APIRouter:
    """The endpoint, if the gateway has a review queue."""
    router = APIRouter()
    if service.config.review is None:
        return router

    @router.post("/v1/corrections", **CORRECTIONS)
    async def corrections(request: Request) -> Response:
        """Keep the sentences of a text with their right entities for review: 201, or 200 where all are known."""
        answer = await keep(service, await read(request, service))
        return json_response(answer.model_dump(), 201 if answer.kept else 200)

    return router


async def warm_up(service: InferenceService) -> None:
    """Load the tokenizers, which takes seconds, before the first correction needs them."""
    if service.config.review is not None:
        for language in service.config.languages:
            await executors.run(executors.FILES, document_from_text, "", language)


async def read(request: Request, service: InferenceService) -> Correction:
    """The correction in a request.

    Raises:
        Problem: 400, 408, 413, 415 or 422.
    """
    limits = service.config.limits
    require_type(request, ["application/json"])
    # entities with their legs' views are several times as long as the text
    return parse_correction(await read_body(request, 4 * limits.body_bytes, limits.seconds), service.config.offer)


async def keep(service: InferenceService, correction: Correction) -> CorrectionAnswer:
    """Put a correction's sentences into the queue.

    Raises:
        Problem: nothing to keep (422), or the queue is full or cannot be written (507).
    """
    assert service.config.review is not None
    return await executors.run(executors.FILES, _keep, service.config.review, correction)


def _keep(queue: ReviewQueue, correction: Correction) -> CorrectionAnswer:
    result = correction.result
    try:
        selection = list(sentences(result.to_document(), correction.changed))
        if not selection:
            raise invalid("There is no sentence to keep.", "/text" if correction.changed is None else "/changed")
        new = queue.add(result.language, selection, f"{result.model.name}/{result.model.version}")
    except QueueFull as error:
        raise _not_kept(
            "The review queue is full", f"{error.message}. The operator empties it by `ner review --clear`."
        ) from None
    except OSError as error:
        raise _not_kept("The review queue cannot be written", f"{error.strerror}.") from None
    except NerError as error:
        raise invalid(f"{error.message}.", "/text") from None
    return CorrectionAnswer(kept=new, known=len(selection) - new)


def _not_kept(title: str, detail: str) -> Problem:
    return Problem(507, "review-full", title, f"Nothing was kept: {detail}")


def parse_correction(body: bytes, offer: Offer) -> Correction:
    """The correction of a JSON body; entities may have further fields, such as those of an answer.

    Raises:
        Problem: 400, 413 or 422, with the place in the body.
    """
    value = parse_json(body)
    request = validate(CorrectionRequest, value)
    offer.check_language(request.language)
    check_size(1, len(request.text), offer.limits, "/text")
    text, known = without_surrogates(request.text), offer.known_types(request.language)
    for index, entity in enumerate(request.entities):
        _check_place(entity, text, f"/entities/{index}")
        if known is not None and entity.label not in known:
            raise invalid(f"label must be one of: {', '.join(sorted(known))}.", f"/entities/{index}/label")
    for index, place in enumerate(request.changed or ()):
        _check_place(place, text, f"/changed/{index}")
    ordered = sorted(enumerate(request.entities), key=lambda each: (each[1].start, each[1].end))
    for (_, before), (index, entity) in pairwise(ordered):
        if entity.start < before.end:
            raise invalid("Entities must not overlap.", f"/entities/{index}")
    entities = tuple(Entity(each.start, each.end, text[each.start : each.end], each.label) for _, each in ordered)
    model = Model(request.model.name, request.model.version)
    changed = None if request.changed is None else tuple((place.start, place.end) for place in request.changed)
    return Correction(Result(text, request.language, model, entities), value["entities"], changed)


def _check_place(place: TextPlace, text: str, where: str) -> None:
    start, end = place.start, place.end
    if not 0 <= start < end <= len(text) or not text[start:end].strip():
        raise invalid(f"There are no words at {start} to {end}; offsets count code points of the text.", where)
