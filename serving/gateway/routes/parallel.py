"""A Russian and an English text side by side: ``POST /v1/parallel``, and what the page asks as well."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from multiner.pipeline.text.languages import AUTO
from multiner.serving import executors
from multiner.serving.gateway import schemas
from multiner.serving.http.options import OPTIONS, Options, parse_options
from multiner.serving.http.payload import (
    Item,
    Limits,
    Offer,
    check_size,
    json_response,
    parse_json,
    read_body,
    require_type,
    unless_gone,
)
from multiner.serving.http.problems import Problem, invalid, too_large

if TYPE_CHECKING:
    from multiner.serving.matching import Comparison, Mention, Name
    from multiner.serving.routing.inference_service import InferenceService

LANGUAGES = ("ru", "en")
MOST_NAMES = 500  # different names of a text: what is compared grows with them


class ParallelRequest(BaseModel, extra="forbid"):
    """A text in Russian and its translation into English, or the other way round."""

    ru: str = Field(description="The Russian text.")
    en: str = Field(description="The English text.")
    min_score: float = Field(default=0.0, ge=0, le=1, description="Entities with a lower score are left out.")
    types: list[str] | None = Field(default=None, description="Only entities of these types; null: of all.")
    legs: bool = Field(default=True, description="Whether entities tell what each member of the ensemble found.")
    offsets: Literal["code_points", "utf16"] = Field(default="code_points", description="What offsets count.")


class ParallelName(BaseModel):
    """All mentions of a name in a text."""

    text: str = Field(description="Its fullest form.")
    label: str = Field(description="Its commonest type.")
    forms: list[str] = Field(description="The forms it is mentioned in, in their order.")
    mentions: list[int] = Field(description="Places of its mentions in the text's list of entities.")
    pair: int | None = Field(description="Place of its pair in the list of pairs; null: unmatched.")


class ParallelPair(BaseModel):
    """Two names that are taken for each other's translation."""

    ru: int = Field(description="Place in the Russian text's list of names.")
    en: int = Field(description="Place in the English text's list of names.")
    similarity: float = Field(ge=0, le=1)
    reasons: list[str] = Field(description="What they have in common, such as `transliteration` or `CLDR territory`.")
    suspicious: bool = Field(description="The spelling follows no scheme, or a word does not fit: likely an error.")
    counts_differ: bool = Field(description="It is mentioned more often in one text.")


class ParallelSide(schemas.Result):
    """The entities and names of one text."""

    names: list[ParallelName]


class ParallelAnswer(BaseModel):
    """Both texts' entities and names, and which names belong together."""

    ru: ParallelSide
    en: ParallelSide
    pairs: list[ParallelPair]


PARALLEL = {
    "response_model": ParallelAnswer,
    "responses": schemas.problems(400, 408, 413, 415, 422, 429, 502, 503, 504),
}


def router(board: InferenceService) -> APIRouter:
    """The endpoint, where both languages are served; else nothing."""
    router, limits = APIRouter(), board.config.limits
    if not set(LANGUAGES) <= set(board.config.languages):
        return router

    taken = schemas.asked(ParallelRequest, board.config.offer, LANGUAGES)

    @router.post("/v1/parallel", openapi_extra=schemas.body({"application/json": taken}), **PARALLEL)
    async def parallel(request: Request) -> Response:
        """Find the names of a Russian and an English text that are each other's translation, and those that are not."""
        require_type(request, ["application/json"])
        body = await read_body(request, limits.body_bytes, limits.seconds)
        items = parse_parallel(body, board.config.offer)
        return json_response(await unless_gone(request, answer(board, items)))

    return router


def parse_parallel(body: bytes, offer: Offer) -> list[Item]:
    """The two texts of a request, the Russian one first.

    Raises:
        Problem: 400, 413 or 422, with the place in the body.
    """
    value = parse_json(body)
    if not isinstance(value, dict):
        raise invalid('The body must be an object such as {"ru": "…", "en": "…"}.', "")
    fields = (*LANGUAGES, *(name for name in OPTIONS if name != "tokens"))
    if unknown := sorted(set(value) - set(fields)):
        raise invalid(f"Unknown field {unknown[0][:40]!a}; known are {', '.join(fields)}.", "")
    for code in LANGUAGES:
        if not isinstance(value.get(code), str):
            raise invalid(f"{code} must be a string.", f"/{code}")
    return both(value, offer.limits, parse_options(value, offer.known_types(AUTO)))


def both(texts: Mapping[str, str], limits: Limits, options: Options | None = None) -> list[Item]:
    """The two texts, if they are within the limits.

    Raises:
        Problem: 413.
    """
    check_size(len(LANGUAGES), sum(len(texts[code]) for code in LANGUAGES), limits)
    return [Item(texts[code], code, options or Options()) for code in LANGUAGES]


async def answer(board: InferenceService, items: Sequence[Item]) -> dict[str, Any]:
    """What :class:`ParallelAnswer` states, of a Russian and an English text.

    Raises:
        Problem: 413 (too many names), 429, 502, 503 or 504.
    """
    results = await board.answer(items)
    mentions = [_mentions(result["entities"]) for result in results]
    for code, found in zip(LANGUAGES, mentions, strict=True):
        if len({mention.text for mention in found}) > MOST_NAMES:
            detail = f"The text has more than {MOST_NAMES} different names; send it in parts."
            raise too_large(detail, f"/{code}")
    try:
        async with asyncio.timeout(board.config.limits.seconds):
            return merge(results, await executors.run(executors.COMPARING, _compare, *mentions))
    except TimeoutError:
        detail = "The names could not be compared in the time allowed. Send less text at once, or later."
        raise Problem(504, "timeout", "The model took too long", detail) from None


def _mentions(entities: Sequence[Mapping[str, Any]]) -> list[Mention]:
    from multiner.serving.matching import Mention

    return [Mention(entity["text"], entity["label"], entity["start"]) for entity in entities]


def _compare(russian: Sequence[Mention], english: Sequence[Mention]) -> Comparison:
    from multiner.serving.matching import compare

    return compare(russian, english)


def merge(results: Sequence[Mapping[str, Any]], found: Comparison) -> dict[str, Any]:
    """The answer, from the results of both texts and the comparison of their names."""
    pairs_of = (
        {match.russian: number for number, match in enumerate(found.matches)},
        {match.english: number for number, match in enumerate(found.matches)},
    )
    sides = {
        code: dict(result) | {"names": [_name(name, pair_of.get(index)) for index, name in enumerate(names)]}
        for code, result, names, pair_of in zip(
            LANGUAGES, results, (found.russian, found.english), pairs_of, strict=True
        )
    }
    pairs = []
    for match in found.matches:
        russian, english = found.counts(match)
        pairs.append(
            {
                "ru": match.russian,
                "en": match.english,
                "similarity": match.similarity,
                "reasons": list(match.reasons),
                "suspicious": match.suspicious,
                "counts_differ": russian != english,
            }
        )
    return sides | {"pairs": pairs}


def _name(name: Name, pair: int | None) -> dict[str, Any]:
    return {
        "text": name.text,
        "label": name.label,
        "forms": list(name.forms),
        "mentions": list(name.mentions),
        "pair": pair,
    }
