"""Reading requests and writing answers: limits first, then JSON, then meaning."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from serving.languages import AUTO
from serving.problems import Problem, invalid, malformed, too_large

FIELDS = frozenset({"text", "language"})


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may hold: texts, characters over all texts, seconds."""

    texts: int
    characters: int
    seconds: float

    @property
    def body_bytes(self) -> int:
        """Bytes of the largest body within the limits: a character takes 12 at most, as two \\u escapes."""
        return 12 * self.characters + 16 * self.texts + 4096


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that is within the limits: texts as they were sent, language ``auto`` or a code."""

    texts: tuple[str, ...]
    language: str


class EntitiesRequest(BaseModel):
    """What to find entities in."""

    text: str | list[str] = Field(description="A text, or a list of texts. Empty texts have no entities.")
    language: str = Field(default=AUTO, description="`auto` (told by the script of each text), or a language's code.")


class LegView(BaseModel, extra="allow"):
    """What one member of the ensemble says about the span."""

    label: str | None = None


class Entity(BaseModel, extra="allow"):
    """An entity: `text[start:end]`, counted in Unicode code points."""

    start: int
    end: int
    text: str
    label: str
    score: float | None = None
    legs: dict[str, LegView] = {}


class ModelName(BaseModel):
    """The version that answered."""

    name: str
    version: str


class Result(BaseModel):
    """The entities of one text."""

    language: str
    model: ModelName
    entities: list[Entity]


class EntitiesAnswer(BaseModel):
    """A result for each text, in their order."""

    results: list[Result]


class ProblemDetails(BaseModel):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    where: str | None = None


async def read_body(request: Request, limit: int, seconds: float) -> bytes:
    """The body, of which never more than ``limit`` bytes are kept.

    Raises:
        Problem: it is larger (413), or does not arrive in time (408).
    """
    close = {"Connection": "close"}  # the rest of the body is not read
    stated = request.headers.get("content-length", "")
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            if not (stated.isdecimal() and int(stated[:20]) > limit):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > limit:
                        break
                else:
                    return bytes(body)
    except TimeoutError:
        raise Problem(
            408, "slow", "The body did not arrive in time", f"Allowed: {seconds:g} s.", headers=close
        ) from None
    problem = too_large(f"The body is larger than {limit} bytes.")
    problem.headers |= close
    raise problem


def parse_json(body: bytes) -> Any:
    """The value of a JSON body in UTF-8.

    Raises:
        Problem: it is none.
    """
    try:
        return json.loads(body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise malformed(f"The body is not UTF-8 (byte {error.start}).") from None
    except json.JSONDecodeError as error:
        raise malformed(f"{error.msg} (line {error.lineno}, column {error.colno}).") from None
    except (RecursionError, ValueError):
        raise malformed("The body is nested too deeply, or holds a number that is too long.") from None


def parse_request(body: bytes, languages: Sequence[str], limits: Limits) -> Asked:
    """What is asked for.

    Raises:
        Problem: 400, 413 or 422, with the place in the body.
    """
    value = parse_json(body)
    if not isinstance(value, dict):
        raise invalid('The body must be an object such as {"text": "…"}.', "")
    if unknown := sorted(set(value) - FIELDS):
        raise invalid(f"Unknown field {unknown[0][:40]!a}; known are text and language.", "")
    if "text" not in value:
        raise invalid("The field text is missing.", "/text")
    text = value["text"]
    language = value.get("language", AUTO)
    if not isinstance(text, str | list):
        raise invalid("text must be a string or a list of strings.", "/text")
    if not isinstance(language, str) or language not in (AUTO, *languages):
        raise invalid(f"language must be one of: {', '.join((AUTO, *languages))}.", "/language")
    texts = [text] if isinstance(text, str) else text
    for index, item in enumerate(texts[: limits.texts]):
        if not isinstance(item, str):
            raise invalid("text must be a string or a list of strings.", f"/text/{index}")
    return within(tuple(texts), language, limits)


def within(texts: tuple[str, ...], language: str, limits: Limits) -> Asked:
    """The request, if it is within the limits.

    Raises:
        Problem: it is not (413).
    """
    if len(texts) > limits.texts:
        raise too_large(f"{len(texts)} texts; at most {limits.texts} are allowed in a request.", "/text")
    if (characters := sum(map(len, texts))) > limits.characters:
        detail = f"{characters} characters; at most {limits.characters} are allowed in a request, all texts together."
        raise too_large(detail, "/text")
    return Asked(texts, language)


def json_response(value: Any, status: int = 200) -> Response:
    """JSON in UTF-8; escaped throughout where the text holds what UTF-8 cannot (lone surrogates)."""
    try:
        body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        body = json.dumps(value, separators=(",", ":")).encode()
    return Response(body, status, media_type="application/json")
