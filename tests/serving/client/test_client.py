"""The Python client: against a scripted transport, and the gateway's own application."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiner import AsyncClient, Client, ServiceError
from multiner.serving.client.batching import Batcher
from multiner.serving.client.connection import backoff
from tests.serving.client.scripted import MODEL, Answer, Script, answer, findings, problem


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of each wait, none of which takes place."""
    seconds: list[float] = []

    async def sleep(wait: float) -> None:
        seconds.append(wait)

    monkeypatch.setattr("httpx_retries.retry.time.sleep", seconds.append)
    monkeypatch.setattr("httpx_retries.retry.asyncio.sleep", sleep)
    return seconds


def test_a_text_gets_a_result_and_texts_a_list_in_their_order() -> None:
    client = Script().client(batch=2)
    result = client.entities("🙂 Oslo")
    assert [(e.start, e.end, e.text, e.label, e.score, e.extra) for e in result.entities] == [
        (2, 6, "Oslo", "LOC", 0.5, {"new": 1})
    ]
    assert (result.text, result.language, result.model.version) == ("🙂 Oslo", "en", "3")
    texts = [f"{n} Oslo" for n in range(5)]
    assert [each.text for each in client.entities(texts)] == texts
    assert client.entities([]) == []


def test_what_is_not_asked_for_is_not_sent() -> None:
    script = Script()
    client = script.client()
    client.entities("a")
    client.entities("a", "en", min_score=0.0, types="PER")
    client.entities("a", types=("PER", "LOC"), tokens=True)
    assert [json.loads(request.content) for request in script.requests] == [
        {"text": ["a"], "language": "auto"},
        {"text": ["a"], "language": "en", "min_score": 0.0, "types": ["PER"]},
        {"text": ["a"], "language": "auto", "types": ["PER", "LOC"], "tokens": True},
    ]


def test_surrogates_pass_with_their_offsets() -> None:
    text = "\ud83d\ude42 \ud800 Oslo"  # a pair as two code points, which JSON would join to one
    (entity,) = Script().client().entities(text).entities
    assert (entity.start, entity.end, entity.text) == (5, 9, "Oslo")


def test_a_stream_reads_no_further_than_a_batch() -> None:
    read = 0

    def texts() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield f"text {read}"

    stream = Script().client(batch=8).stream(texts())
    assert [next(stream).text for _ in range(9)] == [f"text {n}" for n in range(1, 10)]
    assert read == 16


@given(st.lists(st.text(max_size=30)), st.integers(1, 5), st.integers(0, 40))
def test_batches_keep_every_text_and_the_limits(texts: list[str], most: int, characters: int) -> None:
    batches = list(Batcher(most, characters, len).batches(texts))
    assert [text for batch in batches for text in batch] == texts
    assert all(0 < len(batch) <= most for batch in batches)
    assert all(len(batch) == 1 or sum(map(len, batch)) <= characters for batch in batches)


def test_the_defaults_are_the_gateways_limits(root: Path) -> None:
    import yaml

    limits = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))["serving"]
    with Client() as client:
        assert (client.batch, client.characters) == (limits["max_texts"], limits["max_characters"])


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_gateway_is_asked_again_when_it_said(status: int, waits: list[float]) -> None:
    script = Script(problem(status, **{"Retry-After": "7"}), problem(status))
    assert script.client(retries=2).entities("Oslo").entities[0].label == "LOC"
    assert 7 <= waits[0] <= 7.5
    assert 0 <= waits[1] <= 1


def test_retry_after_may_be_a_date(waits: list[float]) -> None:
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 20))
    script = Script(problem(503, **{"Retry-After": date}), problem(503, **{"Retry-After": "soon"}))
    assert script.client(retries=2).entities("Oslo").entities
    assert 15 < waits[0] < 21
    assert waits[1] <= 1


