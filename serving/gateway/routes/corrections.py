"""Corrected entities for the review queue: ``POST /v1/corrections``, there only where ``serving.review`` is on."""

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
from multiner.pipeline.text.tokenizer import document_from_text, without_surrogates
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
    validated,
)
from multiner.serving.http.problems import Problem, invalid
from multiner.serving.routing.inference_service import Switchboard

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$")]


class Version(BaseModel, strict=True):
    """The model version that had answered."""

    name: Name
    version: Name


class Place(BaseModel, strict=True):
    """A span of the text; offsets count code points."""

    start: int
    end: int


class CorrectEntity(Place):
    """An entity as it should be; further fields, such as those of an answer, are ignored."""

    label: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")]


class CorrectionRequest(RequestModel):
    """A text with all its entities as they should be."""

    text: str
    language: str = Field(description="A language's code.")
    model: Version
    entities: list[CorrectEntity] = Field(fail_fast=True, description="All that are right.")
    changed: list[Place] | None = Field(
        default=None, fail_fast=True, description="Places whose sentences are kept; null: all sentences."
    )


class CorrectionAnswer(BaseModel):
    """How many sentences were new to the review queue, and how many stood there already."""

    kept: int
    known: int


CORRECTIONS = {
    "response_model": CorrectionAnswer,
    "responses": schemas.problems(400, 408, 413, 415, 422, 507) | {201: {"model": CorrectionAnswer}},
    "openapi_extra": schemas.body({"application/json": schemas.schema(CorrectionRequest)}),
}


@dataclass(frozen=True, slots=True)
class Correction:
    """A text with its right entities; ``changed``: the places whose sentences are to be kept, None for all.

    ``sent`` are the entities as they were sent, with whatever fields; their places and labels are right.
    """

    result: Result
    sent: Sequence[Mapping[str, Any]]
    changed: tuple[tuple[int, int], ...] | None = None


def router(board: Switchboard) -> APIRouter:
    """The endpoint; none where the gateway keeps nothing."""
    made = APIRouter()
    if board.config.review is None:
        return made

    @made.post("/v1/corrections", **CORRECTIONS)
    async def corrections(request: Request) -> Response:
        """Keep the sentences of a text with their right entities for review: 201, or 200 where all are known."""
        answer = await keep(board, await read(request, board))
        return json_response(answer.model_dump(), 201 if answer.kept else 200)

    return made


async def warm_up(board: Switchboard) -> None:
    """Load what takes words apart, which takes seconds, so that the first correction need not wait for it."""
    if board.config.review is not None:
        for language in board.config.languages:
            await executors.run(executors.FILES, document_from_text, "", language)


async def read(request: Request, board: Switchboard) -> Correction:
    """The correction that a request brings.

    Raises:
        Problem: 400, 408, 413, 415 or 422.
    """
    limits = board.config.limits
    require_type(request, ["application/json"])
    # entities come with their legs' views: several times the text
    return parse_correction(await read_body(request, 4 * limits.body_bytes, limits.seconds), board.config.offer)


async def keep(board: Switchboard, correction: Correction) -> CorrectionAnswer:
    """Put a correction's sentences into the queue.

    Raises:
        Problem: nothing to keep (422), or the queue is full or cannot be written (507).
    """
    assert board.config.review is not None
    return await executors.run(executors.FILES, _keep, board.config.review, correction)


def _keep(queue: ReviewQueue, correction: Correction) -> CorrectionAnswer:
    result = correction.result
    try:
        found = list(sentences(result.to_document(), correction.changed))
        if not found:
            raise invalid("There is no sentence to keep.", "/text" if correction.changed is None else "/changed")
        kept = queue.add(result.language, found, f"{result.model.name}/{result.model.version}")
    except QueueFull as error:
        raise _unable("The review queue is full", f"{error.message}. Whoever runs this has to empty it.") from None
    except OSError as error:
        raise _unable("The review queue cannot be written", f"{error.strerror}.") from None
    except NerError as error:
        raise invalid(f"{error.message}.", "/text") from None
    return CorrectionAnswer(kept=kept, known=len(found) - kept)


def _unable(title: str, detail: str) -> Problem:
    return Problem(507, "review-full", title, f"Nothing was kept: {detail}")


def parse_correction(body: bytes, offer: Offer) -> Correction:
    """The correction of a JSON body; entities may have further fields, such as those of an answer.

    Raises:
        Problem: 400, 413 or 422, with the place in the body.
    """
    value = parse_json(body)
    request = validated(CorrectionRequest, value)
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


def _check_place(place: Place, text: str, where: str) -> None:
    start, end = place.start, place.end
    if not 0 <= start < end <= len(text) or not text[start:end].strip():
        raise invalid(f"There are no words at {start} to {end}; offsets count code points of the text.", where)
