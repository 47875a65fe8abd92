"""The endpoints of the operator's desk: sessions for the page, and actions."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry.journal.entry import checked_reason
from multiner.serving.http.payload import RequestModel, json_response, read_model
from multiner.serving.http.problems import invalid
from multiner.serving.operator.actions import find
from multiner.serving.operator.authorization import Guard
from multiner.serving.operator.desk import Desk, Order
from multiner.serving.routing.config import GatewayConfig

NO_STORE = {"Cache-Control": "no-store"}
FOR_ALL = ("validate",)  # kinds that concern no language of their own


class SessionRequest(RequestModel, frozen=True):
    """An operator's token, or the gateway's."""

    token: str


def desk_router(config: GatewayConfig, desk: Desk, guard: Guard) -> APIRouter:
    """The endpoints that the page at ``/models`` uses; all but signing in need a session or the token."""
    router = APIRouter(prefix="/admin", include_in_schema=False)
    operator = [Depends(guard)]

    @router.post("/session")
    async def sign_in(request: Request) -> Response:
        """Open a session with a token; its cookie is for this page alone."""
        secret = await read_model(request, SessionRequest, config.limits)
        response = Response(status_code=204, headers=NO_STORE)
        await guard.sign_in(request, secret.token.strip(), response)
        return response

    @router.delete("/session", dependencies=operator)
    async def sign_out(request: Request) -> Response:
        """End the session."""
        response = Response(status_code=204, headers=NO_STORE)
        await guard.sign_out(request, response)
        return response

    @router.get("/actions", dependencies=operator)
    async def actions() -> Response:
        """The last actions, the newest first."""
        return json_response({"actions": [action.model_dump() for action in await desk.actions()]}, headers=NO_STORE)

    @router.post("/actions", dependencies=operator)
    async def start(request: Request) -> Response:
        """Start an action; ``Location`` is the address of its state."""
        order = checked(await read_model(request, Order, config.limits), config.languages)
        via = "" if request.headers.get("authorization") else ", by the page"
        who = f"{request.state.operator}{via}"
        action = await desk.start(order, who=who, request_id=request.state.request_id)
        return json_response(action.model_dump(), 202, NO_STORE | {"Location": f"/admin/actions/{action.id}"})

    @router.get("/actions/{id}", dependencies=operator)
    async def action(id: str) -> Response:
        """The state of an action, with the tasks of its DAG runs."""
        return json_response(find(await desk.actions(), id).model_dump(), headers=NO_STORE)

    return router


def checked(order: Order, languages: Sequence[str]) -> Order:
    """The order, with its reason as one line; Problem 422 with the field at fault."""
    if order.action in FOR_ALL:
        if order.language is not None:
            raise invalid(f"{order.action} concerns all languages: leave language out.", "/language")
    elif order.language not in languages:
        raise invalid(f"language must be one of: {', '.join(languages)}.", "/language")
    for field in ("champion", "reason"):
        if getattr(order, field) is not None and order.action != "rollback":
            raise invalid(f"{field} goes with rollback only.", f"/{field}")
    try:
        return order.model_copy(update={"reason": checked_reason(order.reason)})
    except NerError as error:
        raise invalid(f"{error.message.capitalize()}.", "/reason") from None
