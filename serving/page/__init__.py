"""The page at ``/``: paste a text, see its names. It works without scripts, and loads nothing from elsewhere."""

from __future__ import annotations

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
from multiner.serving.page.rendering import HERE, render, render_outcome

if TYPE_CHECKING:
    from multiner.serving.routing.inference_service import InferenceService


def add_page(app: FastAPI, service: InferenceService) -> None:
    """Add the page at ``/``, and the static files of all pages at ``/static``."""
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")

    def page(request: Request, form: Form, **outcome: Any) -> HTMLResponse:
        types = dict.fromkeys(label for labels in service.config.types.values() for label in labels)
        return render_outcome(request, service, "page.html", "result.html", form=form, types=types, **outcome)

    @app.get("/", include_in_schema=False)
    async def show(request: Request, example: str = "") -> HTMLResponse:
        """The empty page, or one of the examples filled in."""
        return page(request, Form(EXAMPLES[example]["text"] if example in EXAMPLES else ""))

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
        return page(request, form, problem=problem, result=result)

    if (queue := service.config.review) is not None:

        @app.post("/corrections", include_in_schema=False)
        async def correct(request: Request) -> HTMLResponse:
            """As ``/v1/corrections``, but the answer is the page's view of the corrected text."""
            correction = await corrections.read(request, service)
            text, language = correction.text, correction.language
            entities = [each.model_dump() | {"text": text[each.start : each.end]} for each in correction.entities]
            try:
                check_predictions([text], [{"entities": entities}])
            except ModelFailed:
                raise invalid("Scores and legs must be as in the answer.", "/entities") from None
            await corrections.keep(queue, correction)
            answer = {"language": language, "model": correction.model.model_dump(), "entities": entities}
            result = present(text, answer, service, language=language)
            return HTMLResponse(render("result.html", result=result, problem=None, request_id=""))


def present(text: str, answer: dict[str, Any], service: InferenceService, *, language: str) -> dict[str, Any]:
    """An answer for the template; ``language`` is that of the request, maybe ``auto``."""
    marks = view.marks(answer["entities"])
    common = {"language": answer["language"], "model": answer["model"]}
    types = list(service.config.types.get(answer["language"]) or sorted({mark.label for mark in marks}))
    entities = sorted(answer["entities"], key=lambda entity: entity["start"])
    return {
        **common,
        "flags": answer.get("flags", []),
        "marks": marks,
        "segments": list(view.segments(text, ((mark.start, mark.end, mark) for mark in marks))),
        "counts": view.counts(mark.label for mark in marks),
        "groups": view.groups(marks),
        "legs": list(dict.fromkeys(opinion.leg for mark in marks for opinion in mark.opinions)),
        "review": service.config.review is not None,
        # for scripts: the answer of the API, and the fields of the request
        "data": to_json({"text": text, "asked": language, "types": types, **common, "entities": entities}).decode(),
    }
