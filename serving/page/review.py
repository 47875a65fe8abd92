"""The review queue at ``/review``, for operators: texts in doubt, to be corrected and accepted, and users' corrections.

An accepted text goes, sentence by sentence, into the same queue as users' corrections.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import Field

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import write_atomically
from multiner.pipeline.core.iob2 import decode
from multiner.pipeline.corpora.review_queue import CorrectedSentence, ReviewQueue
from multiner.pipeline.corpora.uncertain_texts import UncertainText
from multiner.serving import executors
from multiner.serving.answers import ModelFailed, check_predictions
from multiner.serving.gateway.routes import corrections
from multiner.serving.http.payload import RequestModel, read_model
from multiner.serving.http.problems import Problem, headline, invalid
from multiner.serving.page import view
from multiner.serving.page.rendering import render, render_page
from multiner.serving.routing.linked_names import add_names

if TYPE_CHECKING:
    from multiner.serving.gateway.routes.corrections import CorrectionRequest
    from multiner.serving.operator.authorization import Guard
    from multiner.serving.routing.inference_service import InferenceService

NO_STORE = {"Cache-Control": "no-store"}
LATEST = 50  # corrections that the page shows


class DiscardRequest(RequestModel, frozen=True):
    """A text in doubt, or a correction, that is to leave the queue."""

    language: str
    text: str | None = Field(default=None, description="The text in doubt.")
    id: str | None = Field(default=None, description="The id of the corrected sentence.")


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for review in a language: texts in doubt, those in most doubt first, and corrections, newest first."""

    doubtful: list[UncertainText]
    corrected: list[CorrectedSentence]


async def corrected_html(correction: CorrectionRequest, service: InferenceService) -> str:
    """The page's view of a corrected text; Problem 422 where its entities are not in the form of an answer."""
    text, language = correction.text, correction.language
    entities = [each.model_dump() | {"text": text[each.start : each.end]} for each in correction.entities]
    try:
        check_predictions([text], [{"entities": entities}])
    except ModelFailed:
        raise invalid("Scores and legs must be as in the answer.", "/entities") from None
    result = await _present(text, language, correction.model.model_dump(), entities, service)
    return render("result.html", result=result, problem=None, request_id="")


async def _present(
    text: str, language: str, model: dict[str, str], entities: list[dict[str, Any]], service: InferenceService
) -> dict[str, Any]:
    entities.sort(key=lambda entity: entity["start"])
    answer = {"language": language, "model": model, "entities": entities}
    await add_names([answer])
    return view.present(text, answer, service.config, language=language)


def add_review(app: FastAPI, service: InferenceService, guard: Guard) -> None:
    """Add the page at ``/review``, if the gateway has a review queue."""
    queue, uncertain, languages = service.config.review, service.config.uncertain, service.config.languages
    if queue is None:
        return
    operator = [Depends(guard)]

    def waiting(language: str) -> Waiting:
        doubtful = uncertain.read(language) if uncertain else []
        return Waiting(doubtful, queue.read(language)[::-1])

    @app.get("/review", include_in_schema=False)
    async def show(request: Request, language: str = "", at: int = 0) -> HTMLResponse:
        """The queue of a language, with the text in doubt number ``at``."""
        language = language if language in languages else languages[0]
        context: dict[str, Any] = {"language": language, "at": at, "result": None, "problem": None, "waiting": None}
        if signed_in := await guard.signed_in(request):
            try:
                context["waiting"] = own = await executors.run(executors.FILES, waiting, language)
            except NerError as error:
                context["problem"] = Problem(500, "review", "The review queue cannot be read", headline(error))
            else:
                context["corrections"] = [(each, _segments(each)) for each in own.corrected[:LATEST]]
                if own.doubtful:
                    context["at"] = at % len(own.doubtful)
                    context["result"] = await _doubtful(own.doubtful[context["at"]], language, service)
        context |= {"signed_in": signed_in, "request_id": request.state.request_id}
        types = service.config.types.get(language, ())
        return render_page(request, service, "review.html", headers=NO_STORE, types=types, **context)

    @app.post("/review/corrected", include_in_schema=False, dependencies=operator)
    async def corrected(request: Request) -> HTMLResponse:
        """The view of a corrected text; nothing is kept yet."""
        return HTMLResponse(await corrected_html(await corrections.read(request, service), service))

    @app.post("/review/accept", include_in_schema=False, dependencies=operator)
    async def accept(request: Request) -> Response:
        """Put all sentences of a text in doubt into the queue, as corrected, and take it from those in doubt."""
        correction = await corrections.read(request, service)
        await corrections.keep(queue, correction)
        await forget(correction.language, correction.text)
        return Response(status_code=204, headers=NO_STORE)

    @app.post("/review/discard", include_in_schema=False, dependencies=operator)
    async def discard(request: Request) -> Response:
        """Take a text in doubt, or a correction, from the queue."""
        order = await read_model(request, DiscardRequest, service.config.limits)
        service.config.offer.check_language(order.language)
        if (order.text is None) == (order.id is None):
            raise invalid("Give either text or id.", "")
        if order.text is not None:
            await forget(order.language, order.text)
        else:
            await executors.run(executors.FILES, remove, queue, order.language, order.id)
        return Response(status_code=204, headers=NO_STORE)

    async def forget(language: str, text: str) -> None:
        if uncertain:
            await executors.run(executors.FILES, uncertain.clear, language, [UncertainText(text)])


async def _doubtful(text: UncertainText, language: str, service: InferenceService) -> dict[str, Any]:
    name, _, version = text.model.partition("/")
    entities = [each | {"text": text.text[each["start"] : each["end"]]} for each in text.entities]
    return await _present(text.text, language, {"name": name, "version": version}, entities, service)


def remove(queue: ReviewQueue, language: str, id: str) -> None:
    """Take a corrected sentence from the queue.

    Raises:
        NerError: the queue is malformed.
        OSError: it cannot be written; it is unchanged.
    """
    with queue.hold(language):
        rest = [each for each in queue.read(language) if each.id != id]
        path = queue.path(language)
        with write_atomically(path) as file:
            file.writelines(map(str, rest))
        path.chmod(0o600)  # texts of users


def _segments(sentence: CorrectedSentence) -> list[tuple[str, str | None]]:
    """The words of a sentence with blanks between them, in pieces, each with its type or None."""
    starts = [0]
    for word in sentence.words:
        starts.append(starts[-1] + len(word) + 1)
    marks = [(starts[span.start], starts[span.end] - 1, span.label) for span in decode(sentence.tags)]
    return list(view.segments(" ".join(sentence.words), marks))
