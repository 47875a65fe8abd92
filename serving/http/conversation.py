"""The conversation that a request belongs to; while a canary runs, one version answers all requests of one."""

from __future__ import annotations

from contextvars import ContextVar

from starlette.datastructures import Headers

CONVERSATION = "X-Conversation-ID"
current: ContextVar[str | None] = ContextVar("conversation", default=None)  # None: not a request of the API


def conversation_of(headers: Headers, request_id: str) -> str:
    """The header ``X-Conversation-ID``; without it the request's id as far as its first dot."""
    return headers.get(CONVERSATION) or request_id.partition(".")[0]
