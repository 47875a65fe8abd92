"""The page of two texts at ``/parallel``: which names are each other's translation. It works without scripts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import Response

from multiner.serving.gateway.routes import parallel
from multiner.serving.http.payload import unless_gone
from multiner.serving.http.problems import Problem
from multiner.serving.page.examples import PARALLEL_EXAMPLES
from multiner.serving.page.form import read_form, text_field
from multiner.serving.page.parallel_view import present, rows, to_csv
from multiner.serving.page.rendering import render_outcome

if TYPE_CHECKING:
    from multiner.serving.routing.inference_service import InferenceService
EMPTY = dict.fromkeys(parallel.LANGUAGES, "")


def add_parallel(app: FastAPI, service: InferenceService) -> None:
    """Add the page at ``/parallel`` and its table at ``/parallel.csv``, if both languages are served."""
    if not set(parallel.LANGUAGES) <= set(service.config.languages):
        return

    def page(request: Request, texts: Mapping[str, str], **outcome: Any) -> Response:
        return render_outcome(request, service, "parallel.html", "parallel_result.html", texts=texts, **outcome)

    async def answer(request: Request, texts: Mapping[str, str]) -> dict[str, Any]:
        items = parallel.ParallelRequest.model_validate(texts).items(service.config.offer)
        return await unless_gone(request, parallel.answer(service, items))

    @app.get("/parallel", include_in_schema=False)
    async def show(request: Request, example: str = "") -> Response:
        """The empty page, or one of the examples filled in."""
        return page(request, PARALLEL_EXAMPLES.get(example, EMPTY))

    @app.post("/parallel", include_in_schema=False)
    async def compare(request: Request) -> Response:
        """The page with the answer; for scripts (``X-Fragment``) the answer alone."""
        texts, result, problem = EMPTY, None, None
        try:
            texts, hidden = await _read(request, service)
            result = present(texts, await answer(request, texts), hidden)
        except Problem as error:
            service.metrics.refusals.labels(error.name).inc()
            problem = error
        return page(request, texts, result=result, problem=problem)

    @app.post("/parallel.csv", include_in_schema=False)
    async def table(request: Request) -> Response:
        """The table as a file."""
        texts, hidden = await _read(request, service)
        names = rows(await answer(request, texts))
        text = "\ufeff" + to_csv([row for row in names if row.label not in hidden])  # the mark tells Excel of UTF-8
        headers = {"Content-Disposition": 'attachment; filename="names.csv"'}
        return Response(text.encode("utf-8", "replace"), media_type="text/csv", headers=headers)


async def _read(request: Request, service: InferenceService) -> tuple[dict[str, str], frozenset[str]]:
    """The texts by language, and the types whose filters are off."""
    fields = await read_form(request, service.config.limits)
    texts = {code: text_field(fields, code) for code in parallel.LANGUAGES}
    return texts, frozenset(fields.get("offered", [])) - frozenset(fields.get("shown", []))
