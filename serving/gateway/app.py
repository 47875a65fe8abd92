"""The gateway: one address for the API and the page, in front of the models. Run as a module."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

import multiner
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.environment import thread_count
from multiner.pipeline.core.errors import NerError
from multiner.serving import addresses, page, tracing
from multiner.serving.addresses import address_family
from multiner.serving.backends.work_folders import remove_leftovers
from multiner.serving.gateway import state
from multiner.serving.gateway.config import workspace_config
from multiner.serving.gateway.exposure import listening_address, require_safe
from multiner.serving.gateway.routes import corrections
from multiner.serving.gateway.routes.documents import documents_router
from multiner.serving.gateway.routes.entities import entities_router
from multiner.serving.gateway.routes.inference_protocol import inference_protocol_router
from multiner.serving.gateway.routes.label_studio import label_studio_router
from multiner.serving.gateway.routes.parallel import parallel_router
from multiner.serving.gateway.routes.state import state_router
from multiner.serving.gateway.routes.switching import switching_router
from multiner.serving.gateway.routes.token_classification import token_classification_router
from multiner.serving.gateway.schemas import openapi
from multiner.serving.http.after_response import AfterResponse
from multiner.serving.http.middleware import HeadMethod, JsonFormatter, RequestEnvelope
from multiner.serving.http.problems import Problem
from multiner.serving.http.request_guard import RequestGuard
from multiner.serving.http.server import BACKLOG, allow_descriptors, drain_seconds, make_server
from multiner.serving.logs import keep_rotated
from multiner.serving.operator.authorization import Guard
from multiner.serving.operator.desk import Desk
from multiner.serving.operator.facts_reader import FactsReader
from multiner.serving.operator.routes import desk_router
from multiner.serving.page.compare import add_compare
from multiner.serving.page.models import add_models_page
from multiner.serving.page.parallel import add_parallel
from multiner.serving.page.reports import add_reports
from multiner.serving.page.review import add_review
from multiner.serving.routing.config import GatewayConfig
from multiner.serving.routing.inference_service import InferenceService
from multiner.serving.routing.state_store import StateUnavailable

log = logging.getLogger("serving")
STALL_SECONDS = 60  # after which a caller that takes nothing of its answer is cut off


def create_app(config: GatewayConfig, facts: FactsReader) -> FastAPI:
    """The gateway as an ASGI application; the models start in the background."""
    service = InferenceService(config)
    guard, desk = Guard(config.token, config.state, exposed=config.exposed), Desk(service, facts, config.state)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        warming = asyncio.create_task(corrections.warm_up(service))
        try:
            yield
        finally:
            await desk.close()
            await warming
            await service.close()
            config.state.close()

    async def answer_problem(request: Request, problem: Problem) -> Response:
        service.metrics.refusals.labels(problem.name).inc()
        return problem.response(request.scope)

    async def answer_http_exception(request: Request, error: HTTPException) -> Response:
        name = str(error.detail)
        kind = name.lower().replace(" ", "-")
        return await answer_problem(request, Problem(error.status_code, kind, name, f"{name}.", headers=error.headers))

    async def answer_state_unavailable(request: Request, error: StateUnavailable) -> Response:
        log.error("no shared state", extra={"fields": {"error": str(error)}})
        detail = "The gateway's log says why. Texts are answered all the same."
        problem = Problem(503, "no-state", "The shared state cannot be read or written", detail, retry_after=5)
        return await answer_problem(request, problem)

    async def answer_disconnect(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=499)  # the caller has gone; the status is for the log

    app = FastAPI(
        title="Names in text",
        version=multiner.__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.service = service
    app.add_middleware(AfterResponse)
    app.add_middleware(RequestGuard, metrics=service.metrics, hosts=config.hosts)
    app.add_middleware(HeadMethod)
    app.add_middleware(RequestEnvelope, metrics=service.metrics)
    app.exception_handler(Problem)(answer_problem)
    app.exception_handler(StateUnavailable)(answer_state_unavailable)
    app.exception_handler(HTTPException)(answer_http_exception)
    app.exception_handler(ClientDisconnect)(answer_disconnect)
    page.add_page(app, service)
    add_parallel(app, service)
    add_models_page(app, service, facts=facts, desk=desk, guard=guard)
    add_reports(app, service, guard)
    add_review(app, service, guard)
    add_compare(app, service, facts, guard)
    for router in (
        entities_router(service),
        token_classification_router(service),
        label_studio_router(service),
        parallel_router(service),
        documents_router(config),
        corrections.corrections_router(service),
        state_router(service, facts),
        switching_router(service, guard),
        desk_router(config, desk, guard),
    ):
        app.include_router(router, responses=openapi.problems(400, 403, 414, 421, 431))
    app.include_router(inference_protocol_router(service))
    app.openapi = partial(_openapi, app)  # type: ignore[method-assign]  # as FastAPI's documentation has it
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the schemas of errors."""
    if app.openapi_schema is None:
        openapi.add_errors(FastAPI.openapi(app))
    assert app.openapi_schema is not None
    return app.openapi_schema


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; NerError where the port is occupied or not ours, or the address is not this machine's."""
    # with the protocol: without it asyncio does not set TCP_NODELAY, and answers wait 40 ms
    listener = socket.socket(address_family(host), socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; RFC 5482: the connection ends if data stays unsent
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * STALL_SECONDS))
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except (OSError, UnicodeError) as error:
        listener.close()
        raise addresses.cannot_listen(error, host, port) from None
    return listener


async def serve(workspace: Workspace) -> None:
    """Run the workspace's gateway until SIGTERM or SIGINT; its model servers end with it.

    Raises:
        NerError: a gateway of the workspace runs already, the address cannot be listened on, the environment names no
            number of threads or seconds, no usable database, or an unknown exporter of traces, or the gateway is
            exposed without a proxy or operators.
    """
    thread_count()
    tracing.start_if_wanted()
    drain = drain_seconds()
    with state.only_gateway(workspace):
        host, port = listening_address(workspace)
        listener = listen(host, port)
        remove_leftovers(state.work_folders(workspace))
        config = workspace_config(workspace, state.new_token(workspace))
        await require_safe(workspace, config.state)
        allow_descriptors(config.connections)
        app = create_app(config, FactsReader(workspace))
        server = make_server(app, config.connections, config.proxies, app.state.service.leave, drain)
        state.write_state(workspace, host, port)
        rotation = asyncio.create_task(keep_rotated(workspace.paths.run / "logs"))
        try:
            await server.serve(sockets=[listener])
        finally:
            rotation.cancel()
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
        return error.exit_code
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
