"""A small server for the Data Docs and error reports, since a page served over http cannot link to a file.

Only what the validation and evaluation wrote is reachable: ``/<profile>/<language>/<validation|report>/…``; without
the profile the address leads to the one in force. There are no folder listings.
"""

from __future__ import annotations

import html
import sys
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.serving.addresses import address_family
from multiner.serving.gateway import state

KINDS = ("validation", "report")


def target(path: str, root: Path, profile: str, languages: list[str]) -> Path | str | None:
    """What an address means: a file to send, an address to go on to, or None where there is nothing.

    Args:
        path: the path of the address, still percent-encoded.
        root: the folder with a folder a profile.
        profile: the profile in force.
        languages: the languages there are.
    """
    parts = [part for part in unquote(urlsplit(path).path).split("/") if part]
    if parts and parts[0] in languages:
        return "/" + "/".join([profile, *parts]) + ("/" if len(parts) <= 2 else "")
    if len(parts) < 3 or parts[1] not in languages or parts[2] not in KINDS or any(p.startswith(".") for p in parts):
        return None
    allowed = (root / parts[0] / parts[1] / parts[2]).resolve()
    file = root.joinpath(*parts).resolve()
    if not file.is_relative_to(root.resolve()) or not file.is_relative_to(allowed):
        return None
    if file.is_dir():
        for index in (Path("index.html"), Path("docs") / "index.html"):
            if (file / index).is_file():
                return "/" + "/".join([*parts, *index.parts])
        return None
    return file if file.is_file() else None


class Handler(SimpleHTTPRequestHandler):
    """Answers GET and HEAD with the files that :func:`target` allows."""

    def __init__(self, *arguments: object, workspace: Workspace, **more: object) -> None:
        self.workspace = workspace
        super().__init__(*arguments, **more)

    def send_head(self):  # noqa: ANN201 - the base class's own, untyped protocol
        """Resolve the address; the base class sends the file."""
        if urlsplit(self.path).path in ("", "/"):
            return self._overview()
        root = self.workspace.root / "data" / "out"
        found = target(self.path, root, self.workspace.profile, self.workspace.languages)
        if isinstance(found, str):
            self.send_response(HTTPStatus.FOUND)
            self.send_header("Location", found)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        if found is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        self._file = found
        return super().send_head()

    def translate_path(self, path: str) -> str:
        """The file that was allowed for this request."""
        return str(self._file)

    def _overview(self) -> None:
        rows = [
            f'<li><a href="/{language}/{kind}/">{html.escape(f"{language}: {kind}")}</a></li>'
            for language in self.workspace.languages
            for kind in KINDS
        ]
        body = f"<!doctype html><title>NER reports</title><h1>Reports</h1><ul>{''.join(rows)}</ul>".encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Requests are not logged."""


def make_server(workspace: Workspace, host: str, port: int) -> ThreadingHTTPServer:
    """The server, bound but not yet serving."""

    class Server(ThreadingHTTPServer):
        address_family = address_family(host)

    return Server((host, port), partial(Handler, workspace=workspace))


if __name__ == "__main__":
    try:
        loaded = Workspace.load()
        host, port = state.address(loaded)[0], loaded.params["serving"]["docs_port"]
        make_server(loaded, host, port).serve_forever()
    except (NerError, OSError) as error:
        sys.exit(f"error: {error}")
