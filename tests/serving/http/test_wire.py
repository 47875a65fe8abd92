"""What comes before a request can be understood: bounded in size and time, refused in the one shape of errors."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from multiner.serving.http.server import HEAD_BYTES, GuardedProtocol


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GuardedProtocol, "head_seconds", 0.3)


def talk(address: tuple[str, int], data: bytes) -> bytes:
    """What comes back until the gateway closes the connection."""
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(data)
        got = b""
        while piece := connection.recv(65_536):
            got += piece
    return got


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"G", 408),
        (b"GET /health HTTP/1.1\r\nHost: local", 408),
        (b"\x16\x03\x01 this is TLS", 400),
        (b"BREW /coffee HTTP/1.1\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nX-Filler: " + b"a" * HEAD_BYTES, 431),
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1, 2\r\n\r\n", 400),
    ],
)
def test_what_is_no_request_is_told_so(
    impatient: None, served: tuple[Any, tuple[str, int]], data: bytes, status: int
) -> None:
    head, _, body = talk(served[1], data).partition(b"\r\n\r\n")
    problem, fields = json.loads(body), head.decode().lower().split("\r\n")
    assert fields[0].startswith(f"http/1.1 {status} ")
    assert problem["status"] == status
    assert {"content-type: application/problem+json", "connection: close", "x-content-type-options: nosniff"} <= set(
        fields
    )
    assert f"x-request-id: {problem['request_id']}" in fields
    assert not any(field.startswith("server:") for field in fields)


@pytest.mark.parametrize("data", [b"", b"\r\n"])
def test_who_asks_nothing_is_let_go(impatient: None, served: tuple[Any, tuple[str, int]], data: bytes) -> None:
    assert talk(served[1], data)[:13] in (b"", b"HTTP/1.1 408 ")


def test_time_counts_from_the_head_not_from_the_connection(
    impatient: None, served: tuple[Any, tuple[str, int]]
) -> None:
    """A model may take longer than a head, and a kept connection be asked again and again."""
    body = b'{"text": ["WAIT", "WAIT"], "language": "en"}'  # 0.3 s
    asked = b"POST /v1/entities HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    asked += b"Content-Length: %d\r\n%s\r\n%s"
    data = asked % (len(body), b"", body) * 3 + asked % (len(body), b"Connection: close\r\n", body)
    assert talk(served[1], data).count(b"HTTP/1.1 200 OK") == 4


def test_an_upgrade_is_answered_without_it(served: tuple[Any, tuple[str, int]]) -> None:
    upgrade = (
        b"Connection: upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a\r\nSec-WebSocket-Version: 13\r\n"
    )
    assert talk(served[1], b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + upgrade + b"\r\n").startswith(
        b"HTTP/1.1 200 "
    )
