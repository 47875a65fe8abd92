"""Pages as HTML. Each extends ``base.html``, which has the header with the live models, the navigation, and the footer.

A further page needs an entry in :data:`PAGES`, a template with the blocks ``title``, ``head`` (its own style sheets and
scripts), ``main`` and ``footer``, and a route that returns :func:`render_page`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from multiner.pipeline.text.languages import language_name
from multiner.serving.http.problems import Problem
from multiner.serving.page import view
from multiner.serving.page.examples import EXAMPLES, PARALLEL_EXAMPLES

if TYPE_CHECKING:
    from multiner.serving.routing.inference_service import InferenceService

HERE = Path(__file__).resolve().parent
# path: its name in the navigation
PAGES = {"/": "Text", "/parallel": "Parallel", "/review": "Review", "/models": "Models", "/reports": "Reports"}
TEMPLATES = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.globals |= {
    "type_names": view.TYPE_NAMES,
    "language_name": language_name,
    "leg_names": view.LEG_NAMES,
    "flag_names": view.FLAG_NAMES,
    "examples": EXAMPLES,
    "parallel_examples": PARALLEL_EXAMPLES,
}


def render(template: str, **context: Any) -> str:
    """A part of a page, such as an answer that a script puts into it."""
    return TEMPLATES.get_template(template).render(context)


def render_outcome(
    request: Request, service: InferenceService, page: str, part: str, problem: Problem | None = None, **context: Any
) -> HTMLResponse:
    """The ``page`` of a form with its outcome, if there is one; for scripts (``X-Fragment``) that ``part`` alone."""
    context = {"result": None, "problem": problem, "request_id": request.state.request_id} | context
    status, headers = (problem.status, problem.headers) if problem else (200, None)
    if request.headers.get("x-fragment"):
        return HTMLResponse(render(part, **context), status, headers)
    return render_page(request, service, page, status=status, headers=headers, **context)


def render_page(
    request: Request,
    service: InferenceService,
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **context: Any,
) -> HTMLResponse:
    """A whole page, as the answer to ``request``; the ``template`` extends ``base.html``.

    The navigation has the pages of this application, the header the states of the service's models.
    """
    paths = {getattr(route, "path", "") for route in request.app.routes}
    frame = {
        "pages": {path: name for path, name in PAGES.items() if path in paths},
        "path": request.url.path,
        "health": service.health(),
        "languages": service.config.languages,
        "review": service.config.review is not None,
        "uncertain": service.config.uncertain is not None,
        "limits": service.config.limits,
        "documents": service.config.documents,
    }
    return HTMLResponse(render(template, **frame, **context), status, headers)
