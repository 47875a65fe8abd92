"""What both clients send to the gateway, and how they read its answers; no input and output."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.text.surrogates import without_surrogates
from multiner.serving.answers import ModelFailed, check_predictions
from multiner.serving.client.parallel_results import ParallelResult
from multiner.serving.client.results import Result


class ServiceError(NerError):
    """The gateway refuses, fails, or does not answer: the problem details of RFC 9457.

    Args:
        detail: what it is this time.
        endpoint: the gateway's address.
        status: HTTP status code; None where nothing answered.
        type: the kind of problem, such as ``urn:ner:problem:too-large``.
        title: the kind of problem in words.
        where: place in the request, a JSON pointer; ``/text/3`` is the fourth of the texts given to the client.
        request_id: what the gateway's log calls the request.
        remedy: what to do next.
    """

    def __init__(
        self,
        detail: str,
        *,
        endpoint: str = "",
        status: int | None = None,
        type: str = "about:blank",
        title: str = "",
        where: str | None = None,
        request_id: str | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(f"{status}: {detail}" if status else detail, where=where, remedy=remedy)
        self.detail, self.endpoint, self.status = detail, endpoint, status
        self.type, self.title, self.request_id = type, title, request_id

    def __str__(self) -> str:
        place = f" (at {self.where})" if self.where else ""
        remedy = f"\n  {self.remedy}" if self.remedy else ""
        return f"{self.endpoint}: {self.message}{place}{remedy}"


def entities_body(texts: Sequence[str], options: dict[str, Any]) -> bytes:
    """The body that asks for the entities of texts; ``options`` are its other fields."""
    return json.dumps({"text": _safe(texts), **options}, ensure_ascii=False).encode(errors="replace")


def parallel_body(english: str, russian: str, options: dict[str, Any]) -> bytes:
    """The body that asks for the names of a text and its translation; ``options`` are its other fields."""
    russian, english = _safe([russian, english])
    return json.dumps({"ru": russian, "en": english, **options}, ensure_ascii=False).encode(errors="replace")


@dataclass(frozen=True, slots=True)
class AnswerReader:
    """Reads the answers of the gateway at ``endpoint``; each method raises ServiceError for any other answer."""

    endpoint: str

    def results(self, response: httpx.Response, texts: Sequence[str], first: int = 0) -> list[Result]:
        """A result for each of ``texts``, before which the caller asked for ``first`` others."""
        answer = self._object(response, first=first, alone=len(texts) == 1)
        try:
            check_predictions(_safe(texts), answer["results"])
            return [Result.from_json(value, text) for value, text in zip(answer["results"], texts, strict=True)]
        except (ModelFailed, AttributeError, KeyError, TypeError):
            raise self._not_understood(response) from None

    def parallel(self, response: httpx.Response, english: str, russian: str) -> ParallelResult:
        """The names of both texts and their pairs."""
        answer = self._object(response)
        try:
            check_predictions(_safe([russian, english]), [answer["ru"], answer["en"]])
            return ParallelResult.from_json(answer, english, russian)
        except (ModelFailed, AttributeError, IndexError, KeyError, TypeError, ValueError):
            raise self._not_understood(response) from None

    def models(self, response: httpx.Response) -> list[dict[str, Any]]:
        """The live version of each language."""
        models = self._object(response).get("models", [])
        if not isinstance(models, list):
            raise self._not_understood(response)
        return models

    def health(self, response: httpx.Response) -> dict[str, Any]:
        """The gateway's report, also where it is not well."""
        return self._object(response, statuses=(200, 503))

    def no_answer(self, error: Exception) -> ServiceError:
        """What is raised where a request ended with ``error`` in place of an answer."""
        return ServiceError(
            f"no answer from the endpoint ({type(error).__name__})",
            endpoint=self.endpoint,
            title="No answer",
            remedy="Check the address; a gateway on this machine starts with: ner deploy",
        )

    def _object(
        self, response: httpx.Response, *, statuses: Sequence[int] = (200,), first: int = 0, alone: bool = False
    ) -> dict[str, Any]:
        """The JSON object of a response whose status is one of ``statuses``."""
        try:
            value = response.json()
        except (ValueError, RecursionError):
            value = {}
        fields = value if isinstance(value, dict) else {}
        if response.status_code not in statuses:
            raise ServiceError(
                str(fields.get("detail") or response.reason_phrase),
                endpoint=self.endpoint,
                status=response.status_code,
                type=str(fields.get("type") or "about:blank"),
                title=str(fields.get("title") or response.reason_phrase),
                where=_among_all(fields.get("where"), first, alone),
                request_id=fields.get("request_id") or response.headers.get("x-request-id"),
            )
        if not fields:
            raise self._not_understood(response)
        return fields

    def _not_understood(self, response: httpx.Response) -> ServiceError:
        return ServiceError(
            "the answer is not that of a gateway",
            endpoint=self.endpoint,
            status=response.status_code,
            title="Not understood",
            request_id=response.headers.get("x-request-id"),
        )


def _safe(texts: Sequence[str]) -> list[str]:
    """Texts without surrogates: a pair that Python holds as two code points would arrive as one, and shift offsets."""
    return [without_surrogates(text) for text in texts]


def _among_all(where: object, first: int, alone: bool) -> str | None:
    """A place in a request as a place among all texts of the caller, ``first`` of which were sent before.

    If the request has a text ``alone``, ``/text`` means that one.
    """
    if alone and where == "/text":
        return f"/text/{first}"
    if not isinstance(where, str):
        return None
    index = re.fullmatch(r"/text/(\d{1,9})", where)
    return f"/text/{first + int(index[1])}" if index else where
