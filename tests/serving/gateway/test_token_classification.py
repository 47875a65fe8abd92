"""Hugging Face's token classification: grouped entities, and what is refused."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from multiner.serving.gateway.routes.token_classification import labelled_tokens


def post(harness: Any, body: Any, language: str = "en") -> httpx.Response:
    async def main() -> httpx.Response:
        async with harness().client() as client:
            return await client.post(f"/v1/{language}/token-classification", json=body)

    return asyncio.run(main())


def test_a_text_gives_its_entities_and_a_list_a_list_each(harness: Any) -> None:
    text = "🙂 Maria Keller met Anna."
    groups = post(harness, {"inputs": text}).json()
    assert [text[group["start"] : group["end"]] for group in groups] == ["Maria Keller", "Anna"]
    assert groups[0] == {
        "entity_group": "PER",
        "score": groups[0]["score"],
        "word": "Maria Keller",
        "start": 2,
        "end": 14,
    }
    assert post(harness, {"inputs": [text, ""]}).json() == [groups, []]
    assert post(harness, {"inputs": []}).json() == []


def test_parameters_that_mean_something_are_obeyed_and_others_ignored(harness: Any) -> None:
    parameters = {"aggregation_strategy": "max", "ignore_labels": ["PER"], "stride": 16}
    assert post(harness, {"inputs": "Anna", "parameters": parameters, "options": {"use_cache": False}}).json() == []


@pytest.mark.parametrize("strategy", ["simple", "first", "average", "max"])
def test_every_strategy_that_groups_pieces_gives_whole_entities(harness: Any, strategy: str) -> None:
    body = {"inputs": "Maria Keller met Anna.", "parameters": {"aggregation_strategy": strategy}}
    assert [group["word"] for group in post(harness, body).json()] == ["Maria Keller", "Anna"]


def test_without_aggregation_each_token_has_its_label(harness: Any) -> None:
    text = "🙂 Maria Keller met Anna."

    def tokens(**parameters: Any) -> list[dict[str, Any]]:
        return post(harness, {"inputs": text, "parameters": {"aggregation_strategy": "none"} | parameters}).json()

    labels = [(token["entity"], token["word"]) for token in tokens()]
    assert labels == [("B-PER", "Maria"), ("I-PER", "Keller"), ("B-PER", "Anna")]
    assert all(text[token["start"] : token["end"]] == token["word"] for token in tokens())
    assert tokens()[0] == {"entity": "B-PER", "score": 0.875, "index": 1, "word": "Maria", "start": 2, "end": 7}
    assert [token["entity"] for token in tokens(ignore_labels=[])] == ["B-PER", "I-PER", "O", "B-PER"]
    assert [token["word"] for token in tokens(ignore_labels=["O", "B-PER"])] == ["Keller"]
    assert tokens(ignore_labels=["O", "PER"]) == []


def test_a_token_that_an_entity_covers_in_part_belongs_to_it() -> None:
    chances = {"O": 0.25, "I-X": 0.75}
    tokens = [{"start": 0, "end": 5, "text": "\u00adAnna", "probabilities": chances},
              {"start": 6, "end": 9, "text": "sah", "probabilities": chances}]  # fmt: skip
    (token,) = labelled_tokens({"tokens": tokens, "entities": [{"start": 1, "end": 5, "label": "I-X"}]}, ["O"])
    assert (token["entity"], token["score"], token["index"]) == ("B-I-X", 0.75, 1)


def test_auto_tells_the_language(harness: Any) -> None:
    answer = post(harness, {"inputs": ["Anna", "Анна"]}, "auto").json()
    assert [[group["word"] for group in groups] for groups in answer] == [["Anna"], ["Анна"]]


@pytest.mark.parametrize(
    ("body", "language", "status", "words"),
    [
        ({"inputs": "Anna"}, "xx", 404, "Languages are: auto, en, ru."),
        ({"inputs": "Anna", "parameters": {"aggregation_strategy": "sum"}}, "en", 422, "'simple'"),
        ({"inputs": 1}, "en", 422, "inputs"),
        ({}, "en", 422, "inputs"),
        ([], "en", 422, "object"),
    ],
)
def test_what_is_refused_says_why(harness: Any, body: Any, language: str, status: int, words: str) -> None:
    answer = post(harness, body, language)
    assert answer.status_code == status
    assert words in answer.text
