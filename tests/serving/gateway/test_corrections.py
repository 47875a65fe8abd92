"""Corrections over the gateway: what is kept of them, and what is refused."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from multiner.pipeline.corpora.review_queue import ReviewQueue

JSON = {"content-type": "application/json"}
TEXT = "We saw Oslo. Nobody met Anna Berg there."
BODY = {
    "text": TEXT,
    "language": "en",
    "model": {"name": "ner-en", "version": "1"},
    "entities": [{"start": 7, "end": 11, "label": "LOC"}, {"start": 24, "end": 33, "label": "PER", "score": 0.9}],
    "changed": [{"start": 7, "end": 11}],
}


def post(harness: Any, *bodies: Any, **settings: Any) -> list[httpx.Response]:
    async def main() -> list[httpx.Response]:
        async with harness(**settings).client() as client:
            content = [json.dumps(body).encode() for body in bodies]
            return await asyncio.gather(
                *(client.post("/v1/corrections", content=each, headers=JSON) for each in content)
            )

    return asyncio.run(main())


def test_off_by_default(harness: Any) -> None:
    (response,) = post(harness, BODY)
    assert response.status_code == 404
    assert response.json()["type"] == "urn:ner:problem:not-found"


def test_the_sentence_is_kept_and_no_more(harness: Any, tmp_path: Path) -> None:
    queue = ReviewQueue(tmp_path, 10_000)
    (first,) = post(harness, BODY, review=queue)
    (again,) = post(harness, BODY, review=queue)
    assert (first.status_code, first.json()) == (201, {"kept": 1, "known": 0})
    assert (again.status_code, again.json()) == (200, {"kept": 0, "known": 1})
    (kept,) = queue.read("en")
    assert (kept.words, kept.tags) == (("We", "saw", "Oslo", "."), ("O", "O", "B-LOC", "O"))
    assert kept.model == "ner-en/1"
    assert kept.time.endswith("+00:00")
    (both,) = post(harness, BODY | {"changed": None}, review=queue)
    assert both.json() == {"kept": 1, "known": 1}


def test_posts_at_once_lose_nothing(harness: Any, tmp_path: Path) -> None:
    queue = ReviewQueue(tmp_path, 100_000)
    bodies = [BODY | {"text": f"number{i} Oslo.", "entities": [], "changed": None} for i in range(20)]
    assert {response.status_code for response in post(harness, *bodies, review=queue)} == {201}
    assert sorted(each.words[0] for each in queue.read("en")) == sorted(f"number{i}" for i in range(20))


@pytest.mark.parametrize(
    ("change", "status", "where"),
    [
        ({"text": 5}, 422, "/text"),
        ({"text": "a" * 1001}, 413, "/text"),
        ({"text": " ", "entities": [], "changed": None}, 422, "/text"),
        ({"text": "a -DOCSTART- b", "entities": [], "changed": None}, 422, "/text"),
        ({"language": "auto"}, 422, "/language"),
        ({"language": ["en"]}, 422, "/language"),
        ({"model": "ner-en/1"}, 422, "/model"),
        ({"model": {"name": "a b\n", "version": "1"}}, 422, "/model/name"),
        ({"entities": None}, 422, "/entities"),
        ({"entities": ["x"]}, 422, "/entities/0"),
        ({"entities": [{"start": 7, "end": 99, "label": "LOC"}]}, 422, "/entities/0"),
        ({"entities": [{"start": True, "end": 9, "label": "LOC"}]}, 422, "/entities/0/start"),
        ({"entities": [{"start": 2, "end": 3, "label": "LOC"}]}, 422, "/entities/0"),
        ({"entities": [{"start": 7, "end": 11, "label": "CITY"}]}, 422, "/entities/0/label"),
        ({"entities": [{"start": s, "end": 11, "label": "LOC"} for s in (8, 7)]}, 422, "/entities/0"),
        ({"changed": "all"}, 422, "/changed"),
        ({"changed": []}, 422, "/changed"),
        ({"changed": [{"start": 5}]}, 422, "/changed/0/end"),
        ({"more": 1}, 422, None),
    ],
)
def test_what_is_not_right_is_refused_with_its_place(
    harness: Any, tmp_path: Path, change: dict[str, Any], status: int, where: str | None
) -> None:
    (response,) = post(harness, BODY | change, review=ReviewQueue(tmp_path, 10_000))
    assert (response.status_code, response.json().get("where")) == (status, where)
    assert not list(tmp_path.iterdir())


def test_lone_surrogates_and_astral_signs_are_kept_at_their_places(harness: Any, tmp_path: Path) -> None:
    queue = ReviewQueue(tmp_path, 10_000)
    body = BODY | {"text": "\ud800 😀 Oslo", "entities": [{"start": 4, "end": 8, "label": "LOC"}], "changed": None}
    (response,) = post(harness, body, review=queue)
    assert response.status_code == 201
    assert queue.read("en")[0].words[-1] == "Oslo"
    assert queue.read("en")[0].tags[-1] == "B-LOC"


def test_a_full_queue_says_so(harness: Any, tmp_path: Path) -> None:
    (response,) = post(harness, BODY, review=ReviewQueue(tmp_path, 10))
    assert response.status_code == 507
    assert response.json()["type"] == "urn:ner:problem:review-full"
    assert "full" in response.json()["detail"]
    assert str(tmp_path) not in response.text


def test_a_folder_that_cannot_be_written_says_so(harness: Any, tmp_path: Path) -> None:
    (tmp_path / "review").write_text("a file in the way")
    (response,) = post(harness, BODY, review=ReviewQueue(tmp_path / "review", 10_000))
    assert response.status_code == 507
    assert "Traceback" not in response.text


def test_the_openapi_document_has_it_where_it_is_on(harness: Any, tmp_path: Path) -> None:
    async def paths(**settings: Any) -> set[str]:
        async with harness(**settings).client() as client:
            return set((await client.get("/openapi.json")).json()["paths"])

    assert "/v1/corrections" not in asyncio.run(paths())
    assert "/v1/corrections" in asyncio.run(paths(review=ReviewQueue(tmp_path, 1)))
