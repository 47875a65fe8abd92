"""The gateway: one address for the API and the page, in front of the slots. Run: ``python -m serving.gateway``."""

from __future__ import annotations

import asyncio
import errno
import hmac
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from pipeline.errors import NerError
from pipeline.settings import Workspace
from serving import page, state
from serving.middleware import JsonFormatter, Surround
from serving.payload import (
    EntitiesAnswer,
    EntitiesRequest,
    ProblemDetails,
    json_response,
    parse_json,
    parse_request,
    read_body,
)
from serving.problems import Problem, invalid
from serving.switchboard import GatewayConfig, Switchboard, workspace_config

ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"content": {"application/problem+json": {"schema": ProblemDetails.model_json_schema()}}, "description": text}
    for code, text in {
        400: "Not JSON",
        413: "Over a limit, which is named",
        415: "Not application/json",
        422: "Not what this takes; the place is named",
        502: "The model failed",
        503: "No model is live; see Retry-After",
        504: "The model took too long",
    }.items()
}
BODY = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": EntitiesRequest.model_json_schema()}}}
}


def create_app(config: GatewayConfig) -> FastAPI:
    """The gateway as an ASGI application; its routes come up in the background when it starts."""
    board = Switchboard(config)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        board.start()
        try:
            yield
        finally:
            await board.close()

    app = FastAPI(title="Names in text", version="1", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.board = board
    app.add_middleware(Surround)
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(ClientDisconnect, _answer_nobody)
    page.add_page(app, board)

    @app.post("/v1/entities", response_model=EntitiesAnswer, responses=ERRORS, openapi_extra=BODY)
    async def entities(request: Request) -> Response:
        """Find the entities of a text, or of each text of a list."""
        body = await _json_body(request, config)
        asked = parse_request(body, config.languages, config.limits)
        return json_response({"results": await board.answer(asked)})

    @app.get("/health")
    async def health() -> Response:
        """Whether the models are live: 200 when `ok` or `degraded` (one language is missing), else 503."""
        report = board.health()
        return json_response(report, 200 if report["status"] in ("ok", "degraded") else 503)

    @app.get("/v1/models")
    async def models() -> Response:
        """The live version of each language, since when, and the version kept warm behind it."""
        return json_response({"models": [route.describe() for route in board.routes.values()]})

    async def operator(request: Request) -> None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
        if not hmac.compare_digest(given, config.token.encode()):
            raise Problem(401, "token", "The token is missing or wrong", "Give the gateway's token as Bearer token.")

    @app.post("/admin/deploy", include_in_schema=False, dependencies=[Depends(operator)])
    async def deploy(request: Request) -> Response:
        """Bring a version of a language live, with no request dropped."""
        value = await _admin_body(request, config)
        version = value.get("version")
        if not (isinstance(version, str) and version.isdecimal() and len(version) < 10):
            raise invalid('version must be a string of digits, such as "3".', "/version")
        try:
            action = await board.deploy(value["language"], version)
        except NerError as error:
            raise _failed(error) from error
        return json_response({"action": action, **board.routes[value["language"]].describe()})

    @app.post("/admin/rollback", include_in_schema=False, dependencies=[Depends(operator)])
    async def rollback(request: Request) -> Response:
        """Swap a language's live version with the warm one before it."""
        value = await _admin_body(request, config)
        try:
            await board.routes[value["language"]].rollback()
        except NerError as error:
            raise _failed(error) from error
        return json_response({"action": "rolled back", **board.routes[value["language"]].describe()})

    return app


async def _json_body(request: Request, config: GatewayConfig) -> bytes:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem(415, "media-type", "The content type is not supported", "Send Content-Type: application/json.")
    return await read_body(request, config.limits.body_bytes, config.limits.seconds)


async def _admin_body(request: Request, config: GatewayConfig) -> dict[str, Any]:
    value = parse_json(await _json_body(request, config))
    if not isinstance(value, dict) or value.get("language") not in list(config.languages):
        raise invalid(f"language must be one of: {', '.join(config.languages)}.", "/language")
    return value


def _failed(error: NerError) -> Problem:
    logging.getLogger("serving").error("switch failed", extra={"fields": {"error": str(error)}})
    return Problem(409, "switch-failed", "The switch failed; nothing has changed", error.message)


async def _answer_problem(request: Request, problem: Problem) -> Response:
    return problem.response(request.state.request_id)


async def _answer_http_exception(request: Request, error: HTTPException) -> Response:
    name = str(error.detail)
    problem = Problem(error.status_code, name.lower().replace(" ", "-"), name, f"{name}.", headers=error.headers)
    return problem.response(request.state.request_id)


async def _answer_nobody(request: Request, error: ClientDisconnect) -> Response:
    return Response(status_code=499)  # the caller has gone; the number is for the log


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        NerError: the port is occupied or the address is not this machine's.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise state.occupied(host, port) from None
        raise NerError(f"cannot listen: {error.strerror}", where=f"{host}:{port}") from None
    return listener


async def serve(workspace: Workspace) -> None:
    """Run the workspace's gateway until it is told to stop (SIGTERM, SIGINT); its slots end with it.

    Raises:
        NerError: the port is occupied.
    """
    import uvicorn

    host, port = state.address(workspace)
    listener = listen(host, port)
    app = create_app(workspace_config(workspace, state.new_token(workspace)))
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=30)
    )
    state.write_state(workspace, host, port)
    try:
        await server.serve(sockets=[listener])
    finally:
        state.clear_state(workspace)


def main(arguments: list[str] | None = None) -> int:
    """Run the gateway of the workspace around the current folder; ``--profile`` chooses another profile."""
    import argparse

    parser = argparse.ArgumentParser(description="Serve the champions of the workspace.")
    parser.add_argument("--profile", default=None)
    options = parser.parse_args(arguments)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises the signal again once it has shut down
    try:
        asyncio.run(serve(Workspace.load(options.profile)))
    except NerError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
