"""Tokens with probabilities: asked for, passed to the model, answered, or refused by name."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from multiner.serving.answers import ModelFailed, check_predictions

TEXT = "🙂 Anna saw\r\nOslo \ud800"


def post(harness: Any, body: Any, path: str = "/v1/entities", **gateway: Any) -> httpx.Response:
    async def main() -> httpx.Response:
        async with harness(**gateway).client() as client:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            kind = "application/jsonl" if path.endswith("stream") else "application/json"
            return await client.post(path, content=content, headers={"content-type": kind})

    return asyncio.run(main())


def test_tokens_come_where_they_are_asked_for(harness: Any) -> None:
    assert "tokens" not in post(harness, {"text": TEXT}).json()["results"][0]
    (result,) = post(harness, {"text": TEXT, "tokens": True, "min_score": 1, "types": []}).json()["results"]
    assert result["entities"] == []
    assert [token["text"] for token in result["tokens"]] == ["Anna", "saw", "Oslo"]
    assert all(TEXT[token["start"] : token["end"]] == token["text"] for token in result["tokens"])
    assert result["tokens"][0]["probabilities"] == {"O": 0.125, "PER": 0.875}


def test_tokens_are_counted_as_entities_are(harness: Any) -> None:
    (result,) = post(harness, {"text": TEXT, "tokens": True, "offsets": "utf16"}).json()["results"]
    assert (result["tokens"][0]["start"], result["entities"][0]["start"]) == (3, 3)


def test_the_lines_of_a_stream_ask_each_for_itself(harness: Any) -> None:
    lines = post(harness, b'{"text": "Anna", "tokens": true}\n"Anna"\n', "/v1/entities/stream").text.splitlines()
    assert ["tokens" in json.loads(line) for line in lines] == [True, False]


def test_a_version_without_tokens_says_so_and_answers_all_else(harness: Any) -> None:
    old = {"old_versions": {"1"}}
    response = post(harness, {"text": "Anna", "tokens": True}, **old)
    problem = response.json()
    assert (response.status_code, problem["type"]) == (409, "urn:ner:problem:no-tokens")
    assert "Ner-en version 1" in problem["detail"]
    assert post(harness, {"text": "Anna"}, **old).json() == post(harness, {"text": "Anna"}).json()


@pytest.mark.parametrize("wish", [1, "true", None])
def test_only_true_and_false(harness: Any, wish: Any) -> None:
    response = post(harness, {"text": "Anna", "tokens": wish})
    assert (response.status_code, response.json()["where"]) == (422, "/tokens")


@pytest.mark.parametrize(
    "tokens",
    [
        None,
        ["Anna"],
        [{"start": 0, "end": 9, "text": "Anna", "probabilities": {}}],
        [{"start": 0, "end": 4, "text": "Anne", "probabilities": {}}],
        [{"start": 0, "end": 4, "text": "Anna", "probabilities": None}],
        [{"start": 0, "end": 4, "text": "Anna", "probabilities": {"O": 1.5}}],
        [{"start": 2, "end": 4, "text": "na", "probabilities": {}}, {"start": 0, "end": 2, "text": "An"}],
    ],
)
def test_tokens_out_of_form_are_refused(tokens: Any) -> None:
    with pytest.raises(ModelFailed):
        check_predictions(["Anna"], [{"entities": [], "tokens": tokens}])


@pytest.mark.parametrize("extra", [{"params": {"cancel": "ab"}}, {"params": {}}, {"messages": []}])
def test_nobody_speaks_to_the_model_past_the_gateway(harness: Any, extra: dict[str, Any]) -> None:
    response = post(harness, {"inputs": ["Anna"]} | extra, "/v1/en/invocations")
    assert response.status_code == 422
    assert response.json().get("where") == ("/params" if "params" in extra else None)
