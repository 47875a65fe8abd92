"""What the gateway counts, and whether it is ready."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from multiner.serving.http.metrics import Metrics
from tests.serving.waiting import until

LINE = re.compile(r'([a-z_]+)(\{[a-z]+="(?:[^"\\\n]|\\.)*"(?:,[a-z]+="(?:[^"\\\n]|\\.)*")*\})? (\S+)')


def ask(harness: Any, use: Callable[[httpx.AsyncClient, Any], Awaitable[Any]], **settings: Any) -> Any:
    async def main() -> Any:
        gateway = harness(**settings)
        async with gateway.client() as client:
            return await use(client, gateway)

    return asyncio.run(main())


def read(page: str) -> dict[str, float]:
    """The samples of a page; every line has to be a comment or a sample."""
    samples = {}
    for line in page.splitlines():
        if not line.startswith(("# HELP ", "# TYPE ")):
            name, labels, value = LINE.fullmatch(line).groups()
            samples[name + (labels or "")] = float(value)
    return samples


def test_each_gateway_counts_for_itself() -> None:
    one, other = Metrics(), Metrics()
    one.called("en", 3)
    assert read(one.render().decode())['ner_model_call_texts_bucket{language="en",le="4.0"}'] == 1
    assert "_created" not in one.render().decode(), "docs/api/state.md has no such metric"
    assert not read(other.render().decode())


def test_a_gateway_counts_what_it_does(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> tuple[httpx.Response, str]:
        await client.post("/v1/entities", json={"text": ["Anna met Bo", "Анна", ""], "types": []})
        await client.post("/v1/entities", json={"text": "Anna", "language": "de"})
        lines = b'"Anna"\n"Bo"\n{}\n'
        await client.post("/v1/entities/stream", content=lines, headers={"content-type": "application/jsonl"})
        await client.post("/v1/en/invocations", json={"inputs": ["Anna", "Bo", "x"]})
        await client.post("/", data={"text": "Anna", "language": "de"})
        await client.get("/static/page.css")
        await client.get("/made-up/4711")
        await client.get("/health")
        response = await client.get("/metrics")
        return response, response.text

    response, page = ask(harness, use, champions={"en": "7", "ru": "2"})
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples = read(page)
    expected = {
        'ner_requests_total{route="/v1/entities",status="200"}': 1,
        'ner_requests_total{route="/v1/entities",status="422"}': 1,
        'ner_requests_total{route="/v1/entities/stream",status="200"}': 1,
        'ner_requests_total{route="/v1/{language}/invocations",status="200"}': 1,
        'ner_requests_total{route="/",status="422"}': 1,
        'ner_request_seconds_count{route="/v1/entities"}': 2,
        'ner_request_seconds_bucket{le="+Inf",route="/health"}': 1,
        'ner_texts_total{language="en"}': 7,
        'ner_texts_total{language="ru"}': 1,
        'ner_entities_total{language="en",type="PER"}': 4,
        'ner_entities_total{language="ru",type="PER"}': 1,
        'ner_model_call_texts_count{language="en"}': 3,
        'ner_model_call_texts_bucket{language="en",le="2.0"}': 2,
        'ner_refusals_total{kind="invalid"}': 3,
        'ner_refusals_total{kind="not-found"}': 1,
        'ner_model_info{language="en",name="ner-en",version="7"}': 1,
        'ner_model_info{language="ru",name="ner-ru",version="2"}': 1,
        'ner_queue_waiting{language="en"}': 0,
    }
    assert expected.items() <= samples.items()
    assert "4711" not in page, "callers must not make up label values"
    assert "Anna" not in page


def test_waiting_work_is_seen(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> str:
        work = [asyncio.create_task(client.post("/v1/entities", json={"text": "WAIT"})) for _ in range(3)]
        await until(lambda: gateway.service.routes["en"].queue.waiting == 2)
        page = (await client.get("/metrics")).text
        gateway.backend("en").held = False
        await asyncio.gather(*work)
        return page

    samples = read(ask(harness, use, concurrency=1))
    assert samples['ner_queue_waiting{language="en"}'] == 2
    assert samples['ner_model_calls_in_flight{language="en"}'] == 1


@pytest.mark.parametrize(
    ("champions", "status", "wait"), [({"en": "1", "ru": "1"}, 200, None), ({"en": "1"}, 503, "30"), ({}, 503, "30")]
)
def test_ready_is_when_every_language_is_live(
    harness: Any, champions: dict[str, str], status: int, wait: str | None
) -> None:
    response = ask(harness, lambda client, _: client.get("/ready"), champions=champions)
    assert (response.status_code, response.headers.get("retry-after")) == (status, wait)
    assert set(response.json()["languages"]) == {"en", "ru"}


def test_while_the_models_start_it_is_not_ready(harness: Any) -> None:
    async def main() -> httpx.Response:
        async with harness().client(settle=False) as client:
            return await client.get("/ready")

    response = asyncio.run(main())
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")


def test_the_openapi_document_refers_to_nothing_that_it_lacks(harness: Any) -> None:
    document = ask(harness, lambda client, _: client.get("/openapi.json")).json()
    references, left = set(), [document]
    while left:
        each = left.pop()
        left += each.values() if isinstance(each, dict) else each if isinstance(each, list) else []
        if isinstance(each, dict) and isinstance(each.get("$ref"), str):
            references.add(each["$ref"])
    registered = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references <= registered
    assert {"#/components/schemas/EntitySchema", "#/components/schemas/RouteSchema"} <= references
    entities = document["paths"]["/v1/entities"]["post"]
    assert set(entities["requestBody"]["content"]["application/json"]["schema"]["properties"]) == {
        "text",
        "language",
        "min_score",
        "types",
        "legs",
        "tokens",
        "offsets",
        "link",
    }
    assert "429" in entities["responses"]
