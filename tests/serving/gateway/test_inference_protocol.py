"""The Open Inference Protocol: what its document says of each endpoint, and what is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

import multiner
from multiner.serving.http.payload import Limits
from tests.serving.waiting import until

INFER = "/v2/models/ner-en/infer"
JSON = {"content-type": "application/json"}


def ask(harness: Any, use: Callable[[httpx.AsyncClient, Any], Awaitable[Any]], **settings: Any) -> Any:
    async def main() -> Any:
        gateway = harness(**settings)
        async with gateway.client() as client:
            return await use(client, gateway)

    return asyncio.run(main())


def get(harness: Any, *paths: str, **settings: Any) -> list[tuple[int, Any]]:
    async def use(client: httpx.AsyncClient, made: Any) -> list[tuple[int, Any]]:
        answers = [await client.get(path) for path in paths]
        return [(answer.status_code, answer.json()) for answer in answers]

    return ask(harness, use, **settings)


def tensor(*texts: Any, **changes: Any) -> dict[str, Any]:
    return {"name": "text", "shape": [len(texts)], "datatype": "BYTES", "data": list(texts)} | changes


def post(harness: Any, body: Any, path: str = INFER, headers: dict[str, str] = JSON, **settings: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ask(harness, lambda client, _: client.post(path, content=content, headers=headers), **settings)


def test_the_server_and_its_models_describe_themselves(harness: Any) -> None:
    server, model, versioned, auto = get(
        harness, "/v2", "/v2/models/ner-ru", "/v2/models/ner-ru/versions/1", "/v2/models/ner-auto"
    )
    tensors = {
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [{"name": "entities", "datatype": "BYTES", "shape": [-1]}],
    }
    assert server == (200, {"name": "multiner", "version": multiner.__version__, "extensions": []})
    assert model == versioned == (200, {"name": "ner-ru", "versions": ["1"], "platform": "mlflow_pyfunc", **tensors})
    assert auto == (200, {"name": "ner-auto", "platform": "mlflow_pyfunc", **tensors})


def test_health_is_that_of_the_models(harness: Any) -> None:
    paths = ("live", "ready")
    health = [f"/v2/health/{path}" for path in paths]
    models = [f"/v2/models/ner-{language}/ready" for language in ("en", "ru", "auto")]
    models.append("/v2/models/ner-en/versions/1/ready")
    assert get(harness, *health, *models) == [
        (200, {"live": True}),
        (200, {"live": True, "ready": True}),
        (200, {"name": "ner-en", "ready": True}),
        (200, {"name": "ner-ru", "ready": True}),
        (200, {"name": "ner-auto", "ready": True}),
        (200, {"name": "ner-en", "ready": True}),
    ]
    assert get(harness, *health, *models, champions={"en": "1"}) == [
        (200, {"live": True}),
        (503, {"live": True, "ready": False}),
        (200, {"name": "ner-en", "ready": True}),
        (503, {"name": "ner-ru", "ready": False}),
        (503, {"name": "ner-auto", "ready": False}),
        (200, {"name": "ner-en", "ready": True}),
    ]


def test_entities_are_those_of_the_other_endpoint(harness: Any) -> None:
    texts = ["🙂 Maria Keller met Anna.", "", "\ud800Bo"]

    async def use(client: httpx.AsyncClient, made: Any) -> tuple[Any, Any]:
        bodies = {"id": "42", "inputs": [tensor(*texts)]}, {"text": texts, "language": "en"}
        answer, other = [
            await client.post(path, content=json.dumps(body), headers=JSON)
            for path, body in zip((INFER, "/v1/entities"), bodies, strict=True)
        ]
        return answer.json(), other.json()

    answer, other = ask(harness, use)
    (output,) = answer.pop("outputs")
    assert answer == {"model_name": "ner-en", "model_version": "1", "id": "42"}
    assert (output["name"], output["datatype"], output["shape"]) == ("entities", "BYTES", [3])
    assert [json.loads(each) for each in output["data"]] == [result["entities"] for result in other["results"]]
    assert output["data"][1] == "[]"
    assert json.loads(output["data"][0])[0]["text"] == "Maria Keller"


def test_the_model_auto_tells_the_language_of_each_text(harness: Any) -> None:
    answer = post(harness, {"inputs": [tensor("Anna", "Анна")]}, "/v2/models/ner-auto/infer").json()
    assert {name: answer[name] for name in answer if name != "outputs"} == {"model_name": "ner-auto"}
    assert [json.loads(each)[0]["text"] for each in answer["outputs"][0]["data"]] == ["Anna", "Анна"]


def test_parameters_are_the_options_of_the_entities(harness: Any) -> None:
    parameters = {"types": "PER,LOC", "legs": False, "offsets": "utf16", "min_score": 0.5, "binary_data_output": True}
    answer = post(harness, {"parameters": parameters, "inputs": [tensor("🙂 Anna")], "outputs": [{"name": "entities"}]})
    (entity,) = json.loads(answer.json()["outputs"][0]["data"][0])
    assert (entity["start"], entity["end"], "legs" in entity) == (3, 7, False)
    answer = post(harness, {"parameters": {"types": "LOC"}, "inputs": [tensor("Anna")]})
    assert answer.json()["outputs"][0]["data"] == ["[]"]


def test_no_texts_no_entities(harness: Any) -> None:
    answer = post(harness, {"inputs": [tensor()]}).json()
    assert answer == {
        "model_name": "ner-en",
        "outputs": [{"name": "entities", "datatype": "BYTES", "shape": [0], "data": []}],
    }


def test_a_content_type_may_be_left_out(harness: Any) -> None:
    assert post(harness, {"inputs": [tensor("Anna")]}, headers={}).status_code == 200


GOOD = {"inputs": [tensor("Anna")]}


@pytest.mark.parametrize(
    ("body", "path", "headers", "status", "words"),
    [
        (b"{", INFER, JSON, 400, "line 1"),
        (b"\xff", INFER, JSON, 400, "UTF-8"),
        (GOOD, INFER, {"content-type": "text/plain"}, 415, "application/json."),
        (GOOD, INFER, {"inference-header-content-length": "40"}, 415, "binary"),
        ([], INFER, JSON, 422, "must be an object"),
        ({}, INFER, JSON, 422, "inputs is missing"),
        ({"inputs": []}, INFER, JSON, 422, "inputs"),
        ({"inputs": [tensor("a"), tensor("b")]}, INFER, JSON, 422, "inputs"),
        ({"inputs": [tensor("a", name="input-0")]}, INFER, JSON, 422, "name must be 'text'"),
        ({"inputs": [tensor("a", datatype="FP32")]}, INFER, JSON, 422, "datatype must be 'BYTES'"),
        ({"inputs": [tensor("a", shape=[2])]}, INFER, JSON, 422, "shape is [2], but data has 1 texts"),
        ({"inputs": [tensor("a", shape=[1, 1])]}, INFER, JSON, 422, "shape"),
        ({"inputs": [tensor("a", shape=[])]}, INFER, JSON, 422, "shape"),
        ({"inputs": [tensor(5)]}, INFER, JSON, 422, "Each item of data"),
        ({"inputs": [tensor(["a"])]}, INFER, JSON, 422, "Each item of data"),
        ({"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES"}]}, INFER, JSON, 422, "data is missing"),
        (GOOD | {"outputs": [{"name": "tokens"}]}, INFER, JSON, 422, "name must be 'entities'"),
        (GOOD | {"id": 5}, INFER, JSON, 422, "id"),
        (GOOD | {"parameters": {"min_score": "high"}}, INFER, JSON, 422, "min_score"),
        (GOOD | {"parameters": {"types": "GPE"}}, INFER, JSON, 422, "known types are"),
        ({"inputs": [tensor(*["a"] * 5)]}, INFER, JSON, 413, "at most 4"),
        ({"inputs": [tensor("a" * 1001)]}, INFER, JSON, 413, "at most 1000"),
        (GOOD, "/v2/models/ner-de/infer", JSON, 404, "Models are: ner-auto, ner-en, ner-ru."),
        (GOOD, "/v2/models/ner-en/versions/7/infer", JSON, 404, "version 1 is"),
        (GOOD, "/v2/models/ner-auto/versions/1/infer", JSON, 404, "no versions"),
        (GOOD, "/v2/nothing", JSON, 404, "Not Found"),
        (GOOD, "/v2/health/live", JSON, 405, "Method Not Allowed"),
        (GOOD, INFER, JSON | {"origin": "https://elsewhere.example"}, 403, "other sites"),
        ({"inputs": [tensor("CRASH")]}, INFER, JSON, 502, "could not answer"),
        ({"inputs": [tensor("SLOW")]}, INFER, JSON, 504, "Send less text"),
    ],
)
def test_errors_are_in_the_form_of_the_protocol(
    harness: Any, body: Any, path: str, headers: dict[str, str], status: int, words: str
) -> None:
    answer = post(harness, body, path, headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["error"]
    assert words in answer.json()["error"]


def test_a_model_that_is_not_live_is_503_with_a_time_to_come_back(harness: Any) -> None:
    answers = [
        post(harness, GOOD, path, champions={"ru": "1"}) for path in (INFER, "/v2/models/ner-en/versions/1/infer")
    ]
    assert [(answer.status_code, "retry-after" in answer.headers) for answer in answers] == [(503, True)] * 2


def test_a_version_that_stops_being_live_does_not_answer_for_itself(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, made: Any) -> httpx.Response:
        first, second = made.backend("en"), tensor("WAIT")
        request = asyncio.create_task(client.post(INFER, json={"inputs": [second]}))  # holds the model
        await until(lambda: first.seen)
        versioned = client.post("/v2/models/ner-en/versions/1/infer", json={"inputs": [tensor("Anna")]})
        late = asyncio.create_task(versioned)
        await until(lambda: made.service.routes["en"].queue.waiting)
        await made.service.deploy("en", "2")
        first.held = False
        await request
        return await late

    answer = ask(harness, use, concurrency=1)
    assert (answer.status_code, "version 2 is" in answer.json()["error"]) == (404, True)


def test_texts_are_counted_and_refused_as_elsewhere(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, made: Any) -> tuple[str, int]:
        await client.post(INFER, json={"inputs": [tensor("Anna", "Bo")]})
        model = made.backend("en")
        busy = asyncio.create_task(client.post(INFER, json={"inputs": [tensor("WAIT")]}))
        await until(lambda: model.seen)
        refusal = await client.post(INFER, json=GOOD)
        model.held = False
        await busy
        return (await client.get("/metrics")).text, refusal.status_code

    metrics, status = ask(harness, use, concurrency=1, queue=0, limits=Limits(4, 1000, 5))
    assert status == 429
    assert 'ner_texts_total{language="en"} 3.0' in metrics
    assert 'ner_refusals_total{kind="busy"} 1.0' in metrics
    assert 'route="/v2/models/{name}/infer",status="200"' in metrics


def test_the_document_describes_the_protocol(harness: Any) -> None:
    ((_, document),) = get(harness, "/openapi.json")
    infer = document["paths"]["/v2/models/{name}/infer"]["post"]
    request = infer["requestBody"]["content"]["application/json"]["schema"]
    assert request["properties"]["inputs"]["items"]["properties"]["datatype"]["const"] == "BYTES"
    reference = {"$ref": "#/components/schemas/InferenceError"}
    assert infer["responses"]["422"]["content"]["application/json"]["schema"] == reference
    assert list(document["components"]["schemas"]["InferenceError"]["properties"]) == ["error"]
    assert list(infer["responses"]["403"]["content"]) == ["application/json"]
