"""A Russian and an English text side by side: ``POST /v1/parallel``, which the page shares."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from multiner.pipeline.text.languages import AUTO
from multiner.serving import executors
from multiner.serving.gateway.schemas import openapi
from multiner.serving.gateway.schemas.answers import NameSchema, ResultSchema
from multiner.serving.http.entity_requests import Item, Offer, Options
from multiner.serving.http.payload import check_size, json_response, read_model, unless_gone
from multiner.serving.http.problems import Problem, too_large

if TYPE_CHECKING:
    from multiner.serving.matching import NameAlignment, NameGroup
    from multiner.serving.routing.inference_service import InferenceService

LANGUAGES = ("ru", "en")
MOST_NAMES = 500  # different names of a text; the comparison takes longer with each


class ParallelRequest(Options, frozen=True):
    """A text in Russian and its translation into English, or the other way round."""

    ru: str = Field(description="The Russian text.")
    en: str = Field(description="The English text.")

    def items(self, offer: Offer) -> list[Item]:
        """The two texts, the Russian one first; Problem 413 or 422 where they cannot be taken."""
        offer.check_types(self, AUTO)
        check_size(len(LANGUAGES), len(self.ru) + len(self.en), offer.limits)
        return [Item(self.ru, "ru", self), Item(self.en, "en", self)]


class ParallelNameSchema(NameSchema):
    """A name of one text."""

    pair: int | None = Field(description="Place of its pair in the list of pairs; null: unmatched.")


class ParallelPairSchema(BaseModel):
    """Two names that are likely each other's translation."""

    ru: int = Field(description="Place in the Russian text's list of names.")
    en: int = Field(description="Place in the English text's list of names.")
    similarity: float = Field(ge=0, le=1)
    reasons: list[str] = Field(description="What they have in common, such as `transliteration` or `CLDR territory`.")
    suspicious: bool = Field(description="The spelling follows no scheme, or a word does not fit: likely an error.")
    counts_differ: bool = Field(description="It is mentioned more often in one text.")


class ParallelSideSchema(ResultSchema):
    """The entities and names of one text."""

    names: list[ParallelNameSchema]  # type: ignore[assignment]


class ParallelAnswer(BaseModel):
    """Both texts' entities and names, and which names belong together."""

    ru: ParallelSideSchema
    en: ParallelSideSchema
    pairs: list[ParallelPairSchema]


PARALLEL: dict[str, Any] = {
    "response_model": ParallelAnswer,
    "responses": openapi.problems(400, 408, 413, 415, 422, 429, 502, 503, 504),
}


def parallel_router(service: InferenceService) -> APIRouter:
    """The endpoint, if both languages are served."""
    router, limits = APIRouter(), service.config.limits
    if not set(LANGUAGES) <= set(service.config.languages):
        return router

    body = openapi.body({"application/json": openapi.request_schema(ParallelRequest, service.config.offer, LANGUAGES)})

    @router.post("/v1/parallel", openapi_extra=body, **PARALLEL)
    async def parallel(request: Request) -> Response:
        """Find the names of a Russian and an English text that are each other's translation, and those that are not."""
        items = (await read_model(request, ParallelRequest, limits)).items(service.config.offer)
        return json_response(await unless_gone(request, answer(service, items)))

    return router


async def answer(service: InferenceService, items: Sequence[Item]) -> dict[str, Any]:
    """The :class:`ParallelAnswer` to a Russian and an English text; else Problem 413, 429, 502, 503 or 504."""
    results = await service.answer(items)
    for code, result in zip(LANGUAGES, results, strict=True):
        if len({entity["text"] for entity in result["entities"]}) > MOST_NAMES:
            detail = f"The text has more than {MOST_NAMES} different names; send it in parts."
            raise too_large(detail, f"/{code}")
    try:
        async with asyncio.timeout(service.config.limits.seconds):
            return merge(results, await executors.run(executors.COMPARING, _compare, results))
    except TimeoutError:
        detail = "The names could not be compared in the time allowed. Send less text at once, or later."
        raise Problem(504, "timeout", "The model took too long", detail) from None


def _compare(results: Sequence[Mapping[str, Any]]) -> NameAlignment:
    """Match the names of both texts; only now, since the modules for it take long to load."""
    from multiner.serving.matching import Mention, compare

    russian, english = (
        [Mention(entity["text"], entity["label"], entity["start"]) for entity in result["entities"]]
        for result in results
    )
    return compare(russian, english)


def merge(results: Sequence[Mapping[str, Any]], alignment: NameAlignment) -> dict[str, Any]:
    """The answer, from the results of both texts and the alignment of their names."""
    names, matches = (alignment.russian, alignment.english), alignment.matches
    answer: dict[str, Any] = {}
    indices = [match.russian for match in matches], [match.english for match in matches]
    for code, result, side, paired in zip(LANGUAGES, results, names, indices, strict=True):
        pairs = {index: place for place, index in enumerate(paired)}
        answer[code] = {**result, "names": [_name(name, pairs.get(index)) for index, name in enumerate(side)]}
    answer["pairs"] = [
        {
            "ru": match.russian,
            "en": match.english,
            "similarity": match.similarity,
            "reasons": list(match.reasons),
            "suspicious": match.suspicious,
            "counts_differ": names[0][match.russian].count != names[1][match.english].count,
        }
        for match in matches
    ]
    return answer


def _name(name: NameGroup, pair: int | None) -> dict[str, Any]:
    forms, mentions = list(name.forms), list(name.mentions)
    return {"text": name.text, "label": name.label, "forms": forms, "mentions": mentions, "pair": pair}
