"""Label Studio's ML backend: the bodies are those that label-studio 1.23.2 sends (label_studio/ml/api_connector.py)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from multiner.serving.http.payload import Limits

PREFIX = "/v1/en/label-studio"
CONFIG = """<View>
  <Labels name="ner" toName="document"><Label value="Person" predicted_values="PER"/><Label value="LOC"/></Labels>
  <Text name="document" value="$body"/>
</View>"""


def ask(harness: Any, use: Callable[[httpx.AsyncClient, Any], Awaitable[Any]], **settings: Any) -> Any:
    async def main() -> Any:
        gateway = harness(**settings)
        async with gateway.client() as client:
            return await use(client, gateway)

    return asyncio.run(main())


def post(harness: Any, path: str, body: Any, **settings: Any) -> httpx.Response:
    return ask(harness, lambda client, _: client.post(path, json=body), **settings)


def predict_body(*data: Any, config: str = CONFIG) -> dict[str, Any]:
    tasks = [
        {
            "id": number,
            "data": each,
            "meta": {},
            "created_at": "2026-01-01T00:00:00.000000Z",
            "is_labeled": False,
            "overlap": 1,
            "inner_id": number,
            "total_annotations": 0,
            "project": 1,
            "annotations": [],
            "predictions": [],
        }
        for number, each in enumerate(data, 1)
    ]
    parameters = {"login": None, "password": None, "context": None}
    return {"tasks": tasks, "project": "1.1767225600", "label_config": config, "params": parameters}


def setup_body(config: str = CONFIG) -> dict[str, Any]:
    return {
        "project": "1.1767225600",
        "schema": config,
        "hostname": "http://localhost:8080",
        "access_token": "0123456789abcdef",
        "extra_params": None,
    }


def test_a_project_is_connected(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> list[httpx.Response]:
        return [await client.get(f"{PREFIX}/health"), await client.post(f"{PREFIX}/setup", json=setup_body())]

    health, setup = ask(harness, use, champions={"en": "7", "ru": "2"})
    assert (health.status_code, health.json()) == (200, {"status": "UP", "model_class": "ner-en/7"})
    assert (setup.status_code, setup.json()) == (200, {"model_version": "ner-en/7"})


def test_tasks_are_predicted_with_the_names_of_the_interface(harness: Any) -> None:
    text = "🙂 Maria Keller met Anna."
    answer = post(harness, f"{PREFIX}/predict", predict_body({"body": text}, {"body": "nobody"}))
    assert answer.status_code == 200
    first, second = answer.json()["results"]
    assert [region["value"]["text"] for region in first["result"]] == ["Maria Keller", "Anna"]
    assert first["result"][0] == {
        "id": "entity-1",
        "from_name": "ner",
        "to_name": "document",
        "type": "labels",
        "value": {"start": 2, "end": 14, "text": "Maria Keller", "labels": ["Person"]},
        "score": 0.875,
    }
    assert first["model_version"] == "ner-en/1"
    assert second == {"model_version": "ner-en/1", "score": 1.0, "result": []}
    assert first["score"] < second["score"], "by the score a project's tasks are sorted: those in doubt first"


def test_both_languages_answer_for_auto(harness: Any) -> None:
    body = predict_body({"body": "Anna"}, {"body": "Анна"})
    answer = post(harness, "/v1/auto/label-studio/predict", body).json()["results"]
    assert [each["result"][0]["value"]["text"] for each in answer] == ["Anna", "Анна"]
    assert {each["model_version"] for each in answer} == {"ner-en/1,ner-ru/1"}


def test_types_without_a_label_are_left_out(harness: Any) -> None:
    config = CONFIG.replace(' predicted_values="PER"', "")
    (answer,) = post(harness, f"{PREFIX}/predict", predict_body({"body": "Anna"}, config=config)).json()["results"]
    assert answer["result"] == []


def test_more_tasks_than_texts_in_a_request_are_answered(harness: Any) -> None:
    """Label Studio sends all tasks that a user selects in one request."""
    body = predict_body(*({"body": f"Anna {number}"} for number in range(10)))
    results = post(harness, f"{PREFIX}/predict", body, limits=Limits(4, 1000, 5)).json()["results"]
    assert [each["result"][0]["value"]["text"] for each in results] == ["Anna"] * 10
    results = post(harness, f"{PREFIX}/predict", body, limits=Limits(4, 15, 5)).json()["results"]
    assert [each["result"][0]["value"]["text"] for each in results] == ["Anna"] * 10


def test_a_task_that_cannot_be_answered_leaves_the_others_theirs(harness: Any) -> None:
    body = predict_body({"other": 1}, {"body": "Anna"}, {"body": "Anna " * 10})
    first, second, third = post(harness, f"{PREFIX}/predict", body, limits=Limits(4, 20, 5)).json()["results"]
    assert first == third == []
    assert second["result"][0]["value"]["text"] == "Anna"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (predict_body({"text": "Anna"}), 422, "no text in the field 'body'"),
        (predict_body({"body": "Anna " * 300}), 413, "1500 characters; at most 1000"),
        (predict_body(*({"body": ""} for _ in range(33))), 413, "33 tasks; at most 32"),
        (predict_body({"body": "Anna"}, config="<View></View>"), 422, "is empty"),
        (predict_body({"body": "Anna"}, config="<View>"), 422, "not valid XML"),
        ({"tasks": []}, 422, "label_config"),
    ],
)
def test_what_cannot_be_predicted_is_refused(harness: Any, body: Any, status: int, words: str) -> None:
    answer = post(harness, f"{PREFIX}/predict", body)
    assert answer.status_code == status
    assert words in answer.json()["detail"]


def test_an_interface_that_does_not_fit_is_refused_when_the_project_is_connected(harness: Any) -> None:
    answer = post(harness, f"{PREFIX}/setup", setup_body('<View><Text name="a" value="$a"/></View>'))
    assert answer.status_code == 422
    assert (answer.json()["where"], "tag Labels" in answer.json()["detail"]) == ("/schema", True)
    assert post(harness, f"{PREFIX}/setup", setup_body("<View></View>")).status_code == 200, "it comes later"


def test_events_change_nothing_and_training_is_not_started_from_there(harness: Any) -> None:
    event = {"action": "ANNOTATION_CREATED", "annotation": {"id": 1}, "task": {"id": 1}, "project": {"id": 1}}
    answer = post(harness, f"{PREFIX}/webhook", event)
    assert (answer.status_code, answer.json()) == (200, {"status": "ignored"})
    answer = post(harness, f"{PREFIX}/webhook", {"action": "START_TRAINING", "project": {"id": 1}})
    assert answer.status_code == 422
    assert "ner corpus import" in answer.json()["detail"]


def test_without_a_live_model_a_project_cannot_be_connected(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> list[int]:
        return [
            (await client.get(f"{PREFIX}/health")).status_code,
            (await client.post(f"{PREFIX}/setup", json=setup_body())).status_code,
            (await client.get("/v1/xx/label-studio/health")).status_code,
        ]

    assert ask(harness, use, champions={"en": None, "ru": "1"}) == [503, 503, 404]
