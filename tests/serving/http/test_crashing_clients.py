"""Broken requests and clients that crash at any point of one, on real sockets: nobody else notices, nothing is left.

Each client is made from its number alone. :mod:`.test_malformed` checks what comes back.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psutil
import pytest

from multiner.serving.http.payload import Limits
from tests.serving.sending import API, INVOKE, JSON, LINES, PAGE, STREAM, request, text_body

CLIENTS = 240
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing resets the connection, as a crash of the client's machine does
CHUNKED = (("Transfer-Encoding", "chunked"),)
SECONDS = 2.0  # that the gateway gives a slow body
FIELDS = [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"]
PIECES = [b"\x00", b"\r\n", b"\r\n\r\n", b"\xff\xfe", b"{[", b"9" * 99, *FIELDS]


def right(chance: random.Random) -> bytes:
    """A whole request of some kind."""
    body = text_body("Anna met Bo", language="en")
    requests = [
        request(API, body),
        request(STREAM, body + b"\n" + body + b"\n", kind=LINES),
        request(INVOKE, json.dumps({"inputs": ["Anna"]}).encode()),
        request(PAGE, method="GET", kind=None),
        request("/admin/deploy", b'{"language": "en"}'),
        request(API, b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body), length=None, headers=CHUNKED),
    ]
    return chance.choice(requests).pieces[0]


def broken(chance: random.Random) -> bytes:
    """A request with bytes inserted, deleted or changed, then cut off, or not."""
    data = bytearray(right(chance))
    for _ in range(chance.randrange(4)):
        place = chance.randrange(len(data))
        action = chance.randrange(3)
        if action == 0:
            data[place:place] = chance.choice(PIECES)
        elif action == 1:
            del data[place : place + chance.randrange(1, 20)]
        else:
            data[place] = chance.randrange(256)
    return bytes(data[: chance.randrange(len(data) + 1)] if chance.random() < 0.5 else data)


def leave(connection: socket.socket, chance: random.Random) -> None:
    """Close a connection in one of the ways in which clients go."""
    if chance.random() < 0.5:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    elif chance.random() < 0.3:
        connection.shutdown(socket.SHUT_WR)
    connection.close()


def crash(address: tuple[str, int], number: int) -> None:
    """Send a broken request in pieces, perhaps read the beginning of an answer, and go."""
    chance = random.Random(number)
    data = broken(chance)
    with socket.create_connection(address, timeout=10) as connection:
        try:
            cut = chance.randrange(len(data) + 1)
            connection.sendall(data[:cut])
            connection.sendall(data[cut:])
            if chance.random() < 0.2:
                connection.settimeout(0.02)  # most broken requests have no answer yet
                connection.recv(chance.randrange(1, 200))
            leave(connection, chance)
        except (ConnectionError, TimeoutError, OSError):
            pass  # the gateway has closed it, or has nothing to say


def good(live: Any) -> None:
    """Ask a right question."""
    response = httpx.post(f"{live.url}v1/entities", json={"text": "Anna", "language": "en"}, trust_env=False)
    assert response.status_code == 200, response.text
    assert [each["text"] for each in response.json()["results"][0]["entities"]] == ["Anna"]


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for the server's thread."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


class Watched:
    """A gateway, and what it had in use before anything went wrong."""

    def __init__(self, live: Any) -> None:
        self.live = live
        self.loop = next(iter(live.harness.service.routes["en"]._pool._tasks)).get_loop()
        self.process = psutil.Process()
        good(live)
        until(lambda: live.connections == 0, "the first connection stays open")
        self.tasks = len(asyncio.all_tasks(self.loop))
        self.descriptors = self.process.num_fds()

    def require_nothing_left(self) -> None:
        """Wait until connections, tasks, open files and places in queues are as before."""
        good(self.live)
        queue = self.live.harness.service.routes["en"].queue
        until(lambda: self.live.connections == 0, "connections are left")
        until(lambda: self.live.requests == 0, "requests are left")
        until(lambda: not queue.in_flight and not queue.waiting, "places in the queue are left")
        until(lambda: len(asyncio.all_tasks(self.loop)) <= self.tasks, "tasks are left")
        until(lambda: self.process.num_fds() <= self.descriptors, "open files are left")
        assert httpx.get(f"{self.live.url}health", trust_env=False).json()["status"] == "ok"


@pytest.fixture
def watched(serving: Any, harness: Any, request: pytest.FixtureRequest) -> Iterator[Watched]:
    seconds = getattr(request, "param", 30.0)
    with serving(harness(limits=Limits(4, 1000, seconds), reconcile_seconds=0)) as live:
        yield Watched(live)


def test_broken_requests_and_crashes_leave_nothing_behind(watched: Watched) -> None:
    for number in range(CLIENTS):
        crash(watched.live.address, number)
        if number % 40 == 0:
            good(watched.live)
    watched.require_nothing_left()


def test_clients_that_crash_while_the_model_works_leave_nothing_behind(watched: Watched) -> None:
    backend = watched.live.harness.backend("en")
    path_and_body = [
        (API, text_body("WAIT", language="en"), JSON),
        (INVOKE, b'{"inputs": ["WAIT"]}', JSON),
        (STREAM, text_body("WAIT", language="en") + b"\n", LINES),
    ]
    connections = []
    for number in range(12):
        path, body, kind = path_and_body[number % 3]
        connections.append(socket.create_connection(watched.live.address, timeout=10))
        connections[-1].sendall(request(path, body, kind=kind).pieces[0])
    until(lambda: len(backend.seen) > backend.ended, "the model gets no call")
    for connection in connections:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.close()
    backend.held = False
    watched.require_nothing_left()


@pytest.mark.parametrize("watched", [SECONDS], indirect=True)
def test_slow_bodies_hold_nobody_up_and_end(watched: Watched) -> None:
    head = request(API, text_body("Anna", language="en")).pieces[0].partition(b"\r\n\r\n")[0]
    connections = [socket.create_connection(watched.live.address, timeout=10) for _ in range(20)]
    for connection in connections:
        connection.sendall(head + b'\r\n\r\n{"te')
    until(lambda: watched.live.requests == len(connections), "requests do not begin")
    good(watched.live)
    for connection in connections:
        assert connection.recv(65_536).startswith(b"HTTP/1.1 408 ")
        connection.close()
    watched.require_nothing_left()
