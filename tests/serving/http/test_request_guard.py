"""Who may ask, by which name, from which page; and what every answer says to browsers."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from multiner.serving.http.request_guard import HEADER_BYTES, URL_BYTES, allowed_hosts, host_name

LOCAL = allowed_hosts("127.0.0.1", [])
JSON = {"content-type": "application/json"}
OPERATOR = {"authorization": "Bearer a-token-for-tests"}


def send(harness: Any, method: str, path: str, headers: Any = None, body: bytes = b"", **settings: Any) -> Any:
    async def main() -> httpx.Response:
        async with harness(**settings).client() as client:
            return await client.request(method, path, headers=headers, content=body)

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("bound", "named", "names"),
    [
        ("127.0.0.1", [], {"localhost", "127.0.0.1", "::1"}),
        ("::1", ["NER.example.org"], {"localhost", "127.0.0.1", "::1", "ner.example.org"}),
        ("127.0.0.2", [], {"localhost", "127.0.0.1", "::1", "127.0.0.2"}),
        ("localhost", [], {"localhost", "127.0.0.1", "::1"}),
        ("0.0.0.0", [], None),
        ("0.0.0.0", ["ner.example.org"], {"localhost", "127.0.0.1", "::1", "0.0.0.0", "ner.example.org"}),
    ],
)
def test_names_follow_from_the_address_and_the_parameter(bound: str, named: list[str], names: set[str] | None) -> None:
    assert allowed_hosts(bound, named) == names


@pytest.mark.parametrize("bound", ["127.1", "0x7f.1", "2130706433", "::ffff:127.0.0.1", "0:0:0:0:0:0:0:1", "[::1]"])
def test_every_way_to_write_a_loopback_address_bounds_the_names(bound: str) -> None:
    names = allowed_hosts(bound, [])
    assert names is not None
    assert "rebinding.example" not in names


@pytest.mark.parametrize("bound", ["0", "0x0", "::ffff:0.0.0.0", "10.1", "ner.example", "a..b", "x" * 80])
def test_other_addresses_and_names_may_be_called_as_they_like(bound: str) -> None:
    assert allowed_hosts(bound, []) is None


@pytest.mark.parametrize(
    ("authority", "name"),
    [
        ("LocalHost:8000", "localhost"),
        ("[::1]:8000", "::1"),
        ("[::1]", "::1"),
        ("127.0.0.1", "127.0.0.1"),
        ("localhost:x", ""),
        ("localhost:99999", ""),
        ("user@localhost", ""),
        ("localhost/path", ""),
        ("[::1", ""),
        ("", ""),
    ],
)
def test_the_host_of_an_authority(authority: str, name: str) -> None:
    assert host_name(authority) == name


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST"])
def test_local_names_are_answered(harness: Any, host: str) -> None:
    assert send(harness, "GET", "/health", {"host": host}, hosts=LOCAL).status_code == 200


@pytest.mark.parametrize("host", ["attacker.example", "localhost.attacker.example:8000", "127.0.0.1.nip.io", "", "[::"])
@pytest.mark.parametrize("path", ["/", "/health", "/openapi.json", "/static/page.js", "/nothing"])
def test_another_name_is_refused_on_every_path(harness: Any, host: str, path: str) -> None:
    response = send(harness, "GET", path, {"host": host}, hosts=LOCAL)
    assert response.status_code == 421
    assert response.json()["type"] == "urn:ner:problem:host"
    assert "attacker" not in response.text


def test_two_names_are_no_name(harness: Any) -> None:
    headers = [("host", "localhost"), ("host", "attacker.example")]
    assert send(harness, "GET", "/health", headers, hosts=LOCAL).status_code == 400


FOREIGN = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site", "origin": "http://gateway"},
    {"origin": "https://attacker.example"},
    {"origin": "http://gateway:9000"},
    {"origin": "null"},
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("path", ["/admin/rollback", "/admin/deploy", "/v1/entities", "/"])
def test_pages_of_other_sites_may_send_nothing(harness: Any, headers: dict[str, str], path: str) -> None:
    response = send(harness, "POST", path, headers | OPERATOR | JSON, b'{"text": "Anna"}')
    assert response.status_code == 403
    assert response.json()["type"] == "urn:ner:problem:cross-origin"


@pytest.mark.parametrize("headers", [{}, {"sec-fetch-site": "same-origin"}, {"origin": "http://gateway"}])
def test_programs_and_our_own_page_may(harness: Any, headers: dict[str, str]) -> None:
    assert send(harness, "POST", "/v1/entities", headers | JSON, b'{"text": "Anna"}').status_code == 200
    assert send(harness, "GET", "/health", {"sec-fetch-site": "cross-site"}).status_code == 200, "links may lead here"


@pytest.mark.parametrize(
    ("method", "path", "headers", "body"),
    [
        ("GET", "/", {}, b""),
        ("GET", "/static/page.css", {}, b""),
        ("GET", "/openapi.json", {}, b""),
        ("GET", "/nothing", {}, b""),
        ("DELETE", "/health", {}, b""),
        ("POST", "/v1/entities", JSON, b'{"text": "Anna"}'),
        ("POST", "/v1/entities", JSON, b"{"),
        ("POST", "/v1/entities", {"origin": "null"}, b"{"),
        ("POST", "/v1/entities/stream", {"content-type": "application/jsonl"}, b'"Anna"'),
        ("POST", "/admin/deploy", JSON, b"{}"),
        ("GET", "/" + "a" * URL_BYTES, {}, b""),
    ],
)
def test_every_answer_carries_the_security_headers(
    harness: Any, method: str, path: str, headers: dict[str, str], body: bytes
) -> None:
    answer = send(harness, method, path, headers, body).headers
    assert answer["x-content-type-options"] == "nosniff"
    assert answer["referrer-policy"] == "no-referrer"
    policy = answer["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer["x-request-id"]
    assert "server" not in answer


def test_large_heads_are_refused_with_the_limit(harness: Any) -> None:
    long = send(harness, "GET", "/health?" + "a" * URL_BYTES)
    assert (long.status_code, long.json()["type"]) == (414, "urn:ner:problem:too-large")
    assert str(URL_BYTES) in long.json()["detail"]
    wide = send(harness, "GET", "/health", {"x-filler": "a" * HEADER_BYTES})
    assert (wide.status_code, wide.json()["type"]) == (431, "urn:ner:problem:too-large")
    assert str(HEADER_BYTES) in wide.json()["detail"]


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip", "GZIP"])
@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/v1/entities", "application/json"),
        ("/v1/entities/stream", "application/jsonl"),
        ("/v1/en/invocations", "text/csv"),
        ("/", "application/x-www-form-urlencoded"),
    ],
)
def test_compressed_bodies_are_not_unpacked(harness: Any, coding: str, path: str, media_type: str) -> None:
    response = send(harness, "POST", path, {"content-type": media_type, "content-encoding": coding}, b"\x1f\x8b")
    assert response.status_code == 415
    if path != "/":
        assert response.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "body", [b'{"text": "Anna", "text": "Bo"}', b'{"text": NaN}', b'{"text": "a", "min_score": -Infinity}']
)
def test_what_json_does_not_define_is_refused(harness: Any, body: bytes) -> None:
    response = send(harness, "POST", "/v1/entities", JSON, body)
    assert response.status_code == 400
    assert response.json()["type"] == "urn:ner:problem:malformed"
