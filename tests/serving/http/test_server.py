"""What comes before a request can be understood is bounded and refused in a line; whose forwarding is believed."""

from __future__ import annotations

import signal
import socket
from typing import Any

import httpx
import pytest

from multiner.pipeline.core.errors import NerError
from multiner.serving.http.server import HEAD_BYTES, drain_seconds, make_server


def talk(address: tuple[str, int], data: bytes) -> bytes:
    """What comes back until the gateway closes the connection."""
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(data)
        got = b""
        while piece := connection.recv(65_536):
            got += piece
    return got


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01 this is TLS",
        b"BREW /coffee HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nX-Filler: " + b"a" * HEAD_BYTES,
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1, 2\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Bad: a\rSet-Cookie: b\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused_in_a_line(served: tuple[Any, tuple[str, int]], data: bytes) -> None:
    head, _, body = talk(served[1], data).partition(b"\r\n\r\n")
    fields = head.decode().lower().split("\r\n")
    assert fields[0].startswith("http/1.1 400 ")
    assert "connection: close" in fields
    assert not any(field.startswith("server:") for field in fields)
    assert body == b"Invalid HTTP request received."


def test_what_is_wrong_after_the_answer_ends_the_connection(served: tuple[Any, tuple[str, int]]) -> None:
    """A chunk is broken that the 404 did not wait for."""
    head = b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(served[1], timeout=10) as connection:
        connection.sendall(head)
        got = b""
        while not got.endswith(b"}"):
            got += connection.recv(65_536)
        assert got.startswith(b"HTTP/1.1 404 ")
        connection.sendall(b"zz\r\n")
        assert connection.recv(65_536) == b""


def test_requests_may_come_one_behind_the_other(served: tuple[Any, tuple[str, int]]) -> None:
    body = b'{"text": ["Anna", "Bo"], "language": "en"}'
    request = b"POST /v1/entities HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    request += b"Content-Length: %d\r\n%s\r\n%s"
    data = request % (len(body), b"", body) * 3 + request % (len(body), b"Connection: close\r\n", body)
    assert talk(served[1], data).count(b"HTTP/1.1 200 OK") == 4


def test_an_upgrade_is_answered_without_it(served: tuple[Any, tuple[str, int]]) -> None:
    upgrade = (
        b"Connection: upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a\r\nSec-WebSocket-Version: 13\r\n"
    )
    assert talk(served[1], b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + upgrade + b"\r\n").startswith(
        b"HTTP/1.1 200 "
    )


@pytest.mark.parametrize(("proxies", "last"), [((), 429), (("10.0.0.0/8",), 429), (("127.0.0.0/8",), 401)])
def test_only_a_trusted_proxy_says_whose_wrong_token_it_is(
    serving: Any, harness: Any, monkeypatch: pytest.MonkeyPatch, proxies: tuple[str, ...], last: int
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    with serving(harness(proxies=proxies)) as live, httpx.Client(base_url=live.url, trust_env=False) as client:
        statuses = [
            client.get(
                "/admin/actions", headers={"authorization": "Bearer wrong", "x-forwarded-for": f"192.0.2.{number}"}
            ).status_code
            for number in range(6)
        ]
    assert statuses == [401] * 5 + [last]


def test_a_server_that_is_to_end_says_so_first_and_still_takes_requests(served: tuple[Any, tuple[str, int]]) -> None:
    harness, (host, port) = served
    calls: list[str] = []

    class Loop:
        def call_later(self, seconds: float, exit: Any, *arguments: Any) -> None:
            calls.append(f"in {seconds:g} s")

    server = make_server(harness.app, 8, (), harness.service.leave, 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("asyncio.get_running_loop", Loop)
        server.handle_exit(signal.SIGTERM, None)
    assert (calls, server.should_exit) == (["in 5 s"], False)
    with httpx.Client(base_url=f"http://{host}:{port}", trust_env=False) as client:
        assert client.get("/ready").status_code == 503
        assert client.get("/health").status_code == 200
        assert client.post("/v1/entities", json={"text": "Anna"}).status_code == 200
    server.handle_exit(signal.SIGTERM, None)
    assert server.should_exit


@pytest.mark.parametrize("setting", ["soon", "-1", "1.5"])
def test_the_time_to_drain_is_checked(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    monkeypatch.setenv("NER_DRAIN_SECONDS", setting)
    with pytest.raises(NerError, match="not a number of seconds"):
        drain_seconds()
    monkeypatch.setenv("NER_DRAIN_SECONDS", "")
    assert drain_seconds() == 0
