"""Hooks of schemathesis: JSON lines, which it does not know."""

from __future__ import annotations

import json
from typing import Any

import schemathesis

JSON_LINES = "application/jsonl"


@schemathesis.serializer(JSON_LINES)
def as_lines(context: schemathesis.SerializationContext, value: Any) -> bytes:
    """A stream of one line."""
    return (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n"


@schemathesis.deserializer(JSON_LINES)
def from_lines(context: schemathesis.DeserializationContext, response: schemathesis.Response) -> Any:
    """The answer to one line; that to a blank one holds nothing."""
    lines = response.content.splitlines()
    return json.loads(lines[0]) if lines else None


@schemathesis.serializer("text/csv")
def as_table(context: schemathesis.SerializationContext, value: Any) -> bytes:
    """Whatever was made up, as it is."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
