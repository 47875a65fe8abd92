"""Errors in one form: RFC 9457 problem details, without stack traces, paths or the caller's text.

Below ``/v2`` they are in the form of the Open Inference Protocol, whose clients read no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import Scope

from multiner.pipeline.core.errors import NerError

MEDIA_TYPE = "application/problem+json"
PROTOCOL = "/v2"  # where the Open Inference Protocol begins
TOO_LARGE = "The request exceeds a limit"


class Problem(Exception):
    """Why a request is not answered as it asks.

    Args:
        status: HTTP status code.
        name: kind of problem, words with hyphens between them; its type ends so.
        title: the kind in words, the same every time.
        detail: what happened this time, and what to do.
        where: place in the request, a JSON pointer such as ``/text/3``.
        retry_after: seconds after which the same request may succeed.
    """

    def __init__(
        self,
        status: int,
        name: str,
        title: str,
        detail: str,
        *,
        where: str | None = None,
        retry_after: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.name, self.title, self.detail, self.where = status, name, title, detail, where
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)

    def to_json(self, request_id: str) -> dict[str, Any]:
        """The problem details object."""
        body: dict[str, Any] = {
            "type": f"urn:ner:problem:{self.name}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
        }
        return body | ({"where": self.where} if self.where else {})

    def response(self, scope: Scope) -> JSONResponse:
        """The HTTP answer to a request."""
        if f"{scope['path']}/".startswith(f"{PROTOCOL}/"):
            return JSONResponse({"error": self.detail}, self.status, headers=self.headers)
        request_id = scope["state"]["request_id"]
        return JSONResponse(self.to_json(request_id), self.status, headers=self.headers, media_type=MEDIA_TYPE)


def headline(error: NerError) -> str:
    """The first line of an error's message; further lines may quote logs, which have paths."""
    return error.message.partition("\n")[0]


def too_large(detail: str, where: str | None = None) -> Problem:
    """The request exceeds a limit, which ``detail`` states."""
    return Problem(413, "too-large", TOO_LARGE, detail, where=where)


def malformed(detail: str, form: str = "JSON") -> Problem:
    """The body is not in the form that its media type states."""
    return Problem(400, "malformed", f"The body is not valid {form}", detail)


def invalid(detail: str, where: str) -> Problem:
    """The body can be read, and asks for something that does not exist, or holds a wrong value."""
    return Problem(422, "invalid", "The request is not valid", detail, where=where)


def unavailable(detail: str, retry_after: int = 5) -> Problem:
    """No model is live for the language."""
    return Problem(503, "no-model", "No model is live", detail, retry_after=retry_after)


def no_tokens(detail: str) -> Problem:
    """The live version was registered before models could give tokens."""
    return Problem(409, "no-tokens", "The model cannot give tokens", detail)


def wrong_media_type(detail: str, headers: Mapping[str, str] | None = None) -> Problem:
    """The body is of another media type, or compressed."""
    return Problem(415, "media-type", "The content type is not supported", detail, headers=headers)


def busy(detail: str) -> Problem:
    """The queue for the model is full."""
    return Problem(429, "busy", "Too many requests are waiting", detail, retry_after=1)


def slow(seconds: float) -> Problem:
    """The body did not arrive in time; the rest of it is not read."""
    detail, headers = f"Allowed: {seconds:g} s.", {"Connection": "close"}
    return Problem(408, "slow", "The body did not arrive in time", detail, headers=headers)
