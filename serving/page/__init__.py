"""The page at ``/``: paste a text, see its names. It works without scripts, and loads nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from multiner.serving.answers import ModelFailed, check_predictions
from multiner.serving.gateway.routes import corrections
from multiner.serving.http.payload import to_json, unless_gone
from multiner.serving.http.problems import Problem, invalid
from multiner.serving.page import view
from multiner.serving.page.examples import EXAMPLES
from multiner.serving.page.form import Form, read_form
from multiner.serving.page.rendering import HERE, render, render_page

if TYPE_CHECKING:
    from multiner.serving.routing.inference_service import InferenceService


def add_page(app: FastAPI, service: InferenceService) -> None:
    """Add the page at ``/``, and the static files of all pages at ``/static``."""
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")

    @app.get("/", include_in_schema=False)
    async def show(request: Request, example: str = "") -> HTMLResponse:
        """The empty page, or one of the examples filled in."""
        return _page(request, service, Form(EXAMPLES[example].text if example in EXAMPLES else ""))

    @app.post("/", include_in_schema=False)
    async def find(request: Request) -> Response:
        """The page with the answer; for scripts (``X-Fragment``) the answer alone."""
        form, result, problem = Form(), None, None
        try:
            form = Form.of(await read_form(request, service.config.limits))
            item = form.item(service.config.offer)
            answer = (await unless_gone(request, service.answer([item])))[0]
            result = present(form.text, answer, service, language=form.language)
        except Problem as error:
            service.metrics.refusals.labels(error.name).inc()
            problem = error
        if request.headers.get("x-fragment"):
            html = render("result.html", result=result, problem=problem, request_id=request.state.request_id)
            return HTMLResponse(html, problem.status if problem else 200, problem.headers if problem else None)
        return _page(request, service, form, result, problem)

    if service.config.review is not None:

        @app.post("/corrections", include_in_schema=False)
        async def correct(request: Request) -> HTMLResponse:
            """As ``/v1/corrections``, but the answer is the page's view of the corrected text."""
            correction = await corrections.read(request, service)
            text, language, model = correction.result.text, correction.result.language, correction.result.model
            entities = [dict(each) | {"text": text[each["start"] : each["end"]]} for each in correction.entities]
            try:
                check_predictions([text], [{"entities": entities}])
            except ModelFailed:
                raise invalid("Scores and legs must be as in the answer.", "/entities") from None
            await corrections.keep(service, correction)
            answer = {
                "language": language,
                "model": {"name": model.name, "version": model.version},
                "entities": entities,
            }
            result = present(text, answer, service, language=language)
            return HTMLResponse(render("result.html", result=result, problem=None, request_id=""))


def present(text: str, result: dict[str, Any], service: InferenceService, *, language: str) -> dict[str, Any]:
    """A result for the template; ``language`` is that of the request, maybe ``auto``."""
    marks = view.marks(result["entities"])
    types = service.config.types.get(result["language"]) or sorted({mark.label for mark in marks})
    # for scripts: the answer of the API, and the fields of the request
    data = {
        "text": text,
        "asked": language,
        "types": list(types),
        "language": result["language"],
        "model": result["model"],
    }
    return {
        "language": result["language"],
        "model": result["model"],
        "flags": result.get("flags", []),
        "marks": marks,
        "segments": list(view.segments(text, marks)),
        "counts": view.counts(marks),
        "groups": view.groups(marks),
        "legs": list(dict.fromkeys(opinion.leg for mark in marks for opinion in mark.opinions)),
        "review": service.config.review is not None,
        "data": to_json(data | {"entities": sorted(result["entities"], key=lambda each: each["start"])}).decode(),
    }


def _types(service: InferenceService) -> Sequence[str]:
    """The types of all languages, each once."""
    return list(dict.fromkeys(label for labels in service.config.types.values() for label in labels))


def _page(
    request: Request,
    service: InferenceService,
    form: Form,
    result: dict[str, Any] | None = None,
    problem: Problem | None = None,
) -> HTMLResponse:
    return render_page(
        request,
        service,
        "page.html",
        status=problem.status if problem else 200,
        headers=problem.headers if problem else None,
        form=form,
        types=_types(service),
        limits=service.config.limits,
        result=result,
        problem=problem,
        request_id=request.state.request_id,
    )
