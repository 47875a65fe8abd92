"""The page at ``/``: paste a text, see its names. It works without scripts, and loads nothing from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from multiner.serving.gateway.routes import corrections
from multiner.serving.http.payload import unless_gone
from multiner.serving.http.problems import Problem
from multiner.serving.page import view
from multiner.serving.page.examples import EXAMPLES
from multiner.serving.page.form import Form, read_form
from multiner.serving.page.long_texts import add_long_texts
from multiner.serving.page.rendering import HERE, render_outcome
from multiner.serving.page.review import corrected_html

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
            result = view.present(form.text, answer, service.config, language=form.language)
        except Problem as error:
            service.metrics.refusals.labels(error.name).inc()
            problem = error
        return page(request, form, problem=problem, result=result)

    add_long_texts(app, service)
    if (queue := service.config.review) is not None:

        @app.post("/corrections", include_in_schema=False)
        async def correct(request: Request) -> HTMLResponse:
            """As ``/v1/corrections``, but the answer is the page's view of the corrected text."""
            correction = await corrections.read(request, service)
            html = await corrected_html(correction, service)
            await corrections.keep(queue, correction)
            return HTMLResponse(html)
