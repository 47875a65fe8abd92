"""A request as it goes over a connection, right or wrong, and what may come back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

SECRET = "Zyxwv"  # stands in bodies; no log and no error may repeat it
TOKEN = "a-token-for-tests"
JSON, LINES, CSV, FORM = "application/json", "application/jsonl", "text/csv", "application/x-www-form-urlencoded"
API, STREAM, INVOKE, PAGE = "/v1/entities", "/v1/entities/stream", "/v1/en/invocations", "/"
GARBAGE = frozenset({400, 404, 431})  # no HTTP, or of another version; or closed without an answer


@dataclass(frozen=True)
class Sent:
    """What goes over a connection: pieces, and whether the caller then hangs up; the statuses that may come back."""

    pieces: tuple[bytes, ...]
    statuses: frozenset[int]
    silent: bool = False  # whether no answer at all is right
    hangs_up: bool = False
    ends: bool = False  # whether nothing more is to come: what is no whole request would be waited for
    method: str = "POST"


def request(
    path: str | bytes,
    body: bytes = b"",
    *statuses: int,
    kind: str | None = JSON,
    headers: tuple[tuple[str, str | bytes], ...] = (),
    method: str = "POST",
    version: str = "1.1",
    length: str | None = "",
    silent: bool = False,
) -> Sent:
    """A request whose frame is right, unless told otherwise; ``length`` None: without Content-Length."""
    lines = [
        method.encode() + b" " + (path if isinstance(path, bytes) else path.encode()) + f" HTTP/{version}".encode()
    ]
    fields: list[tuple[str, str | bytes]] = [("Host", "localhost"), ("Connection", "close")]
    fields += [("Content-Type", kind)] if kind is not None else []
    fields += [] if length is None else [("Content-Length", length or str(len(body)))]
    for name, value in [*fields, *headers]:
        lines.append(name.encode() + b": " + (value if isinstance(value, bytes) else value.encode("utf-8")))
    return Sent((b"\r\n".join(lines) + b"\r\n\r\n" + body,), frozenset(statuses), silent, method=method)


def text_body(text: str, **more: Any) -> bytes:
    return json.dumps({"text": text} | more).encode()
