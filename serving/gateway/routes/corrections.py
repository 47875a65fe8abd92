"""Corrected entities for the review queue: ``POST /v1/corrections``, there only where ``serving.review`` is on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora.review_queue import QueueFull, ReviewQueue, sentences
from multiner.pipeline.text.surrogates import without_surrogates
from multiner.pipeline.text.tokenizer import document_from_text
from multiner.serving import executors
from multiner.serving.client.results import Entity, Model, Result
from multiner.serving.gateway import schemas
from multiner.serving.http.payload import (
    Offer,
    json_response,
    parse_json,
    read_body,
    require_type,
    required_text,
    within,
)
from multiner.serving.http.problems import Problem, invalid
from multiner.serving.routing.inference_service import InferenceService

FIELDS = ("text", "language", "model", "entities", "changed")
NAME = re.compile(r"[\w.-]{1,100}", re.ASCII)
LABEL = re.compile(r"[\w-]{1,40}", re.ASCII)
CORRECTIONS = {
    "response_model": schemas.Kept,
    "responses": schemas.problems(400, 408, 413, 415, 422, 507) | {201: {"model": schemas.Kept}},
    "openapi_extra": schemas.body({"application/json": schemas.schema(schemas.CorrectionRequest)}),
}


@dataclass(frozen=True, slots=True)
class Correction:
    """A text with its right entities; ``changed``: the places whose sentences are to be kept, None for all.

    ``sent`` are the entities as they were sent, with whatever fields; their places and labels are right.
    """

    result: Result
    sent: Sequence[Mapping[str, Any]]
    changed: tuple[tuple[int, int], ...] | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """How many sentences were new to the queue, and how many stood there already as they are."""

    kept: int
    known: int


def router(board: InferenceService) -> APIRouter:
    """The endpoint; none where the gateway keeps nothing."""
    made = APIRouter()
    if board.config.review is None:
        return made

    @made.post("/v1/corrections", **CORRECTIONS)
    async def corrections(request: Request) -> Response:
        """Keep the sentences of a text with their right entities for review: 201, or 200 where all are known."""
        kept = await keep(board, await read(request, board))
        return json_response({"kept": kept.kept, "known": kept.known}, 201 if kept.kept else 200)

    return made


async def warm_up(board: InferenceService) -> None:
    """Load what takes words apart, which takes seconds, so that the first correction need not wait for it."""
    if board.config.review is not None:
        for language in board.config.languages:
            await executors.run(executors.FILES, document_from_text, "", language)


async def read(request: Request, board: InferenceService) -> Correction:
    """The correction that a request brings.

    Raises:
        Problem: 400, 408, 413, 415 or 422.
    """
    limits = board.config.limits
    require_type(request, ["application/json"])
    # entities come with their legs' views: several times the text
    return parse_correction(await read_body(request, 4 * limits.body_bytes, limits.seconds), board.config.offer)


async def keep(board: InferenceService, correction: Correction) -> Kept:
    """Put a correction's sentences into the queue.

    Raises:
        Problem: nothing to keep (422), or the queue is full or cannot be written (507).
    """
    assert board.config.review is not None
    return await executors.run(executors.FILES, _keep, board.config.review, correction)


def _keep(queue: ReviewQueue, correction: Correction) -> Kept:
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
    return Kept(kept, len(found) - kept)


def _unable(title: str, detail: str) -> Problem:
    return Problem(507, "review-full", title, f"Nothing was kept: {detail}")


def parse_correction(body: bytes, offer: Offer) -> Correction:
    """The correction of a JSON body; entities may have further fields, such as those of an answer.

    Raises:
        Problem: 400, 413 or 422, with the place in the body.
    """
    value = parse_json(body)
    if not isinstance(value, dict):
        raise invalid("The body must be an object.", "")
    text = required_text(value, FIELDS)
    if not isinstance(text, str):
        raise invalid("text must be a string.", "/text")
    language = value.get("language")
    if language not in list(offer.languages):
        raise invalid(f"language must be one of: {', '.join(offer.languages)}.", "/language")
    within((text,), language, offer.limits)
    clean = without_surrogates(text)
    entities = _entities(value.get("entities"), clean, offer.known_types(language))
    result = Result(clean, language, _model(value.get("model")), entities)
    return Correction(
        result, value["entities"], _changed(value["changed"], clean) if value.get("changed") is not None else None
    )


def _model(value: Any) -> Model:
    names = [value.get("name"), value.get("version")] if isinstance(value, dict) else []
    if not names or not all(isinstance(name, str) and NAME.fullmatch(name) for name in names):
        raise invalid('model must be as in the answer, such as {"name": "ner-en", "version": "3"}.', "/model")
    return Model(*names)


def _entities(value: Any, text: str, known: frozenset[str] | None) -> tuple[Entity, ...]:
    if not isinstance(value, list):
        raise invalid("entities must be a list of all that are right, of the form of the answer.", "/entities")
    placed = []
    for index, item in enumerate(value):
        start, end = _place(item, text, f"/entities/{index}")
        label = item.get("label")
        if not isinstance(label, str) or (not LABEL.fullmatch(label) if known is None else label not in known):
            types = f" of: {', '.join(sorted(known))}" if known else ""
            raise invalid(f"label must be one{types}.", f"/entities/{index}/label")
        placed.append((start, end, index, label))
    placed.sort()
    for (_, before, *_), (start, _, index, _) in pairwise(placed):
        if start < before:
            raise invalid("Entities must not overlap.", f"/entities/{index}")
    return tuple(Entity(start, end, text[start:end], label) for start, end, _, label in placed)


def _changed(value: Any, text: str) -> tuple[tuple[int, int], ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise invalid("changed must be a list of places.", "/changed")
    return tuple(_place(item, text, f"/changed/{index}") for index, item in enumerate(value))


def _place(item: Any, text: str, where: str) -> tuple[int, int]:
    edges = [item.get("start"), item.get("end")] if isinstance(item, Mapping) else []
    if not edges or any(isinstance(edge, bool) or not isinstance(edge, int) for edge in edges):
        raise invalid("It must be an object with the integers start and end.", where)
    start, end = edges
    if not 0 <= start < end <= len(text) or not text[start:end].strip():
        raise invalid(f"There are no words at {start} to {end}; offsets count code points of the text.", where)
    return start, end
