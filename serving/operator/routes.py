"""The endpoints of the operator's desk: sessions for the page, and actions."""

from __future__ import annotations

from typing import Any, cast, get_args

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry.journal import checked_reason
from multiner.serving.http.payload import json_response, parse_json, read_body, require_type
from multiner.serving.http.problems import invalid
from multiner.serving.operator.actions import Kind
from multiner.serving.operator.authorization import Guard
from multiner.serving.operator.desk import Desk, Order
from multiner.serving.routing.config import GatewayConfig

FRESH = {"Cache-Control": "no-store"}
FOR_ALL = ("validate",)  # kinds that concern no language of their own


def desk_router(config: GatewayConfig, desk: Desk, guard: Guard) -> APIRouter:
    """The endpoints that the page at ``/models`` uses; all but signing in need a session or the token."""
    router = APIRouter(prefix="/admin", include_in_schema=False)
    operator = [Depends(guard)]

    async def read(request: Request) -> dict[str, Any]:
        require_type(request, ["application/json"])  # no form of another site can send it
        value = parse_json(await read_body(request, config.limits.body_bytes, config.limits.seconds))
        if not isinstance(value, dict):
            raise invalid("The body must be an object.", "")
        return value

    @router.post("/session")
    async def sign_in(request: Request) -> Response:
        """Open a session with the token; its cookie is for this page alone."""
        token = (await read(request)).get("token")
        if not isinstance(token, str):
            raise invalid("token must be a string.", "/token")
        response = Response(status_code=204, headers=FRESH)
        guard.sign_in(request, token.strip(), response)
        return response

    @router.delete("/session", dependencies=operator)
    async def sign_out(request: Request) -> Response:
        """End the session."""
        response = Response(status_code=204, headers=FRESH)
        guard.sign_out(request, response)
        return response

    @router.get("/actions", dependencies=operator)
    async def actions() -> Response:
        """The last actions, the newest first."""
        await desk.refresh()
        return json_response({"actions": [action.model_dump() for action in desk.log.actions]}, headers=FRESH)

    @router.post("/actions", dependencies=operator)
    async def start(request: Request) -> Response:
        """Start an action; ``Location`` is the address of its state."""
        ordered = order(await read(request), config)
        via = "token" if request.headers.get("authorization") else "token, by the page"
        action = await desk.start(ordered, who=via, request_id=request.state.request_id)
        return json_response(action.model_dump(), 202, FRESH | {"Location": f"/admin/actions/{action.id}"})

    @router.get("/actions/{id}", dependencies=operator)
    async def action(id: str) -> Response:
        """The state of an action, with the tasks of its DAG runs."""
        chosen = desk.log.find(id)
        await desk.refresh()
        return json_response(chosen.model_dump(), headers=FRESH)

    return router


def order(value: dict[str, Any], config: GatewayConfig) -> Order:
    """Read an operator's order.

    Raises:
        Problem: 422, with the field at fault.
    """
    if unknown := value.keys() - {"action", "language", "champion", "reason"}:
        raise invalid(f"Unknown field: {min(unknown)}.", f"/{min(unknown)}")
    kind, language, champion = value.get("action"), value.get("language"), value.get("champion")
    if kind not in get_args(Kind):
        raise invalid(f"action must be one of: {', '.join(get_args(Kind))}.", "/action")
    if kind in FOR_ALL:
        if language is not None:
            raise invalid(f"{kind} concerns all languages: leave language out.", "/language")
    elif language not in list(config.languages):
        raise invalid(f"language must be one of: {', '.join(config.languages)}.", "/language")
    if champion is not None and not (isinstance(champion, str) and kind == "rollback"):
        raise invalid('champion, a string such as "3", goes with rollback only.', "/champion")
    reason = value.get("reason")
    if reason is not None and not (isinstance(reason, str) and kind == "rollback"):
        raise invalid("reason, a string, goes with rollback only.", "/reason")
    try:
        return Order(cast(Kind, kind), language, champion, checked_reason(reason))
    except NerError as error:
        raise invalid(f"{error.message.capitalize()}.", "/reason") from None
