"""More connections than the gateway serves at once, callers that take no answer, and open files."""

from __future__ import annotations

import contextlib
import json
import resource
import select
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from multiner.pipeline.core.errors import NerError
from multiner.serving.gateway import app as gateway_module
from multiner.serving.http.payload import Limits
from multiner.serving.http.server import RESERVE, allow_descriptors

SLOW_BODY = (
    b"POST /v1/entities HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n"
)
BODY = b'{"text": "Anna"}'


@contextlib.contextmanager
def connections(address: tuple[str, int], number: int) -> Iterator[list[socket.socket]]:
    """Connections that ask nothing yet."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(address, timeout=10)) for _ in range(number)]


def answer(connection: socket.socket) -> tuple[str, dict[str, str], Any]:
    """Status line, headers and body of an answer in JSON."""
    response = b""
    while not response.endswith(b"}"):
        piece = connection.recv(65_536)
        assert piece, response
        response += piece
    head, _, body = response.partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    return (
        status,
        {name.lower(): value for name, _, value in (each.partition(": ") for each in fields)},
        json.loads(body),
    )


def until(condition: Callable[[], bool]) -> None:
    """Wait for the server's thread."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_with_more_connections_than_allowed_newcomers_are_refused_and_those_at_work_lose_nothing(
    serving: Any, harness: Any
) -> None:
    with serving(harness(connections=3)) as live:
        until(lambda: live.connections == 0)
        with connections(live.address, 3) as asking:
            for connection in asking:
                connection.sendall(SLOW_BODY)
            until(lambda: live.requests == 3)
            response = httpx.get(f"{live.url}health", headers={"connection": "close"}, trust_env=False)
            assert response.status_code == 503
            assert response.headers["connection"] == "close"
            assert response.text == "Service Unavailable"
            for connection in asking:
                connection.sendall(BODY)
            assert [answer(connection)[0] for connection in asking] == ["HTTP/1.1 200 OK"] * 3
            until(lambda: live.requests == 0)
            assert httpx.get(f"{live.url}health", trust_env=False).status_code == 503, "idle connections count, too"
        until(lambda: live.connections == 0)
        assert httpx.get(f"{live.url}health", trust_env=False).status_code == 200


def test_who_takes_no_answer_is_let_go(serving: Any, harness: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_module, "STALL_SECONDS", 0.5)
    body = json.dumps({"text": "Anna said: " * 20_000}).encode()
    request = SLOW_BODY.replace(b"16", b"%d" % len(body)) + body
    with serving(harness(limits=Limits(4, 1_000_000, 20))) as live, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(10)
        connection.connect(live.address)
        connection.sendall(request)
        assert select.select([connection], [], [], 10)[0], "the answer begins"
        until(lambda: live.connections == 0)  # the kernel tells the server alone


@pytest.mark.parametrize(
    ("limits", "raised"),
    [
        ((1024, 4096), None),
        ((256, 4096), (512 + RESERVE, 4096)),
        ((256, resource.RLIM_INFINITY), (512 + RESERVE, resource.RLIM_INFINITY)),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), None),
    ],
)
def test_descriptors_suffice(monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], raised: Any) -> None:
    settings: list[Any] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, values: settings.append(values))
    allow_descriptors(512)
    assert settings == ([raised] if raised else [])


def test_too_few_descriptors_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (512, 900))
    with pytest.raises(NerError, match="900") as raised:
        allow_descriptors(512)
    assert raised.value.where == "params.yaml: serving.connections"
