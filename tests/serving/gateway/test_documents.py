"""``POST /v1/documents``."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from multiner.serving.documents import extraction
from multiner.serving.documents.extraction import DocumentLimits
from multiner.serving.documents.reading import DOCX, PDF
from tests.serving.documents.files import docx, paragraph, pdf


def post(harness: Any, content: Any, kind: str, **settings: Any) -> httpx.Response:
    async def main() -> httpx.Response:
        async with harness(**settings).client(settle=False) as client:
            return await client.post("/v1/documents", content=content, headers={"Content-Type": kind})

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("kind", "content", "answer"),
    [
        ("text/plain; charset=koi8-r", "Анна".encode("koi8-r"), {"text": "Анна", "pages": None, "encoding": "koi8-r"}),
        (DOCX, docx(paragraph("Анна")), {"text": "Анна", "pages": None, "encoding": None}),
        (PDF, pdf(["Anna"]), {"text": "Anna", "pages": [{"start": 0, "end": 4}], "encoding": None}),
    ],
)
def test_a_file_is_answered_with_its_text(harness: Any, kind: str, content: bytes, answer: dict[str, Any]) -> None:
    response = post(harness, content, kind)
    assert response.status_code == 200
    assert response.json() == answer


@pytest.mark.parametrize(
    ("kind", "content", "status", "detail"),
    [
        ("application/msword", b"a", 415, "Send Content-Type: text/plain or "),
        ("text/plain", b"a" * 2001, 413, "larger than 2000 bytes"),
        ("text/plain", b"a" * 1001, 413, "more than 1,000 characters"),
        (PDF, pdf(["a"], ["b"], ["c"]), 413, "3 pages; at most 2"),
        (PDF, pdf(["a"], password="secret"), 422, "password"),
        ("text/plain", b"", 422, "is empty"),
    ],
)
def test_what_is_refused(harness: Any, kind: str, content: bytes, status: int, detail: str) -> None:
    response = post(harness, content, kind, documents=DocumentLimits(2000, 2, 1000, 60))
    assert response.status_code == status
    assert detail in response.json()["detail"]


def test_while_all_places_are_taken_a_file_is_refused(harness: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "PLACES", 0)
    response = post(harness, b"Anna", "text/plain")
    assert response.status_code == 429
    assert response.headers["retry-after"]