def test_waits_double_and_differ() -> None:
    longest, policy = [], backoff(99, 4.0).increment()
    for _ in range(5):
        waits = {policy.backoff_strategy() for _ in range(300)}
        assert len(waits) > 100
        longest.append(max(waits))
        policy = policy.increment()
    assert longest == pytest.approx([0.5, 1, 2, 4, 4], rel=0.2)


def test_a_connection_that_is_lost_within_an_answer_is_made_anew(waits: list[float]) -> None:
    class Cut(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield b'{"results"'
            raise httpx.RemoteProtocolError("peer closed connection")

    script = Script(httpx.Response(200, stream=Cut()))
    assert script.client().entities("Oslo").entities[0].text == "Oslo"
    assert len(script.requests) == 2


@pytest.mark.parametrize("retries", [0, 3])
def test_no_wait_is_allowed(retries: int, waits: list[float]) -> None:
    script = Script(*[problem(503, **{"Retry-After": "1"})] * 9)
    with pytest.raises(ServiceError):
        script.client(retries=retries, max_wait=0).entities("Oslo")
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("outcome", "sent"),
    [
        (problem(422, "/language"), 1),
        (problem(400), 1),
        (problem(502), 1),
        (problem(504), 1),
        (httpx.ReadTimeout("slow"), 1),
        (problem(503, **{"Retry-After": "90"}), 1),
        (problem(503), 3),
        (httpx.ConnectError("refused"), 3),
        (httpx.RemoteProtocolError("disconnected"), 3),
    ],
)
def test_only_what_may_pass_is_asked_again(outcome: Any, sent: int, waits: list[float]) -> None:
    script = Script(*[outcome] * 3)
    with pytest.raises(ServiceError):
        script.client(retries=2).entities("Oslo")
    assert len(script.requests) == sent
    assert len(waits) == sent - 1


def test_errors_carry_the_problem_details() -> None:
    with pytest.raises(ServiceError) as raised:
        Script(problem(422, "/language")).client().entities("a")
    error = raised.value
    assert (error.status, error.type, error.title) == (422, "urn:ner:problem:some", "Some problem")
    assert (error.detail, error.where, error.request_id) == ("It went wrong.", "/language", "id-7")
    assert str(error) == "http://gateway: 422: It went wrong. (at /language)"


@pytest.mark.parametrize(
    ("response", "status"),
    [
        (httpx.Response(200, text="<html>"), 200),
        (httpx.Response(200, json=[1]), 200),
        (httpx.Response(200, json={"results": []}), 200),
        (httpx.Response(200, json={"results": [{"entities": []}]}), 200),
        (httpx.Response(200, json={"results": [{"language": "en", "model": MODEL, "entities": [5]}]}), 200),
        (httpx.Response(502, text="<html>Bad gateway"), 502),
        (httpx.Response(307, headers={"location": "/elsewhere"}), 307),
        (httpx.Response(422, json={"detail": "no", "where": 5}), 422),
        (httpx.Response(200, text="[" * 100_000), 200),
    ],
)
def test_other_servers_answers_are_errors_too(response: httpx.Response, status: int) -> None:
    with pytest.raises(ServiceError) as raised:
        Script(response).client().entities("a")
    assert raised.value.status == status


@pytest.mark.parametrize("models", [None, 5])
def test_models_are_a_list(models: object) -> None:
    with pytest.raises(ServiceError, match="not that of a gateway"):
        Script(httpx.Response(200, json={"models": models})).client().models()


def test_a_client_may_wait_without_limit_and_send_half_a_character() -> None:
    Client(timeout=None).close()
    with pytest.raises(ServiceError):
        Script(httpx.Response(422, json={"detail": "no such language"})).client().entities("a", language="\ud800")


def test_an_entity_that_is_not_where_the_answer_says_is_refused() -> None:
    wrong = findings("Oslo") | {"entities": [{"start": 0, "end": 3, "text": "Osl", "label": "LOC"}]}
    with pytest.raises(ServiceError, match="not that of a gateway"):
        Script(httpx.Response(200, json={"results": [wrong]})).client().entities("Bergen")


