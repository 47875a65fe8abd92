"""HEAD is answered wherever GET is: the same status and headers, no body."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import httpx
import pytest

OPERATOR = {"authorization": "Bearer a-token-for-tests"}
PATHS = {
    "/": 200,
    "/parallel": 200,
    "/models": 200,
    "/static/page.css": 200,
    "/openapi.json": 200,
    "/health": 200,
    "/live": 200,
    "/ready": 200,
    "/v1/models": 200,
    "/admin/actions": 200,
    "/admin/actions/none": 404,
    "/nothing": 404,
    "/health?" + "a" * 9000: 414,
}
CHANGING = {"x-request-id", "date"}


@pytest.mark.parametrize(("path", "status"), PATHS.items())
def test_head_tells_what_get_would(harness: Any, path: str, status: int) -> None:
    async def main() -> tuple[httpx.Response, httpx.Response]:
        async with harness().client() as client:
            head = await client.head(path, headers=OPERATOR)
            return head, await client.get(path, headers=OPERATOR)

    head, get = asyncio.run(main())
    assert head.status_code == get.status_code == status
    assert head.content == b""
    assert get.content
    remainder = [{name: value for name, value in each.headers.items() if name not in CHANGING} for each in (head, get)]
    assert remainder[0] == remainder[1]


def test_head_is_counted_as_its_route(harness: Any) -> None:
    async def main() -> str:
        async with harness().client() as client:
            assert (await client.head("/metrics")).headers["content-type"].startswith("text/plain")
            await client.head("/health")
            return (await client.get("/metrics")).text

    assert 'ner_requests_total{route="/health",status="200"} 1' in asyncio.run(main())


def test_other_methods_are_refused_and_the_allowed_ones_named(harness: Any) -> None:
    async def main() -> list[httpx.Response]:
        async with harness().client() as client:
            return [
                await client.request(*each)
                for each in (("HEAD", "/v1/entities"), ("DELETE", "/health"), ("POST", "/static/page.css"))
            ]

    assert [(each.status_code, each.headers["allow"]) for each in asyncio.run(main())] == [
        (405, "POST"),
        (405, "GET, HEAD"),
        (405, "GET, HEAD"),
    ]


def test_the_document_does_not_list_it(harness: Any) -> None:
    assert not [path for path, operations in harness().app.openapi()["paths"].items() if "head" in operations]


def test_the_connection_can_be_used_on(served: tuple[Any, tuple[str, int]]) -> None:
    """A body after a HEAD, or a length that is not kept to, would put everything that follows out of step."""
    request = b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n" + b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.create_connection(served[1], timeout=10) as connection:
        connection.sendall(request)
        got = b""
        while not got.endswith(b"}"):
            got += connection.recv(65_536)
    first, second, body = got.split(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200 ")
    assert b"content-length: " in first.lower()
    assert second.startswith(b"HTTP/1.1 200 ")
    assert body.startswith(b"{")
