"""Texts longer than a request may be, such as documents: answered in parts, with the progress for the page's script."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response, StreamingResponse

from multiner.serving import executors
from multiner.serving.documents.parts import merge, split
from multiner.serving.http.payload import check_size, to_json
from multiner.serving.http.problems import Problem
from multiner.serving.page import view
from multiner.serving.page.form import Form, read_form
from multiner.serving.page.rendering import render
from multiner.serving.routing.inference_service import LONG
from multiner.serving.routing.linked_names import add_names

if TYPE_CHECKING:
    from multiner.serving.routing.inference_service import InferenceService

PATH = "/long"
IN_FLIGHT = 2  # parts of a text that are at the model at once


def add_long_texts(app: FastAPI, service: InferenceService) -> None:
    """Add ``POST /long``: the form of the page; JSON lines that count the parts, the last with the answer's HTML."""
    limits = replace(service.config.limits, characters=service.config.documents.characters)

    @app.post(PATH, include_in_schema=False)
    async def find(request: Request) -> Response:
        """The progress and the answer; where the form is wrong, the problem as HTML."""
        request_id = request.state.request_id
        try:
            form = Form.of(await read_form(request, limits))
            check_size(1, len(form.text), limits)
            parts = split(form.text, min(LONG, service.config.limits.characters))
            items = [replace(form, text=form.text[start:end]).item(service.config.offer) for start, end in parts]
        except Problem as problem:
            service.metrics.refusals.labels(problem.name).inc()
            return HTMLResponse(_problem(problem, request_id), problem.status, problem.headers)

        async def lines() -> AsyncIterator[bytes]:
            results: list[dict[str, Any]] = []
            try:
                async for result in _answers(service, items):
                    results.append(result)
                    yield to_json({"part": len(results), "of": len(parts)}) + b"\n"
                html = await _answer(form, merge(parts, results), service)
            except Problem as problem:
                service.metrics.refusals.labels(problem.name).inc()
                html = _problem(problem, request_id)
            yield to_json({"html": html}) + b"\n"

        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(lines(), media_type="application/jsonl", headers=headers)


async def _answers(service: InferenceService, items: Sequence[Any]) -> AsyncIterator[dict[str, Any]]:
    """The results of the parts in their order; raises the first Problem."""
    tasks: deque[asyncio.Task[list[dict[str, Any] | Problem]]] = deque()
    try:
        for index, item in enumerate(items):
            item.link = False  # names are linked over the whole text
            tasks.append(asyncio.create_task(service.answer_each([item], patient=True)))
            while len(tasks) >= IN_FLIGHT or (tasks and index == len(items) - 1):
                (result,) = await tasks.popleft()
                if isinstance(result, Problem):
                    raise result
                yield result
    finally:
        for task in tasks:
            task.cancel()


async def _answer(form: Form, answer: dict[str, Any], service: InferenceService) -> str:
    await add_names([answer])

    def make() -> str:
        result = view.present(form.text, answer, service.config, language=form.language)
        return render("result.html", result=result, problem=None, request_id="")

    return await executors.run(executors.LINKING, make)


def _problem(problem: Problem, request_id: str) -> str:
    return render("result.html", result=None, problem=problem, request_id=request_id)
