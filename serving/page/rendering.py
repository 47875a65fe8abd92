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

from multiner.serving.page import view
from multiner.serving.page.examples import EXAMPLES

if TYPE_CHECKING:
    from multiner.serving.routing.inference_service import InferenceService

HERE = Path(__file__).resolve().parent
# path: its name in the navigation
PAGES = {"/": "Text", "/parallel": "Parallel", "/models": "Models", "/reports": "Reports"}
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
    "flag_names": view.FLAG_NAMES,
    "examples": EXAMPLES,
}


def render(template: str, **context: Any) -> str:
    """A part of a page, such as an answer that a script puts into it."""
    return TEMPLATES.get_template(template).render(context)


def render_page(
    request: Request,
    service: InferenceService,
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **context: Any,
) -> HTMLResponse:
    """A whole page, as the answer to ``request``.

    Args:
        request: its path is the page's place in the navigation, which has the pages of this application alone.
        service: the header has the states of its models.
        template: extends ``base.html``.
        status, headers: of the answer.
        context: further values for the template.
    """
    paths = {getattr(route, "path", "") for route in request.app.routes}
    frame = {
        "pages": {path: name for path, name in PAGES.items() if path in paths},
        "path": request.url.path,
        "health": service.health(),
        "languages": service.config.languages,
        "review": service.config.review is not None,
    }
    return HTMLResponse(render(template, **frame, **context), status, headers)
