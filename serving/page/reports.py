"""The Data Docs and the reports of errors and drift at ``/reports``: a page served over http cannot link to a file.

Only the files that the validation, the evaluation and `ner drift` wrote under the current profile can be read. Error
reports quote the corpora: where other machines can connect, only the operator can read reports.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from multiner.serving.page.rendering import render_page

if TYPE_CHECKING:
    from multiner.pipeline.config.settings import Workspace
    from multiner.serving.operator.authorization import Guard
    from multiner.serving.routing.inference_service import InferenceService

KINDS = {"validation": "Data Docs", "report": "Error report", "drift": "Drift of live traffic"}
REVALIDATED = {"Cache-Control": "no-cache"}  # a browser asks whether it has changed
# The pages have their styles inline. The error report also has a script; the sandbox gives it no origin, so that it can
# do nothing at the gateway in the operator's name.
_STYLES = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
POLICIES = {
    "validation": _STYLES + "frame-ancestors 'none'",
    "drift": _STYLES + "frame-ancestors 'none'",
    "report": _STYLES + "frame-ancestors 'none'; script-src 'unsafe-inline'; sandbox allow-scripts",
}


def folder(workspace: Workspace, language: str, kind: str) -> Path:
    """Where a stage writes its pages, ``index.html`` among them."""
    paths = workspace.paths
    folders = {"validation": paths.validation(language) / "docs", "drift": paths.drift(language)}
    return folders.get(kind) or paths.report(language)


def add_reports(app: FastAPI, service: InferenceService, guard: Guard) -> None:
    """Add a page at ``/reports``, and the reports below it."""
    config = service.config

    @app.get("/reports", include_in_schema=False)
    async def overview(request: Request) -> HTMLResponse:
        """The list of the reports."""
        reports = {
            code: {kind: (folder(config.workspace, code, kind) / "index.html").is_file() for kind in KINDS}
            for code in config.languages
        }
        readable = config.open_reports or await guard.signed_in(request)
        return render_page(
            request, service, "reports.html", headers=REVALIDATED, reports=reports, kinds=KINDS, readable=readable
        )

    readers = [] if config.open_reports else [Depends(guard)]

    @app.get("/reports/{language}/{kind}/{path:path}", include_in_schema=False, dependencies=readers)
    async def show(request: Request, language: str, kind: str, path: str) -> Response:
        """A file of a report."""
        if language not in config.languages or kind not in KINDS:
            raise HTTPException(404)
        files = StaticFiles(directory=folder(config.workspace, language, kind), html=True, check_dir=False)
        response = await files.get_response(path or ".", request.scope)
        response.headers.update(REVALIDATED | {"Content-Security-Policy": POLICIES[kind]})
        return response
