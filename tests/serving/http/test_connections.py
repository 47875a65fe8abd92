"""More connections than the gateway holds open: who asks nothing gives way, who asks is answered or told why not."""

from __future__ import annotations

import contextlib
import json
import resource
import select
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiner import Client
from multiner.pipeline.core.errors import NerError
from multiner.serving.gateway import app as gateway_module
from multiner.serving.http.connection_limit import RESERVE, Places, allow_descriptors
from multiner.serving.http.payload import Limits
from multiner.serving.http.server import GuardedProtocol

SLOW_BODY = (
    b"POST /v1/entities HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n"
)
BODY = b'{"text": "Anna"}'
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


@given(st.lists(st.tuples(st.sampled_from(["enter", "work", "wait", "leave"]), st.integers(0, 9))))
def test_places_are_never_more_than_allowed_and_the_longest_waiting_goes(steps: list[tuple[str, int]]) -> None:
    places: Places[int] = Places(3)
    waiting: list[int] = []
    working: set[int] = set()
    for step, who in steps:
        if step == "enter" and who not in waiting and who not in working:
            displaced = places.enter(who)
            waiting.append(who)
            full = len(waiting) + len(working) > 3
            assert displaced == (waiting.pop(0) if full else None)
        elif step == "work":
            places.work(who)
            if who in waiting:
                waiting.remove(who)
                working.add(who)
        elif step == "wait":
            places.wait(who)
            if who in working:
                working.remove(who)
                waiting.append(who)
        elif step == "leave":
            places.leave(who)
            waiting = [each for each in waiting if each != who]
            working.discard(who)


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


def is_open(connection: socket.socket) -> bool:
    """Whether the other side has not closed it; what it has sent is read."""
    connection.settimeout(0)
    try:
        while connection.recv(65_536):
            pass
        return False
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False


@pytest.mark.parametrize("sent", [b"", b"GET /hea"])
def test_idle_connections_keep_nobody_out(serving: Any, harness: Any, sent: bytes) -> None:
    with serving(harness(connections=20)) as live, connections(live.address, 400) as idle:
        for connection in idle:
            with contextlib.suppress(OSError):  # it may have had to give way already
                connection.sendall(sent)
        with Client(live.url, retries=0, timeout=10) as client:
            assert client.entities("Anna").entities[0].text == "Anna"
        assert sum(map(is_open, idle)) <= 19
        assert is_open(idle[-1]), "those that came first go first"


def test_a_kept_connection_gives_way_too(serving: Any, harness: Any) -> None:
    with serving(harness(connections=2)) as live, connections(live.address, 1) as (kept,):
        kept.sendall(HEALTH)
        assert answer(kept)[0] == "HTTP/1.1 200 OK"
        with connections(live.address, 2) as (_, other):
            other.sendall(HEALTH)
            assert answer(other)[0] == "HTTP/1.1 200 OK"
            assert kept.recv(1) == b"", "closed without a word: it has asked nothing"


def test_who_has_begun_to_ask_is_told(serving: Any, harness: Any) -> None:
    with serving(harness(connections=1)) as live, connections(live.address, 1) as (begun,):
        begun.sendall(b"GET /health HTTP/1.1\r\n")
        with httpx.Client(base_url=live.url, trust_env=False) as client:
            for _ in range(100):  # until what has been begun arrived first
                assert client.get("/health", headers={"connection": "close"}).status_code == 200
                if select.select([begun], [], [], 0.01)[0]:
                    break
        status, headers, problem = answer(begun)
        assert status == "HTTP/1.1 503 Service Unavailable"
        assert problem["type"] == "urn:ner:problem:connections"
        assert headers["retry-after"] == "5"


def test_where_all_are_at_work_newcomers_are_told_and_lose_nothing_else(serving: Any, harness: Any) -> None:
    with serving(harness(connections=3)) as live, connections(live.address, 3) as asking:
        for connection in asking:
            connection.sendall(SLOW_BODY)
        deadline = time.monotonic() + 10
        with httpx.Client(base_url=live.url, trust_env=False) as client:
            while (response := client.get("/health", headers={"connection": "close"})).status_code == 200:
                assert time.monotonic() < deadline, "the three are not at work"
                for connection in asking:
                    assert is_open(connection)
        assert response.status_code == response.json()["status"] == 503
        assert response.headers["content-type"] == "application/problem+json"
        assert response.headers["retry-after"] == "5"
        assert response.json()["request_id"] == response.headers["x-request-id"]
        assert "At most 3 " in response.json()["detail"]
        for connection in asking:
            connection.settimeout(10)
            connection.sendall(BODY)
        assert [answer(connection)[0] for connection in asking] == ["HTTP/1.1 200 OK"] * 3
        with Client(live.url, retries=0, timeout=10) as client:
            assert client.health()["status"] == "ok", "who has answered may give way again"


def test_a_body_that_is_answered_unread_does_not_hold_the_connection(
    serving: Any, harness: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GuardedProtocol, "head_seconds", 0.3)
    with serving(harness()) as live, connections(live.address, 1) as (connection,):
        connection.sendall(b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
        status, _, problem = answer(connection)
        assert (status, problem["status"]) == ("HTTP/1.1 404 Not Found", 404)
        deadline = time.monotonic() + 10
        with contextlib.suppress(ConnectionError):
            while not select.select([connection], [], [], 0.05)[0]:
                connection.sendall(b"x")
                assert time.monotonic() < deadline
            assert connection.recv(100) == b"", "nothing follows the answer"


def test_who_takes_no_answer_is_let_go(serving: Any, harness: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_module, "STALL_SECONDS", 0.5)
    body = json.dumps({"text": "Anna said: " * 20_000}).encode()
    asked = SLOW_BODY.replace(b"16", b"%d" % len(body)) + body
    with serving(harness(limits=Limits(4, 1_000_000, 20))) as live, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(10)
        connection.connect(live.address)
        connection.sendall(asked)
        assert select.select([connection], [], [], 10)[0], "the answer begins"
        deadline = time.monotonic() + 10
        while live.connections:  # the kernel tells the server alone
            assert time.monotonic() < deadline
            time.sleep(0.02)


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
    made: list[Any] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, given: made.append(given))
    allow_descriptors(512)
    assert made == ([raised] if raised else [])


def test_too_few_descriptors_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (512, 900))
    with pytest.raises(NerError, match="900") as raised:
        allow_descriptors(512)
    assert raised.value.where == "params.yaml: serving.connections"
