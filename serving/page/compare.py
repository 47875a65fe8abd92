"""Two versions on one's own text at ``/compare``, for operators: the live version, and any other of the registry."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse

from multiner.pipeline.core.errors import NerError
from multiner.serving.http.entity_requests import EntitiesRequest
from multiner.serving.http.payload import unless_gone, validate
from multiner.serving.http.problems import Problem, headline, invalid
from multiner.serving.page import view
from multiner.serving.page.form import read_form, text_field
from multiner.serving.page.rendering import render, render_page

if TYPE_CHECKING:
    from multiner.serving.operator.authorization import Guard
    from multiner.serving.operator.facts_reader import FactsReader
    from multiner.serving.routing.inference_service import InferenceService

NO_STORE = {"Cache-Control": "no-store"}


def add_compare(app: FastAPI, service: InferenceService, facts: FactsReader, guard: Guard) -> None:
    """Add the page."""
    languages = service.config.languages

    @app.get("/compare", include_in_schema=False)
    async def show(request: Request) -> HTMLResponse:
        """The form, with the versions of the registry."""
        versions = {}
        if signed_in := await guard.signed_in(request):
            read = await asyncio.gather(*(facts.of(code, None) for code in languages))
            versions = {code: each.history for code, each in zip(languages, read, strict=True)}
        return render_page(request, service, "compare.html", headers=NO_STORE, signed_in=signed_in, versions=versions)

    @app.post("/compare", include_in_schema=False, dependencies=[Depends(guard)])
    async def compare(request: Request) -> HTMLResponse:
        """The answers of both versions side by side, for the script; the chosen one is loaded, which takes a while."""
        problem, both, status = None, [], 200
        try:
            fields = await read_form(request, service.config.limits)
            text, language, version = (text_field(fields, name) for name in ("text", "language", "version"))
            both = await unless_gone(request, sides(text, language, version))
        except Problem as error:
            service.metrics.refusals.labels(error.name).inc()
            problem, status = error, error.status
        request_id = request.state.request_id
        html = render("compare_result.html", sides=both, problem=problem, request_id=request_id)
        return HTMLResponse(html, status, NO_STORE)

    async def sides(text: str, language: str, version: str) -> list[dict[str, Any]]:
        service.config.offer.check_language(language)
        if not (version.isascii() and version.isdigit() and len(version) < 10):
            raise invalid("version must be a number.", "/version")
        items = validate(EntitiesRequest, {"text": text, "language": language}).items(service.config.offer)
        (live,) = await service.answer(items)
        try:
            other = await service.second_version.answer(language, str(int(version)), text)
        except NerError as error:
            detail = f"{headline(error)}. The live version answers as before."
            raise Problem(409, "version", "The version cannot be compared", detail) from None
        return [_side(text, one, another) for one, another in ((live, other), (other, live))]


def _side(text: str, answer: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """A version's entities for the template, with those that the other has not."""
    places = {(each["start"], each["end"], each["label"]) for each in other["entities"]}
    pieces = [
        (each["start"], each["end"], (each["label"], (each["start"], each["end"], each["label"]) not in places))
        for each in answer["entities"]
    ]
    different = sum(mark[1] for _, _, mark in pieces)
    return {"model": answer["model"], "segments": list(view.segments(text, pieces)), "different": different}
