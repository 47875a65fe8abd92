"""MLflow's own protocol through the gateway."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from multiner.serving.gateway.routes.invocations import read
from multiner.serving.http.payload import Limits
from multiner.serving.http.problems import Problem

JSON, CSV = "application/json", "text/csv"
ROOM = Limits(10, 1000, 5)


def ask(harness: Any, use: Callable[[httpx.AsyncClient, Any], Awaitable[Any]], **settings: Any) -> Any:
    async def main() -> Any:
        gateway = harness(**settings)
        async with gateway.client() as client:
            return await use(client, gateway)

    return asyncio.run(main())


def post(harness: Any, body: Any, media_type: str = JSON, language: str = "en", **settings: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    path, headers = f"/v1/{language}/invocations", {"content-type": media_type}
    return ask(harness, lambda client, _: client.post(path, content=content, headers=headers), **settings)


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        ({"inputs": ["Anna", "met Bo"]}, JSON),
        ({"dataframe_split": {"columns": ["text"], "data": [["Anna"], ["met Bo"]]}}, JSON),
        ({"dataframe_records": [{"text": "Anna"}, {"text": "met Bo"}]}, "Application/JSON; charset=utf-8"),
        (b"text\nAnna\nmet Bo\n", CSV),
    ],
)
def test_each_shape_is_passed_on_and_answered_as_mlflow_answers(harness: Any, body: Any, media_type: str) -> None:
    response = post(harness, body, media_type)
    assert response.status_code == 200
    assert response.headers["content-type"] == JSON
    assert response.headers["x-model"] == "ner-en/1"
    outcome = [[entity["text"] for entity in each["entities"]] for each in response.json()["predictions"]]
    assert outcome == [["Anna"], ["Bo"]]


@pytest.mark.parametrize(
    ("body", "media_type", "status", "kind"),
    [
        (b"{", JSON, 400, "malformed"),
        (b"\xff", CSV, 400, "malformed"),
        (b'text\n"open', CSV, 400, "malformed"),
        ([], JSON, 422, "invalid"),
        ({"text": ["Anna"]}, JSON, 422, "invalid"),
        ({"inputs": ["a"], "dataframe_records": []}, JSON, 422, "invalid"),
        ({"inputs": ["a"], "params": {"secret": 1}}, JSON, 422, "invalid"),
        ({"inputs": ["\ud800"]}, JSON, 422, "invalid"),
        ({"dataframe_split": ["a"]}, JSON, 422, "invalid"),
        ({"dataframe_records": {"text": "a"}}, JSON, 422, "invalid"),
        ({"inputs": [5, "secret"]}, JSON, 422, "invalid"),
        ({"inputs": ["a"] * 5}, JSON, 413, "too-large"),
        ({"inputs": ["a" * 1001]}, JSON, 413, "too-large"),
        (b"text\n" + b"a\n" * 5, CSV, 413, "too-large"),
        (b"x" * 50_000, JSON, 413, "too-large"),
        (b"PAR1", "application/vnd.apache.parquet", 415, "media-type"),
        ({"inputs": ["CRASH"]}, JSON, 502, "model-failed"),
        ({"inputs": ["SLOW"]}, JSON, 504, "timeout"),
        ({"inputs": ["DEAD"]}, JSON, 503, "no-model"),
    ],
)
def test_errors_are_problems(harness: Any, body: Any, media_type: str, status: int, kind: str) -> None:
    response = post(harness, body, media_type)
    assert response.status_code == status
    assert response.json()["type"] == f"urn:ner:problem:{kind}"
    for secret in ("Traceback", "/srv", "secret", "stack"):
        assert secret not in response.text


def test_only_languages_that_there_are(harness: Any) -> None:
    response = post(harness, {"inputs": []}, language="de")
    assert response.status_code == 404
    assert "en, ru" in response.json()["detail"]
    assert post(harness, {"inputs": []}, language="ru", champions={"en": "1"}).status_code == 503


READ = [
    ({"inputs": ["a", "b"]}, 2),
    ({"inputs": []}, 0),
    ({"inputs": [{"text": "a"}, {"text": "b"}]}, 2),
    ({"inputs": {"text": ["a", "b", "c"]}}, 3),
    ({"inputs": {"text": ["a", "b"], "id": [1, 2]}}, 2),
    ({"inputs": {"text": "a"}}, 1),
    ({"instances": [{"text": "a"}, {"text": "b"}]}, 2),
    ({"instances": {"text": ["a", "b"]}}, 2),
    ({"dataframe_split": {"columns": ["text"], "data": []}}, 0),
    ({"dataframe_split": {"columns": ["id", "text"], "index": [7, 8], "data": [[1, "a"], [2, None]]}}, 2),
    ({"dataframe_records": [{"text": "a"}, {"text": None}, {}]}, 3),
]


@pytest.mark.parametrize(("body", "rows"), READ)
def test_rows_are_counted_and_a_body_in_json_stays_as_it_is(body: Any, rows: int) -> None:
    content = json.dumps(body).encode()
    assert read(content, JSON, ROOM) == (rows, content)
    assert read(b"\xef\xbb\xbf" + content, JSON, ROOM) == (rows, content), "MLflow reads no byte order mark"


@pytest.mark.parametrize(
    ("table", "texts"),
    [
        ("text\nAnna\nmet Bo\n", ["Anna", "met Bo"]),
        ("text\rAnna\rmet Bo", ["Anna", "met Bo"]),
        ('\ufefftext\r\n"Анна Ветрова\r\nв Осло."\r\nМосква\r\n', ["Анна Ветрова\r\nв Осло.", "Москва"]),
        ('text\n"two\n\nlines"\n\n"said ""no"", then left"\n', ["two\n\nlines", 'said "no", then left']),
        ("id,text\n1,NA\n2,null\n3,007\n4\n", ["NA", "null", "007", ""]),
        ('text,note\n"Anna",\n"",x\n', ["Anna", ""]),
        ("text\nnul \0 stays\n", ["nul \0 stays"]),
    ],
)
def test_a_table_is_read_as_it_stands(table: str, texts: list[str]) -> None:
    rows, body = read(table.encode(), CSV, ROOM)
    assert rows == len(texts)
    assert json.loads(body) == {"dataframe_split": {"columns": ["text"], "data": [[text] for text in texts]}}


@pytest.mark.parametrize(
    ("table", "status", "says"),
    [
        ("", 422, "must name the columns, text once."),
        ("words\nAnna\n", 422, "must name the columns, text once."),
        ("text,text\na,b\n", 422, "must name the columns, text once."),
        ('text;note\r\n"Anna";x\r\n', 422, "not semicolons or tabs"),
        ("text\tnote\nAnna\tx\n", 422, "not semicolons or tabs"),
        ("text\nBo left.\nAnna, Bo, and Tam\n", 422, "Row 2 has 3 cells for 1 columns"),
        ('text\n"a"b\n', 400, "At line 2 a cell in quotes"),
        ('text\n"open\n', 400, "a cell in quotes does not end"),
        ("text\nАнна\n".encode("cp1251"), 400, "not UTF-8"),
        ("text\nAnna\n".encode("utf-16"), 400, "not UTF-8"),
        ("text\n" + "a " * 70_000, 413, "at most 1000"),
        ("text\n" + "a\n" * 11, 413, "at most 10"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_in_our_words(table: str | bytes, status: int, says: str) -> None:
    with pytest.raises(Problem) as raised:
        read(table if isinstance(table, bytes) else table.encode(), CSV, ROOM)
    assert (raised.value.status, raised.value.title.endswith("CSV")) == (status, status == 400)
    assert says in raised.value.detail


def test_a_cell_within_larger_limits_is_read_whatever_its_length() -> None:
    rows, body = read(b"text\n" + b"a" * 200_000, CSV, Limits(10, 1_000_000, 5))
    assert (rows, len(body)) == (1, len(b'{"dataframe_split": {"columns": ["text"], "data": [[""]]}}') + 200_000)


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": []},
        {"instances": []},
        {"inputs": {"text": []}},
        {"dataframe_records": []},
        {"dataframe_split": {"columns": ["text"], "data": []}},
        b"text\n",
        b"\xef\xbb\xbfid,text\r\n\r\n",
    ],
)
def test_no_rows_give_no_predictions(harness: Any, body: Any) -> None:
    response = post(harness, body, CSV if isinstance(body, bytes) else JSON)
    assert (response.status_code, response.json()) == (200, {"predictions": []})
    assert response.headers["x-model"] == "ner-en/1"


@pytest.mark.slow
@pytest.mark.parametrize(("body", "rows"), READ)
def test_mlflow_reads_as_many_rows_of_texts(body: dict[str, Any], rows: int) -> None:
    from mlflow.models.utils import _enforce_schema
    from mlflow.pyfunc.scoring_server import infer_and_parse_data

    from multiner.pipeline.inference.pyfunc import checked
    from multiner.pipeline.registry.packaging import signature

    schema = signature().inputs
    read = _enforce_schema(infer_and_parse_data(body, schema), schema)["text"].tolist()
    assert len(read) == rows
    assert {checked(text, row) for row, text in enumerate(read)} <= {"a", "b", "c", ""}


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"inputs": [["a"], ["b"]]}, "/inputs/0"),
        ({"inputs": ["a", 5]}, "/inputs/1"),
        ({"inputs": [None]}, "/inputs/0"),
        ({"inputs": [{"text": ["a"]}]}, "/inputs/0/text"),
        ({"inputs": "a"}, "/inputs"),
        ({"inputs": {"text": {"0": "a", "1": "b"}}}, "/inputs/text"),
        ({"inputs": {"text": ["a", ["b"]]}}, "/inputs/text/1"),
        ({"inputs": {"text": "a", "id": [1, 2]}}, "/inputs"),
        ({"inputs": {"text": ["a"], "id": {"0": 1}}}, "/inputs"),
        ({"inputs": {"texts": ["a"]}}, "/inputs"),
        ({"instances": [{"text": "a"}, {}]}, "/instances/1/text"),
        ({"dataframe_records": ["a"]}, "/dataframe_records/0"),
        ({"dataframe_records": [{"text": ["a"]}]}, "/dataframe_records/0/text"),
        ({"dataframe_split": {"data": [["a"]]}}, "/dataframe_split/columns"),
        ({"dataframe_split": {"columns": ["id", "text"], "data": [[1, "a"], [2, 3]]}}, "/dataframe_split/data/1/1"),
        ({"dataframe_split": {"columns": ["text"], "data": [["a", "b"]]}}, "/dataframe_split/data/0"),
        ({"dataframe_split": {"columns": ["text"], "index": [1, 2], "data": [["a"]]}}, "/dataframe_split/index"),
    ],
)
def test_what_is_no_text_is_refused_with_its_place_and_does_not_reach_the_model(
    harness: Any, body: dict[str, Any], where: str
) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> None:
        backend = gateway.backend("en")
        response = await client.post("/v1/en/invocations", json=body)
        assert (response.status_code, response.json()["type"]) == (422, "urn:ner:problem:invalid")
        assert response.json()["where"] == where
        assert backend.seen == []

    ask(harness, use)