def test_no_address_at_all() -> None:
    for address in ("nonsense", "http://[bad", "http://a..b:1"):
        with pytest.raises(ServiceError, match="no answer") as raised:
            Client(address).entities("a")
        assert raised.value.status is None


def at_most(texts: int) -> Answer:
    def limited(request: httpx.Request) -> httpx.Response:
        question = json.loads(request.content)["text"]
        if len(question) > texts:
            return problem(413, "/text")
        if "LONG" in question:
            return problem(413, "/text")
        return problem(422, f"/text/{question.index('BAD')}") if "BAD" in question else answer(request)

    return limited


def test_a_batch_that_is_too_large_is_sent_in_halves() -> None:
    script = Script(then=at_most(2))
    texts = [f"{n} Oslo" for n in range(7)]
    assert [result.text for result in script.client(batch=5).stream(texts)] == texts
    assert script.sizes == [5, 2, 3, 1, 2, 2]


@pytest.mark.parametrize("bad", ["LONG", "BAD"])
def test_the_place_of_an_error_is_that_among_all_texts(bad: str) -> None:
    texts = [*["Oslo"] * 12, bad, "Oslo"]
    client = Script(then=at_most(3)).client(batch=5)
    stream = client.stream(texts)
    answered = []
    with pytest.raises(ServiceError) as raised:
        answered += (result.text for result in stream)
    assert raised.value.where == "/text/12"


def test_a_place_that_names_no_single_text_is_left_as_it_is() -> None:
    client = Script(problem(422, "/text")).client()
    with pytest.raises(ServiceError) as raised:
        client.entities(["Oslo", "Oslo"])
    assert raised.value.where == "/text"


def test_models_and_health() -> None:
    report = {"status": "down", "languages": {}}
    script = Script(httpx.Response(200, json={"models": [{"language": "en"}]}), httpx.Response(503, json=report))
    client = script.client()
    assert client.models() == [{"language": "en"}]
    assert client.health() == report
    assert [request.url.path for request in script.requests] == ["/v1/models", "/health"]


def test_the_async_twin(waits: list[float]) -> None:
    async def texts() -> AsyncIterator[str]:
        for n in range(5):
            yield f"{n} Oslo"

    async def main() -> None:
        script = Script(problem(503, **{"Retry-After": "1"}), then=at_most(2))
        async with script.async_client(batch=4) as client:
            expected = [text async for text in texts()]
            assert [result.text async for result in client.stream(texts())] == expected
            assert [result.text for result in await client.entities(expected)] == expected
            assert (await client.entities("Oslo")).entities[0].label == "LOC"
            script.script = [httpx.Response(200, json={"models": []}), httpx.Response(503, json={"status": "down"})]
            assert await client.models() == []
            assert await client.health() == {"status": "down"}
            script.script = [problem(422)]
            with pytest.raises(ServiceError, match="422"):
                await client.entities("Oslo")

    asyncio.run(main())
    assert len(waits) == 1
    assert waits[0] >= 1


def test_the_gateway_itself(harness: Any) -> None:
    """Its limits are 4 texts and 1,000 characters here: the client's batches are larger."""

    async def main() -> None:
        gateway_app = harness(champions={"en": "1"})
        async with gateway_app.client() as http:
            client = AsyncClient("http://gateway", http=http, max_wait=10)
            texts = [f"🙂 {n} Anna\ud800" for n in range(9)]
            results = await client.entities(texts)
            assert [[entity.text for entity in result.entities] for result in results] == [["Anna"]] * 9
            assert results[0].entities[0].legs["transformer"]["label"] == "PER"
            assert {model["language"] for model in await client.models()} == {"en", "ru"}
            assert (await client.health())["status"] == "degraded"
            for text, status, where in (("x" * 1001, 413, "/text/1"), ("Анна", 503, None)):
                with pytest.raises(ServiceError) as raised:
                    await client.entities(["Anna", text])
                assert (raised.value.status, raised.value.where) == (status, where)
                assert raised.value.request_id

    asyncio.run(main())
