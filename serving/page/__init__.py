"""The page: paste a text, see its names. Rendered here, works without scripts; no build step, nothing from outside."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.staticfiles import StaticFiles

from serving.languages import AUTO
from serving.page import view
from serving.page.examples import EXAMPLES
from serving.payload import json_response, read_body, require_type, unless_gone, within
from serving.problems import Problem, invalid

if TYPE_CHECKING:
    from serving.switchboard import Switchboard

HERE = Path(__file__).resolve().parent
TEMPLATES = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.globals |= {
    "type_names": view.TYPE_NAMES,
    "language_names": view.LANGUAGE_NAMES,
    "leg_names": view.LEG_NAMES,
    "examples": EXAMPLES,
}
FORM = "application/x-www-form-urlencoded"


def add_page(app: FastAPI, board: Switchboard) -> None:
    """Give ``app`` the page at ``/`` and its files under ``/static``."""
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")

    @app.get("/", include_in_schema=False)
    async def show(example: str = "") -> HTMLResponse:
        """The empty page, or one of the examples filled in."""
        text = EXAMPLES[example].text if example in EXAMPLES else ""
        return _render(board, text=text)

    @app.post("/", include_in_schema=False)
    async def find(request: Request) -> Response:
        """The page with the answer; only the answer for scripts (``X-Fragment``)."""
        text, language, result, problem = "", AUTO, None, None
        try:
            text, language = await _read_form(request, board)
            asked = within((text,), language, board.config.limits)
            result = present(text, (await unless_gone(request, board.answer(asked)))[0])
        except Problem as error:
            board.metrics.refusals.add(error.name)
            problem = error
        if request.headers.get("x-fragment"):
            html = TEMPLATES.get_template("result.html").render(
                result=result, problem=problem, request_id=request.state.request_id
            )
            return HTMLResponse(html, problem.status if problem else 200, problem.headers if problem else None)
        return _render(
            board, text=text, language=language, result=result, problem=problem, request_id=request.state.request_id
        )

    @app.get("/favicon.ico", include_in_schema=False)
    async def icon() -> Response:
        """No icon at the old place; the page names its own."""
        return json_response({}, 404)


def present(text: str, result: dict[str, Any]) -> dict[str, Any]:
    """What the template needs of a result."""
    marked = view.marks(result["entities"])
    return {
        "language": result["language"],
        "model": result["model"],
        "marks": marked,
        "segments": list(view.segments(text, marked)),
        "counts": view.counts(marked),
        "legs": list(dict.fromkeys(opinion.leg for mark in marked for opinion in mark.opinions)),
    }


async def _read_form(request: Request, board: Switchboard) -> tuple[str, str]:
    limits = board.config.limits
    require_type(request, [FORM])
    body = await read_body(request, limits.body_bytes, limits.seconds)
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=10, errors="replace")
    except ValueError:
        raise Problem(400, "malformed", "The form cannot be read", f"Send it as {FORM}.") from None
    # forms send line breaks as CRLF; the offsets shown count them as one
    text = fields.get("text", [""])[0].replace("\r\n", "\n")
    language = fields.get("language", [AUTO])[0]
    if language not in (AUTO, *board.config.languages):
        raise invalid(f"language must be one of: {', '.join((AUTO, *board.config.languages))}.", "language")
    return text, language


def _render(
    board: Switchboard,
    *,
    text: str = "",
    language: str = AUTO,
    result: dict[str, Any] | None = None,
    problem: Problem | None = None,
    request_id: str = "",
) -> HTMLResponse:
    html = TEMPLATES.get_template("page.html").render(
        text=text,
        language=language,
        languages=board.config.languages,
        limits=board.config.limits,
        health=board.health(),
        result=result,
        problem=problem,
        request_id=request_id,
    )
    return HTMLResponse(html, problem.status if problem else 200, problem.headers if problem else None)
