"""Each status that docs/api/errors.md names can be had, in the one shape of errors; and none that it does not name."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from multiner.serving.http.payload import Limits
from multiner.serving.http.request_guard import HEADER_BYTES, URL_BYTES, allowed_hosts
from multiner.serving.routing.state_store import StateStore
from tests.serving.routing.test_reconciling import Unreadable
from tests.serving.waiting import until

JSON = {"content-type": "application/json"}
OPERATOR = {"authorization": "Bearer a-token-for-tests"}
ENTITIES = ("POST", "/v1/entities")
RECONCILE = ("POST", "/admin/reconcile")
LOCAL = {"hosts": allowed_hosts("127.0.0.1", [])}


async def stalled() -> AsyncIterator[bytes]:
    yield b"{"
    await asyncio.sleep(30)


def text(value: str) -> bytes:
    return json.dumps({"text": value, "language": "en"}).encode()


# status, end of the type, request, headers, body, settings of the gateway
REACHED: list[tuple[int, str, tuple[str, str], dict[str, str], Any, dict[str, Any]]] = [
    (400, "malformed", ENTITIES, JSON, b"{", {}),
    (401, "token", ("POST", "/admin/rollback"), JSON, b"{}", {}),
    (403, "cross-origin", ENTITIES, JSON | {"origin": "https://elsewhere.example"}, text("a"), {}),
    (404, "not-found", ("GET", "/nothing"), {}, b"", {}),
    (405, "method-not-allowed", ("DELETE", "/v1/entities"), {}, b"", {}),
    (408, "slow", ENTITIES, JSON, stalled, {"limits": Limits(4, 1000, 0.1)}),
    (409, "no-tokens", ENTITIES, JSON, b'{"text": "a", "tokens": true}', {"old_versions": {"1"}}),
    (409, "switch-failed", ("POST", "/admin/rollback"), JSON | OPERATOR, b'{"language": "en"}', {}),
    (413, "too-large", ENTITIES, JSON, text("a" * 1001), {}),
    (414, "too-large", ("GET", "/health?" + "a" * URL_BYTES), {}, b"", {}),
    (415, "media-type", ENTITIES, {"content-type": "text/plain"}, text("a"), {}),
    (421, "host", ("GET", "/health"), {"host": "elsewhere.example"}, b"", LOCAL),
    (422, "invalid", ENTITIES, JSON, b'{"text": 5}', {}),
    (422, "document", ("POST", "/v1/documents"), {"content-type": "application/pdf"}, b"no PDF", {}),
    (429, "busy", ENTITIES, JSON, text("WAIT"), {"concurrency": 1, "queue": 0}),
    (431, "too-large", ("GET", "/health"), {"x-filler": "a" * HEADER_BYTES}, b"", {}),
    (502, "model-failed", ENTITIES, JSON, text("CRASH"), {}),
    (503, "no-model", ENTITIES, JSON, text("a"), {"champions": {"en": None}}),
    (
        503,
        "no-registry",
        ("POST", "/admin/reconcile"),
        JSON | OPERATOR,
        b'{"language": "en"}',
        {"champions": Unreadable()},
    ),
    (503, "no-state", ("GET", "/admin/actions"), OPERATOR, b"", {"state": StateStore("sqlite:////dev/null/state.db")}),
    (504, "timeout", ENTITIES, JSON, text("SLOW"), {}),
]


@pytest.mark.parametrize(("status", "kind", "request_line", "headers", "body", "settings"), REACHED)
def test_each_documented_status_can_be_had(
    harness: Any,
    status: int,
    kind: str,
    request_line: tuple[str, str],
    headers: dict[str, str],
    body: Any,
    settings: dict[str, Any],
) -> None:
    async def main() -> httpx.Response:
        gateway = harness(**settings)
        async with gateway.client() as client:

            def ask() -> Any:
                content = body() if callable(body) else body
                return asyncio.create_task(client.request(*request_line, headers=headers, content=content))

            before = ask() if status == 429 else None
            if before:
                await until(lambda: gateway.service.routes["en"].queue.in_flight)
            answer = await ask()
            if before:
                gateway.backend("en").held = False
                assert (await before).status_code == 200
            return answer

    answer = asyncio.run(main())
    problem = answer.json()
    assert answer.status_code == problem["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["type"] == f"urn:ner:problem:{kind}"
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert ("retry-after" in answer.headers) == (status in (429, 503))
    assert ("allow" in answer.headers) == (status == 405)


def test_the_documentation_names_these_and_no_others(root: Path) -> None:
    section = (root / "docs" / "api" / "errors.md").read_text(encoding="utf-8").partition("\n## ")[0]
    rows = re.findall(r"^\| (\d{3}) \| `([a-z-]+)` \|", section, re.M)
    elsewhere = [(500, "internal"), (507, "review-full")]  # test_desk.py, test_corrections.py
    table = [(int(status), kind) for status, kind in rows]
    assert table == sorted(table, key=lambda row: row[0])
    assert sorted(table) == sorted([(row[0], row[1]) for row in REACHED] + elsewhere)
