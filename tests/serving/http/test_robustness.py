"""Any text, any body: offsets that hold, answers that are well formed, nobody else disturbed."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multiner.serving.http.payload import Limits

HEADERS = {"content-type": "application/json"}
# all of Unicode, lone surrogates and control characters included, with names to be found in between
TEXTS = st.lists(
    st.one_of(
        st.sampled_from(["Anna", "Орлов", " ", "\n", "\r\n", "\x00", "\ud800", "\udfff", "🙂", "e\u0301", "\u202e"]),
        st.text(st.characters(), max_size=8),
        st.text(st.characters(categories=["Cs", "Cc"]), max_size=4),
    ),
    max_size=12,
).map("".join)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def gateway(loop: asyncio.Runner, harness: Any) -> Iterator[httpx.AsyncClient]:
    client = harness(limits=Limits(8, 10_000, 30)).client()
    yield loop.run(client.__aenter__())
    loop.run(client.__aexit__(None, None, None))


def in_utf16(text: str, start: int, end: int) -> str:
    """``text.slice(start, end)`` of JavaScript."""
    units = text.encode("utf-16-le", "surrogatepass")
    return units[2 * start : 2 * end].decode("utf-16-le", "surrogatepass")


@settings(max_examples=300)
@given(text=TEXTS)
def test_offsets_hold_in_any_text(loop: asyncio.Runner, gateway: httpx.AsyncClient, text: str) -> None:
    text = json.loads(json.dumps(text))  # what JSON makes of it: neighbouring surrogates become one sign
    for offsets in ("code_points", "utf16"):
        body = json.dumps({"text": [text, f"{text} Anna"], "offsets": offsets})
        response = loop.run(gateway.post("/v1/entities", content=body, headers=HEADERS))
        assert response.status_code == 200
        for sent, result in zip([text, f"{text} Anna"], response.json()["results"], strict=True):
            cut = in_utf16 if offsets == "utf16" else lambda given, start, end: given[start:end]
            outcome = result["entities"]
            assert [cut(sent, entity["start"], entity["end"]) for entity in outcome] == [
                entity["text"] for entity in outcome
            ]
        assert outcome[-1]["text"].endswith("Anna")


@settings(max_examples=150)
@given(texts=st.lists(TEXTS, min_size=1, max_size=5))
def test_a_stream_answers_any_text(loop: asyncio.Runner, gateway: httpx.AsyncClient, texts: list[str]) -> None:
    body = "\n".join(map(json.dumps, texts))
    headers = {"content-type": "application/jsonl"}
    response = loop.run(gateway.post("/v1/entities/stream", content=body, headers=headers))
    answers = [json.loads(line) for line in response.content.split(b"\n") if line]
    assert [answer["line"] for answer in answers] == list(range(1, len(texts) + 1))
    for text, answer in zip(map(json.loads, body.split("\n")), answers, strict=True):
        for entity in answer["entities"]:
            assert text[entity["start"] : entity["end"]] == entity["text"]


def test_one_endless_word_is_refused_by_the_limit_and_a_shorter_one_read(
    loop: asyncio.Runner, gateway: httpx.AsyncClient
) -> None:
    def post(text: str) -> httpx.Response:
        return loop.run(gateway.post("/v1/entities", json={"text": text}))

    refused = post("Ж" * 300_000)
    assert refused.status_code == 413
    assert "10000" in post("a" * 30_000).json()["detail"]
    assert post("Ж" * 10_000).json()["results"][0]["entities"][0]["end"] == 10_000


def test_ten_thousand_line_breaks(loop: asyncio.Runner, gateway: httpx.AsyncClient) -> None:
    text = "\n" * 9_990 + "Anna"
    response = loop.run(gateway.post("/v1/entities", json={"text": text}))
    assert response.json()["results"][0]["entities"][0]["start"] == 9_990
    assert loop.run(gateway.post("/v1/entities", json={"text": "\r\n" * 5_000})).json()["results"][0]["entities"] == []
    headers = {"content-type": "application/jsonl"}
    stream = loop.run(gateway.post("/v1/entities/stream", content=b"\n" * 10_000 + b'"Anna"', headers=headers))
    assert [json.loads(line)["line"] for line in stream.text.splitlines()] == [10_001]


VALUES = [None, True, -1, 1e308, 10**30, "", "\ud800", "a" * 50, [], {}, [[]], {"a": {}}, ["x", None], "en", "auto"]
NAMES = ["text", "language", "types", "min_score", "legs", "offsets", "id", "inputs", "dataframe_split", "data", "\x00"]
SEEDS = [b'{"text": "Anna"}', b'{"inputs": ["Anna"]}', b'"Anna"\n{"text": "Bo", "id": 1}\n', b"text\nAnna\n"]
PATHS = ["/v1/entities", "/v1/entities/stream", "/v1/en/invocations", "/v1/%ff%00/invocations", "/", "/admin/deploy"]
KINDS = ["application/json", "application/jsonl", "text/csv", "application/x-www-form-urlencoded", "", "a/\xff;;="]


def malformed(chance: random.Random) -> bytes:
    """A body that is wrong in some way, or nearly right."""
    kind = chance.randrange(4)
    if kind == 0:
        return json.dumps({name: chance.choice(VALUES) for name in chance.sample(NAMES, chance.randrange(5))}).encode()
    if kind == 1:
        return chance.randbytes(chance.randrange(200))
    body = bytearray(chance.choice(SEEDS))
    for _ in range(chance.randrange(1, 6)):
        place = chance.randrange(len(body) + 1)
        if kind == 2:
            body[place:place] = chance.choice(
                [b"[" * 2000, b"\x00", b'"', b"\\ud800", b"9" * 5000, b"\n", b"\xef\xbb\xbf"]
            )
        else:
            del body[place : place + chance.randrange(4)]
    return bytes(body)


def test_hundreds_of_malformed_bodies_disturb_nobody(loop: asyncio.Runner, gateway: httpx.AsyncClient) -> None:
    chance = random.Random(13)

    async def main() -> tuple[list[tuple[Any, httpx.Response]], list[httpx.Response]]:
        bad, good = [], []
        for _ in range(30):
            requests = [
                (chance.choice(PATHS), chance.choice(KINDS).encode("latin-1"), malformed(chance)) for _ in range(20)
            ]
            work = [gateway.post(path, content=body, headers={"content-type": kind}) for path, kind, body in requests]
            beside = gateway.post("/v1/entities", json={"text": "Anna met Bo"})
            *answers, right = await asyncio.gather(*work, beside)
            bad += zip(requests, answers, strict=True)
            good.append(right)
        return bad, good

    bad, good = loop.run(main())
    assert len(bad) == 600
    for request, response in bad:
        assert response.status_code < 500, request
        assert "Traceback" not in response.text
        assert 'File "' not in response.text
        if response.status_code >= 400 and request[0] != "/":
            assert response.headers["content-type"] == "application/problem+json", request
    assert {response.status_code for _, response in bad} >= {200, 400, 401, 404, 415, 422}
    assert all(response.status_code == 200 for response in good)
    assert len({response.text for response in good}) == 1
