"""Reading requests and writing answers: limits first, then JSON, then meaning."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect

from multiner.pipeline.text.languages import AUTO
from multiner.serving.http.options import OPTIONS, Options, parse_options
from multiner.serving.http.problems import (
    encoded,
    invalid,
    malformed,
    slow,
    too_large,
    unsupported,
)

FIELDS = ("text", "language", *OPTIONS)
T = TypeVar("T")


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
class Offer:
    """What may be asked for: languages, the types of each (a language that is not named: any), and the limits."""

    languages: Sequence[str]
    limits: Limits
    types: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def known_types(self, language: str) -> frozenset[str] | None:
        """The types of a language, or of all for ``auto``; None where they are not known."""
        codes = self.languages if language == AUTO else [language]
        if any(code not in self.types for code in codes):
            return None
        return frozenset(name for code in codes for name in self.types[code])


@dataclass(frozen=True, slots=True)
class Item:
    """A text that is within the limits, its language (``auto`` or a code) and the options of its answer."""

    text: str
    language: str = AUTO
    options: Options = field(default_factory=Options)


def require_type(request: Request, allowed: Sequence[str]) -> str:
    """The media type of the body, without its parameters.

    Raises:
        Problem: 415, it is not one of ``allowed``, or the body is compressed.
    """
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise encoded()
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in allowed:
        raise unsupported(allowed)
    return media_type


async def read_body(request: Request, limit: int, seconds: float) -> bytes:
    """The body, of which never more than ``limit`` bytes are kept.

    Raises:
        Problem: it is larger (413), or does not arrive in time (408).
    """
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
        raise slow(seconds) from None
    problem = too_large(f"The body is larger than {limit} bytes.")
    problem.headers["Connection"] = "close"  # the rest of the body is not read
    raise problem


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The outcome of ``work``, which is cancelled if the caller goes away. The body must have been read.

    Raises:
        ClientDisconnect: the caller has gone.
    """

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, watching = asyncio.create_task(work), asyncio.create_task(gone())
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        working.cancel()
        watching.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


def parse_json(body: bytes, first_line: int = 1) -> Any:
    """The value of a JSON body in UTF-8, whose first line counts as ``first_line``.

    Raises:
        Problem: it is none.
    """
    try:
        return json.loads(body.decode("utf-8-sig"), object_pairs_hook=_object, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise malformed(f"The body is not UTF-8 (byte {error.start}).") from None
    except json.JSONDecodeError as error:
        raise malformed(f"{error.msg} (line {first_line - 1 + error.lineno}, column {error.colno}).") from None
    except (RecursionError, ValueError):
        raise malformed("The body is nested too deeply, or holds a number that is too long.") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; of two fields of a name, one would be lost without a word."""
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise malformed(f"An object has two fields {twice[:40]!a}.")
    return value


def _no_constant(name: str) -> None:
    raise malformed(f"{name} is no number in JSON.")


def parse_request(body: bytes, offer: Offer) -> list[Item]:
    """The texts of a request, with what is asked of each.

    Raises:
        Problem: 400, 413 or 422, with the place in the body.
    """
    value = parse_json(body)
    if not isinstance(value, dict):
        raise invalid('The body must be an object such as {"text": "…"}.', "")
    text = required_text(value, FIELDS)
    if not isinstance(text, str | list):
        raise invalid("text must be a string or a list of strings.", "/text")
    language, options = parse_wishes(value, offer)
    texts = [text] if isinstance(text, str) else text
    for index, item in enumerate(texts[: offer.limits.texts]):
        if not isinstance(item, str):
            raise invalid("text must be a string or a list of strings.", f"/text/{index}")
    return within(texts, language, offer.limits, options)


def required_text(value: Mapping[str, Any], fields: Sequence[str]) -> Any:
    """The field ``text`` of an object that has no others than ``fields``.

    Raises:
        Problem: 422.
    """
    if unknown := sorted(set(value) - set(fields)):
        raise invalid(f"Unknown field {unknown[0][:40]!a}; known are {', '.join(fields)}.", "")
    if "text" not in value:
        raise invalid("The field text is missing.", "/text")
    return value["text"]


def parse_wishes(value: Mapping[str, Any], offer: Offer) -> tuple[str, Options]:
    """The language and the options among the fields of an object.

    Raises:
        Problem: 422, with the place.
    """
    language = value.get("language", AUTO)
    if not isinstance(language, str) or language not in (AUTO, *offer.languages):
        raise invalid(f"language must be one of: {', '.join((AUTO, *offer.languages))}.", "/language")
    return language, parse_options(value, offer.known_types(language))


def within(texts: Sequence[str], language: str, limits: Limits, options: Options | None = None) -> list[Item]:
    """The texts to be answered, if they are within the limits.

    Raises:
        Problem: they are not (413).
    """
    check_size(len(texts), sum(map(len, texts[: limits.texts])), limits, "/text")
    return [Item(text, language, options or Options()) for text in texts]


def check_size(texts: int, characters: int, limits: Limits, where: str | None = None) -> None:
    """Refuse what is over the limits.

    Raises:
        Problem: 413.
    """
    if texts > limits.texts:
        raise too_large(f"{texts} texts; at most {limits.texts} are allowed in a request.", where)
    if characters > limits.characters:
        detail = f"{characters} characters; at most {limits.characters} are allowed in a request, all texts together."
        raise too_large(detail, where)


def to_json(value: Any) -> bytes:
    """JSON in UTF-8; escaped throughout where the text holds what UTF-8 cannot (lone surrogates)."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON."""
    return Response(to_json(value), status, media_type="application/json", headers=headers)
