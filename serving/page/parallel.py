"""The page of two texts: which names are each other's translation, and which stand alone. Works without scripts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.responses import Response

from multiner.serving.gateway.routes import parallel
from multiner.serving.http.payload import read_body, require_type, unless_gone
from multiner.serving.http.problems import Problem
from multiner.serving.page.parallel_examples import EXAMPLES
from multiner.serving.page.parallel_view import present, rows, to_csv
from multiner.serving.page.rendering import render, render_page

if TYPE_CHECKING:
    from multiner.serving.routing.inference_service import InferenceService

FORM = "application/x-www-form-urlencoded"


def add_parallel(app: FastAPI, board: InferenceService) -> None:
    """Give ``app`` the page at ``/parallel`` and its table at ``/parallel.csv``, where both languages are served."""
    if not set(parallel.LANGUAGES) <= set(board.config.languages):
        return

    def page(request: Request, texts: Mapping[str, str], **context: Any) -> Response:
        problem = context.setdefault("problem", None)
        context = {"result": None, "examples": EXAMPLES, "limits": board.config.limits} | context
        return render_page(
            request,
            board,
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
        """The page with the answer; only the answer for scripts (``X-Fragment``)."""
        texts, result, problem = {"ru": "", "en": ""}, None, None
        try:
            texts, hidden = await _read_form(request, board)
            asked = parallel.both(texts, board.config.limits)
            result = present(texts, await unless_gone(request, parallel.answer(board, asked)), hidden)
        except Problem as error:
            board.metrics.refusals.add(error.name)
            problem = error
        if not request.headers.get("x-fragment"):
            return page(request, texts, result=result, problem=problem)
        html = render("parallel_result.html", result=result, problem=problem, request_id=request.state.request_id)
        return Response(
            html,
            problem.status if problem else 200,
            problem.headers if problem else None,
            media_type="text/html",
        )

    @app.post("/parallel.csv", include_in_schema=False)
    async def table(request: Request) -> Response:
        """The table of the texts as a file."""
        texts, hidden = await _read_form(request, board)
        asked = parallel.both(texts, board.config.limits)
        found = rows(await unless_gone(request, parallel.answer(board, asked)))
        text = "\ufeff" + to_csv([row for row in found if row.label not in hidden])  # so that Excel sees UTF-8
        headers = {"Content-Disposition": 'attachment; filename="names.csv"'}
        return Response(text.encode("utf-8", "replace"), media_type="text/csv", headers=headers)


async def _read_form(request: Request, board: InferenceService) -> tuple[dict[str, str], frozenset[str]]:
    """The texts by language, and the types that are offered as filters but not chosen."""
    limits = board.config.limits
    require_type(request, [FORM])
    body = await read_body(request, limits.body_bytes, limits.seconds)
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=50, errors="replace")
    except ValueError:
        raise Problem(400, "malformed", "The form cannot be read", f"Send it as {FORM}.") from None
    # forms send line breaks as CRLF; the offsets count them as one
    texts = {code: fields.get(code, [""])[0].replace("\r\n", "\n") for code in parallel.LANGUAGES}
    return texts, frozenset(fields.get("offered", [])) - frozenset(fields.get("shown", []))
