"""The page of two texts at ``/parallel``: which names are each other's translation. It works without scripts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import Response

from multiner.serving.gateway.routes import parallel
from multiner.serving.http.payload import unless_gone
from multiner.serving.http.problems import Problem
from multiner.serving.page.form import read_form, text_field
from multiner.serving.page.parallel_examples import EXAMPLES
from multiner.serving.page.parallel_view import present, rows, to_csv
from multiner.serving.page.rendering import render, render_page

if TYPE_CHECKING:
    from multiner.serving.routing.inference_service import InferenceService


def add_parallel(app: FastAPI, service: InferenceService) -> None:
    """Add the page at ``/parallel`` and its table at ``/parallel.csv``, if both languages are served."""
    if not set(parallel.LANGUAGES) <= set(service.config.languages):
        return

    def page(request: Request, texts: Mapping[str, str], **context: Any) -> Response:
        problem = context.setdefault("problem", None)
        context = {"result": None, "examples": EXAMPLES, "limits": service.config.limits} | context
        return render_page(
            request,
            service,
            "parallel.html",
            status=problem.status if problem else 200,
            headers=problem.headers if problem else None,
            texts=texts,
            request_id=request.state.request_id,
            **context,
        )

    @app.get("/parallel", include_in_schema=False)
    async def show(request: Request, example: str = "") -> Response:
        """The empty page, or one of the examples filled in."""
        return page(request, EXAMPLES[example].texts if example in EXAMPLES else {"ru": "", "en": ""})

    @app.post("/parallel", include_in_schema=False)
    async def compare(request: Request) -> Response:
        """The page with the answer; for scripts (``X-Fragment``) the answer alone."""
        texts, result, problem = {"ru": "", "en": ""}, None, None
        try:
            texts, hidden = await _read(request, service)
            items = parallel.ParallelRequest(ru=texts["ru"], en=texts["en"]).items(service.config.offer)
            result = present(texts, await unless_gone(request, parallel.answer(service, items)), hidden)
        except Problem as error:
            service.metrics.refusals.labels(error.name).inc()
            problem = error
        if not request.headers.get("x-fragment"):
            return page(request, texts, result=result, problem=problem)
        html = render("parallel_result.html", result=result, problem=problem, request_id=request.state.request_id)
        return Response(
            html, problem.status if problem else 200, problem.headers if problem else None, media_type="text/html"
        )

    @app.post("/parallel.csv", include_in_schema=False)
    async def table(request: Request) -> Response:
        """The table as a file."""
        texts, hidden = await _read(request, service)
        items = parallel.ParallelRequest(ru=texts["ru"], en=texts["en"]).items(service.config.offer)
        names = rows(await unless_gone(request, parallel.answer(service, items)))
        text = "\ufeff" + to_csv([row for row in names if row.label not in hidden])  # the mark tells Excel of UTF-8
        headers = {"Content-Disposition": 'attachment; filename="names.csv"'}
        return Response(text.encode("utf-8", "replace"), media_type="text/csv", headers=headers)


async def _read(request: Request, service: InferenceService) -> tuple[dict[str, str], frozenset[str]]:
    """The texts by language, and the types whose filters are off."""
    fields = await read_form(request, service.config.limits)
    texts = {code: text_field(fields, code) for code in parallel.LANGUAGES}
    return texts, frozenset(fields.get("offered", [])) - frozenset(fields.get("shown", []))
