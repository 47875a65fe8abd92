"""The page: paste a text, see its names. Rendered here, works without scripts; no build step, nothing from outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from multiner.serving.answers import ModelFailed, check_predictions
from multiner.serving.gateway.routes import corrections
from multiner.serving.http.payload import (
    read_body,
    require_type,
    to_json,
    unless_gone,
)
from multiner.serving.http.problems import Problem, invalid
from multiner.serving.page import view
from multiner.serving.page.examples import EXAMPLES
from multiner.serving.page.form import MEDIA_TYPE, Form
from multiner.serving.page.rendering import HERE, render, render_page

if TYPE_CHECKING:
    from multiner.serving.routing.inference_service import InferenceService


def add_page(app: FastAPI, board: InferenceService) -> None:
    """Give ``app`` the page at ``/`` and its files under ``/static``."""
    limits = board.config.limits
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")

    @app.get("/", include_in_schema=False)
    async def show(request: Request, example: str = "") -> HTMLResponse:
        """The empty page, or one of the examples filled in."""
        return _page(request, board, Form(EXAMPLES[example].text if example in EXAMPLES else ""))

    @app.post("/", include_in_schema=False)
    async def find(request: Request) -> Response:
        """The page with the answer; only the answer for scripts (``X-Fragment``)."""
        form, result, problem = Form(), None, None
        try:
            require_type(request, [MEDIA_TYPE])
            form = Form.parse(await read_body(request, limits.body_bytes, limits.seconds))
            item = form.item(board.config.offer)
            answer = (await unless_gone(request, board.answer([item])))[0]
            result = present(form.text, answer, board, asked=form.language)
        except Problem as error:
            board.metrics.refusals.add(error.name)
            problem = error
        if request.headers.get("x-fragment"):
            html = render("result.html", result=result, problem=problem, request_id=request.state.request_id)
            return HTMLResponse(html, problem.status if problem else 200, problem.headers if problem else None)
        return _page(request, board, form, result, problem)

    if board.config.review is not None:

        @app.post("/corrections", include_in_schema=False)
        async def correct(request: Request) -> HTMLResponse:
            """As ``/v1/corrections``; the answer is what the page shows of the corrected text."""
            correction = await corrections.read(request, board)
            text, language, model = correction.result.text, correction.result.language, correction.result.model
            entities = [dict(each) | {"text": text[each["start"] : each["end"]]} for each in correction.sent]
            try:
                check_predictions([text], [{"entities": entities}])
            except ModelFailed:
                raise invalid("Scores and legs must be as in the answer.", "/entities") from None
            await corrections.keep(board, correction)
            answer = {
                "language": language,
                "model": {"name": model.name, "version": model.version},
                "entities": entities,
            }
            shown = present(text, answer, board, asked=language)
            return HTMLResponse(render("result.html", result=shown, problem=None, request_id=""))


def present(text: str, result: dict[str, Any], board: InferenceService, *, asked: str) -> dict[str, Any]:
    """What the template needs of a result; ``asked`` is the language that was asked for, maybe ``auto``."""
    marked = view.marks(result["entities"])
    types = board.config.types.get(result["language"]) or sorted({mark.label for mark in marked})
    # for scripts: the API's answer, with what its caller knows besides
    data = {
        "text": text,
        "asked": asked,
        "types": list(types),
        "language": result["language"],
        "model": result["model"],
    }
    return {
        "language": result["language"],
        "model": result["model"],
        "flags": result.get("flags", []),
        "marks": marked,
        "segments": list(view.segments(text, marked)),
        "counts": view.counts(marked),
        "groups": view.groups(marked),
        "legs": list(dict.fromkeys(opinion.leg for mark in marked for opinion in mark.opinions)),
        "review": board.config.review is not None,
        "data": to_json(data | {"entities": sorted(result["entities"], key=lambda each: each["start"])}).decode(),
    }


def _types(board: InferenceService) -> Sequence[str]:
    """The types of all languages, each once."""
    return list(dict.fromkeys(label for labels in board.config.types.values() for label in labels))


def _page(
    request: Request,
    board: InferenceService,
    form: Form,
    result: dict[str, Any] | None = None,
    problem: Problem | None = None,
) -> HTMLResponse:
    return render_page(
        request,
        board,
        "page.html",
        status=problem.status if problem else 200,
        headers=problem.headers if problem else None,
        form=form,
        types=_types(board),
        limits=board.config.limits,
        result=result,
        problem=problem,
        request_id=request.state.request_id,
    )
