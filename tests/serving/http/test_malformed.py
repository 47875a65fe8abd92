"""A thousand malformed requests on a real socket, of every kind we know, beside right ones that must not notice.

To send one of them alone: ``NER_MALFORMED=17 pytest tests/serving/http/test_malformed.py``.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h11
import httpx
import psutil
import pytest

from multiner.serving.http.middleware import JsonFormatter
from multiner.serving.http.payload import Limits
from tests.serving.http.malformed import KINDS, malformed
from tests.serving.sending import API, SECRET, Sent

NUMBER = 1000
NO_HTTP = b"Invalid HTTP request received."
AT_ONCE = 24
SECONDS = 3.0  # that the gateway gives a body, and a model
LIMITS = Limits(8, 100_000, SECONDS)

ROOT = Path(__file__).resolve().parents[3]


async def exchange(address: tuple[str, int], sent: Sent) -> bytes:
    """What comes back until the gateway closes the connection."""
    reader, writer = await asyncio.open_connection(*address)
    got = bytearray()

    async def send() -> None:
        for piece in sent.pieces:
            writer.write(piece)
            await writer.drain()
        if sent.ends:
            writer.write_eof()

    sending = asyncio.create_task(send())
    try:
        if sent.hangs_up:
            await sending
        else:
            async with asyncio.timeout(SECONDS + 12):
                while data := await reader.read(65_536):
                    got += data
    except ConnectionError:
        pass  # closed before all of it was sent
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        writer.transport.abort()
    return bytes(got)


def answers(data: bytes, method: str) -> Iterator[tuple[int, dict[str, str], bytes]]:
    """The answers on a connection: status, headers, body.

    Raises:
        h11.RemoteProtocolError: what came is no HTTP, or breaks off.
    """
    while data:
        connection, body = h11.Connection(h11.CLIENT), b""
        connection.send(h11.Request(method=method, target="/", headers=[("Host", "localhost")]))
        connection.send(h11.EndOfMessage())
        connection.receive_data(data)
        connection.receive_data(b"")
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                status, fields = event.status_code, {name.decode(): value.decode() for name, value in event.headers}
            elif isinstance(event, h11.Data):
                body += event.data
        yield status, fields, body
        data = connection.trailing_data[0]


def check(sent: Sent, data: bytes) -> set[int]:
    """The statuses of the answers to ``sent``, which keep to all that is promised of them."""
    statuses = set()
    for status, fields, body in answers(data, sent.method):
        statuses.add(status)
        assert status in sent.statuses, f"{status} {body[:300]!r}"
        if body == NO_HTTP:  # the server's own, before there is a request
            assert (status, fields["connection"]) == (400, "close")
            continue
        assert fields["x-content-type-options"] == "nosniff"
        assert "server" not in fields
        shown = body.decode("utf-8", "replace")
        for leak in ("Traceback", 'File "', "site-packages", str(ROOT), "uvicorn", "starlette"):
            assert leak not in shown, leak
        if status >= 400 and not fields["content-type"].startswith("text/html") and sent.method != "HEAD":
            assert fields["content-type"] == "application/problem+json"
            problem = json.loads(body)
            assert problem["status"] == status
            assert problem["request_id"] == fields["x-request-id"]
            assert {"type", "title", "detail"} < set(problem)
            assert len(body) < 1500, "an error must not echo its input"
            assert SECRET * 3 not in shown
    assert statuses or sent.silent, "no answer"
    return statuses


async def keep_asking(address: tuple[str, int], done: asyncio.Event) -> list[float]:
    """Ask right questions all the time; how long each took."""
    times = []
    async with httpx.AsyncClient(base_url=f"http://{address[0]}:{address[1]}", trust_env=False, timeout=30) as client:
        while not done.is_set():
            text, started = f"Anna Berg{len(times)} met Олег", time.monotonic()
            response = await client.post(API, json={"text": [text, "Bo"], "language": "en"})
            times.append(time.monotonic() - started)
            assert response.status_code == 200, response.text
            outcome = [[entity["text"] for entity in result["entities"]] for result in response.json()["results"]]
            assert outcome == [[f"Anna Berg{len(times) - 1}", "Олег"], ["Bo"]]
    return times


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """All that is logged, in the gateway's own form."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.mark.faults("malformed requests, and clients that break off")
@pytest.mark.slow
def test_a_thousand_malformed_requests_disturb_nobody(harness: Any, behind_server: Any, logged: io.StringIO) -> None:
    numbers = [int(os.environ["NER_MALFORMED"])] if "NER_MALFORMED" in os.environ else range(NUMBER)
    process, sizes, seen, faults = psutil.Process(), [], {}, []

    async def main(address: tuple[str, int]) -> list[float]:
        room, done = asyncio.Semaphore(AT_ONCE), asyncio.Event()
        beside = [asyncio.create_task(keep_asking(address, done)) for _ in range(2)]

        async def one(number: int) -> None:
            async with room:
                name, sent = malformed(number)
                try:
                    statuses = check(sent, await exchange(address, sent))
                    seen.setdefault(name, set()).update(statuses)
                except TimeoutError:
                    faults.append(f"{number} {name}: neither answered nor closed")
                except (AssertionError, KeyError, ValueError, h11.ProtocolError) as error:
                    faults.append(f"{number} {name}: {str(error)[:300]}")
                sizes.append(process.memory_info().rss)

        await asyncio.gather(*map(one, numbers))
        done.set()
        return [seconds for times in await asyncio.gather(*beside) for seconds in times]

    with behind_server(harness(limits=LIMITS)) as address:
        times = asyncio.run(main(address))
        health = httpx.get(f"http://{address[0]}:{address[1]}/health", trust_env=False).json()
    assert not faults, "\n".join(faults)
    assert health["status"] == "ok"
    assert len(times) > len(numbers) / 20
    assert max(times) < SECONDS, "a right request had to wait for the wrong ones"
    quarter = len(sizes) // 4
    assert max(sizes[-quarter or None :]) - max(sizes[: quarter or None]) < 100e6
    lines = logged.getvalue().split("\n")
    assert not any(SECRET in line for line in lines if '"path"' not in line)
    assert all(len(line) < 6000 for line in lines)
    assert all(isinstance(json.loads(line), dict) for line in lines if line)
    assert "exception" not in {name for line in lines if line for name in json.loads(line)}
    if len(numbers) == NUMBER:
        assert set(seen) == {kind.__name__ for kind in KINDS}
        assert set().union(*seen.values()) >= {200, 400, 401, 404, 405, 408, 409, 413, 414, 415, 422, 431}
