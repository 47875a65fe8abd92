"""Reading requests and writing answers: limits first, then JSON, then its shape, which pydantic checks."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from multiner.serving.http.problems import invalid, malformed, slow, too_large, wrong_media_type

PHRASES = {  # by pydantic's type of error; its own message of the others is plain
    "missing": "is missing",
    "model_type": "must be an object",
    "string_unicode": "must be valid Unicode",
}
T = TypeVar("T")


class RequestModel(BaseModel, strict=True, extra="forbid", frozen=True):
    """A body in JSON. No value is converted, and unknown fields are refused."""


M = TypeVar("M", bound=RequestModel)


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a request: texts, characters of all texts together, seconds."""

    texts: int
    characters: int
    seconds: float

    @property
    def body_bytes(self) -> int:
        """Bytes of the largest body within the limits: a character takes 12 at most, as two \\u escapes."""
        return 12 * self.characters + 16 * self.texts + 4096


def require_type(request: Request, allowed: Sequence[str]) -> str:
    """The body's media type, without parameters; Problem 415 where it is not allowed, or the body is compressed."""
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        # its size would be known only after it is unpacked
        raise wrong_media_type("Send the body as it is, without Content-Encoding.", {"Accept-Encoding": "identity"})
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in allowed:  # "" among them: it may be left out
        raise wrong_media_type(f"Send Content-Type: {' or '.join(filter(None, allowed))}.")
    return media_type


async def read_body(request: Request, limit: int, seconds: float) -> bytes:
    """The body; Problem 413 where it has more than ``limit`` bytes, of which no more are held; 408 where it is late."""
    length = request.headers.get("content-length", "")
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            if not (length.isdecimal() and int(length[:20]) > limit):
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
    """What ``work`` returns; if the caller goes away, it is cancelled (ClientDisconnect). Read the body first."""

    async def disconnect() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    task, watcher = asyncio.create_task(work), asyncio.create_task(disconnect())
    try:
        await asyncio.wait({task, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnect
    finally:
        task.cancel()
        watcher.cancel()
        await asyncio.gather(task, watcher, return_exceptions=True)


def parse_json(body: bytes, first_line: int = 1) -> Any:
    """The value of a JSON body in UTF-8, whose first line has the number ``first_line``; else Problem 400."""
    try:
        return json.loads(body.decode("utf-8-sig"), object_pairs_hook=_object, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise malformed(f"The body is not UTF-8 (byte {error.start}).") from None
    except json.JSONDecodeError as error:
        raise malformed(f"{error.msg} (line {first_line - 1 + error.lineno}, column {error.colno}).") from None
    except (RecursionError, ValueError):
        raise malformed("The body is nested too deeply, or holds a number that is too long.") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; of two fields with one name, the first would be lost silently."""
    value = dict(pairs)
    if len(value) != len(pairs):
        ((name, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise malformed(f"An object has two fields {name[:40]!a}.")
    return value


def _no_constant(name: str) -> None:
    raise malformed(f"{name} is no number in JSON.")


def validate(model: type[M], value: Any) -> M:
    """The value of a body as a ``model``; else Problem 422, with the place of the first error, quoting no value."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place, kind = first["loc"], first["type"]
    if kind == "extra_forbidden":
        fields = ", ".join(model.model_fields)
        raise invalid(f"Unknown field {str(place[-1])[:40]!a}; known are {fields}.", "")
    names = [each for each in place if isinstance(each, str)]
    subject = "The body" if not names else names[-1] if place[-1] == names[-1] else f"Each item of {names[-1]}"
    phrase = PHRASES.get(kind) or first["msg"].replace("Input should be", "must be")
    raise invalid(f"{subject} {phrase}.", "".join(f"/{each}" for each in place))


async def read_model(
    request: Request, model: type[M], limits: Limits, types: Sequence[str] = ("application/json",)
) -> M:
    """The body in JSON, of one of the media types, as a ``model``; else Problem 400, 408, 413, 415 or 422."""
    require_type(request, types)
    return validate(model, parse_json(await read_body(request, limits.body_bytes, limits.seconds)))


def check_size(texts: int, characters: int, limits: Limits, where: str | None = None) -> None:
    """Refuse a request that exceeds the limits (Problem 413)."""
    if texts > limits.texts:
        raise too_large(f"{texts} texts; at most {limits.texts} are allowed in a request.", where)
    if characters > limits.characters:
        detail = f"{characters} characters; at most {limits.characters} are allowed in a request, all texts together."
        raise too_large(detail, where)


def to_json(value: Any) -> bytes:
    """JSON in UTF-8; with escapes throughout if it holds lone surrogates, which UTF-8 lacks."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON."""
    return Response(to_json(value), status, media_type="application/json", headers=headers)
