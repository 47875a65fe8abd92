"""What a client says to the gateway and what it makes of the answers, without input and output of its own.

Each exchange is a generator that yields what is to be done, a :class:`Send` or a :class:`Wait`, and is told what came
of it. Both clients do it, blocking or not, and so behave alike.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import httpx

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.text.tokenizer import without_surrogates
from multiner.serving.answers import ModelFailed, check_predictions
from multiner.serving.client.parallel_results import ParallelResult
from multiner.serving.client.results import Result
from multiner.serving.client.retry import Outcome, Retry

T = TypeVar("T")


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
        self.detail = detail
        self.endpoint = endpoint
        self.status = status
        self.type = type
        self.title = title
        self.request_id = request_id

    def __str__(self) -> str:
        place = f" (at {self.where})" if self.where else ""
        remedy = f"\n  {self.remedy}" if self.remedy else ""
        return f"{self.endpoint}: {self.message}{place}{remedy}"


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request, and tell its response, or the error in place of one."""

    method: str
    path: str
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait this many seconds."""

    seconds: float


Steps: TypeAlias = Generator[Send | Wait, Outcome, T]


@dataclass(frozen=True, slots=True)
class Exchange:
    """The requests there are to a gateway at ``endpoint``."""

    endpoint: str
    retry: Retry

    def find(self, texts: Sequence[str], options: dict[str, Any], first: int = 0) -> Steps[list[Result]]:
        """A result for each text; asked in halves where the gateway finds them too many.

        Args:
            texts: one at least.
            options: further fields of the request.
            first: how many texts of the caller were asked for before these.

        Raises:
            ServiceError: no answer, or another than results.
        """
        # A surrogate pair that Python holds as two code points would arrive as one, and shift the offsets
        safe = [without_surrogates(text) for text in texts]
        body = json.dumps({"text": safe, **options}, ensure_ascii=False).encode()
        response = yield from self._ask(Send("POST", "/v1/entities", body))
        if response.status_code == 413 and len(texts) > 1:
            half = len(texts) // 2
            found = yield from self.find(texts[:half], options, first)
            return found + (yield from self.find(texts[half:], options, first + half))
        answer = self._value(response, (200,), first, alone=len(texts) == 1)
        try:
            check_predictions(safe, answer["results"])
            return [Result.from_json(value, text) for value, text in zip(answer["results"], texts, strict=True)]
        except (ModelFailed, AttributeError, KeyError, TypeError):
            raise self._foreign(response) from None

    def parallel(self, english: str, russian: str, options: dict[str, Any]) -> Steps[ParallelResult]:
        """The names of a text and its translation; both are asked for together, whatever their size.

        Args:
            english: the English text.
            russian: the Russian one.
            options: further fields of the request.

        Raises:
            ServiceError: no answer, or another than one of both texts.
        """
        texts = {"ru": russian, "en": english}
        safe = {code: without_surrogates(text) for code, text in texts.items()}
        body = json.dumps({**safe, **options}, ensure_ascii=False).encode()
        response = yield from self._ask(Send("POST", "/v1/parallel", body))
        answer = self._value(response, (200,))
        try:
            check_predictions(list(safe.values()), [answer[code] for code in safe])
            return ParallelResult.from_json(answer, english, russian)
        except (ModelFailed, AttributeError, IndexError, KeyError, TypeError, ValueError):
            raise self._foreign(response) from None

    def models(self) -> Steps[list[dict[str, Any]]]:
        """The live version of each language."""
        answer = self._value((yield from self._ask(Send("GET", "/v1/models"))), (200,))
        return list(answer.get("models", ()))

    def health(self) -> Steps[dict[str, Any]]:
        """The gateway's report, also where it is not well; asked once."""
        return self._value((yield from self._ask(Send("GET", "/health"), retry=Retry(0, 0))), (200, 503))

    def _ask(self, send: Send, retry: Retry | None = None) -> Steps[httpx.Response]:
        retry = retry or self.retry
        attempt = 0
        while True:
            outcome = yield send
            wait = retry.wait(attempt, outcome)
            if wait is None:
                break
            yield Wait(wait)
            attempt += 1
        if isinstance(outcome, httpx.Response):
            return outcome
        detail = f"no answer from the endpoint ({type(outcome).__name__})"
        remedy = "Check the address; a gateway on this machine starts with: ner deploy"
        raise ServiceError(detail, endpoint=self.endpoint, title="No answer", remedy=remedy) from outcome

    def _value(
        self, response: httpx.Response, good: tuple[int, ...], first: int = 0, alone: bool = False
    ) -> dict[str, Any]:
        """The object that a response holds.

        Raises:
            ServiceError: its status is not ``good``, or it holds none.
        """
        try:
            value = response.json()
        except ValueError:
            value = {}
        problem = value if isinstance(value, dict) else {}
        if response.status_code not in good:
            raise ServiceError(
                str(problem.get("detail") or response.reason_phrase),
                endpoint=self.endpoint,
                status=response.status_code,
                type=str(problem.get("type") or "about:blank"),
                title=str(problem.get("title") or response.reason_phrase),
                where=rebased(problem.get("where"), first, alone),
                request_id=problem.get("request_id") or response.headers.get("x-request-id"),
            )
        if not problem:
            raise self._foreign(response)
        return problem

    def _foreign(self, response: httpx.Response) -> ServiceError:
        detail = "the answer is not that of a gateway"
        request_id = response.headers.get("x-request-id")
        return ServiceError(
            detail, endpoint=self.endpoint, status=response.status_code, title="Not understood", request_id=request_id
        )


def rebased(where: str | None, first: int, alone: bool) -> str | None:
    """A place in a request as a place among all texts of the caller, ``first`` of which came before."""
    if alone and where == "/text":
        return f"/text/{first}"
    index = re.fullmatch(r"/text/(\d{1,9})", where or "")
    return f"/text/{first + int(index[1])}" if index else where
