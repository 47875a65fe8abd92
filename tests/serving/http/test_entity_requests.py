"""The options of an answer: what is left out, and what offsets count."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from multiner.serving.http.entity_requests import UTF16, Offer, Options
from multiner.serving.http.payload import Limits
from multiner.serving.http.problems import Problem
from multiner.serving.page.form import Form

LEGS = {"transformer": {"start": 2, "end": 6, "label": "PER", "score": 0.9}, "spacy": {"start": None, "label": None}}
ANNA = {"start": 2, "end": 6, "text": "Anna", "label": "PER", "score": 0.5, "legs": LEGS}
OSLO = {"start": 7, "end": 11, "text": "Oslo", "label": "LOC", "score": None}
JSON = {"content-type": "application/json"}
TEXT = "🙂 Anna Oslo"


def post(harness: Any, body: Any) -> httpx.Response:
    async def main() -> httpx.Response:
        async with harness().client() as client:
            return await client.post(
                "/v1/entities", content=json.dumps(body), headers={"content-type": "application/json"}
            )

    return asyncio.run(main())


def texts(options: Options) -> list[str]:
    return [entity["text"] for entity in options.apply(TEXT, [ANNA, OSLO])]


def test_by_default_everything_is_told_as_it_was_found() -> None:
    assert Options().apply(TEXT, [ANNA, OSLO]) == [ANNA, OSLO]


def test_scores_and_types_narrow_the_answer() -> None:
    assert texts(Options(min_score=0.5)) == ["Anna"]
    assert texts(Options(min_score=0.51)) == []
    assert texts(Options(types=["LOC"])) == ["Oslo"]
    assert texts(Options(types=[])) == []


def test_legs_can_be_left_out() -> None:
    (outcome,) = Options(legs=False).apply(TEXT, [ANNA])
    assert outcome == {key: value for key, value in ANNA.items() if key != "legs"}
    assert "legs" in ANNA, "what was given is left as it was"


def test_utf16_counts_code_units_in_the_legs_too() -> None:
    anna, oslo = Options(offsets=UTF16).apply(TEXT, [ANNA, OSLO])
    assert (anna["start"], anna["end"], oslo["start"], oslo["end"]) == (3, 7, 8, 12)
    assert anna["legs"]["transformer"] == LEGS["transformer"] | {"start": 3, "end": 7}
    assert anna["legs"]["spacy"] == LEGS["spacy"]
    assert ANNA["legs"]["transformer"]["start"] == 2


def test_the_api_takes_them(harness: Any) -> None:
    body = {"text": TEXT, "min_score": 0.2, "types": ["PER"], "legs": False, "offsets": "utf16", "language": "en"}
    response = post(harness, body)
    assert response.status_code == 200
    assert response.json()["results"][0]["entities"] == [
        {"start": 3, "end": 12, "text": "Anna Oslo", "label": "PER", "score": 0.875}
    ]
    assert post(harness, body | {"min_score": 1}).json()["results"][0]["entities"] == []
    assert post(harness, body | {"types": None}).json() == response.json()


@pytest.mark.parametrize(
    ("wish", "where"),
    [
        ({"min_score": "0.5"}, "/min_score"),
        ({"min_score": True}, "/min_score"),
        ({"min_score": -0.1}, "/min_score"),
        ({"min_score": 1.01}, "/min_score"),
        ({"min_score": None}, "/min_score"),
        ({"types": "PER"}, "/types"),
        ({"types": ["PER", "DATE"]}, "/types/1"),
        ({"types": [["PER"]]}, "/types/0"),
        ({"types": ["MISC"], "language": "ru"}, "/types/0"),
        ({"legs": 1}, "/legs"),
        ({"offsets": "bytes"}, "/offsets"),
        ({"offsets": ["utf16"]}, "/offsets"),
    ],
)
def test_a_wrong_wish_is_refused_with_its_place(harness: Any, wish: dict[str, Any], where: str) -> None:
    response = post(harness, {"text": "Anna"} | wish)
    assert (response.status_code, response.json()["where"]) == (422, where)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ([], "The body must be an object."),
        ({}, "text is missing."),
        ({"text": 5}, "text must be a string or a list of strings."),
        ({"text": ["a", None]}, "Each item of text must be a valid string."),
        ({"text": "a", "colour": 1}, "Unknown field 'colour'; known are "),
        ({"text": "a", "\ud800" * 99: 1}, "The body must be valid Unicode."),
        ({"text": "a", "min_score": 2}, "min_score must be less than or equal to 1."),
        ({"text": "a", "offsets": "bytes"}, "offsets must be 'code_points' or 'utf16'."),
        ({"text": "a", "legs": 1}, "legs must be a valid boolean."),
        ({"text": "a", "language": "de"}, "language must be one of: auto, en, ru."),
    ],
)
def test_what_is_wrong_is_said_in_plain_words(harness: Any, body: Any, detail: str) -> None:
    response = post(harness, body)
    assert (response.status_code, response.json()["title"]) == (422, "The request is not valid")
    assert response.json()["detail"].startswith(detail)


@pytest.mark.parametrize("score", ["nan", "inf", "-inf", "much"])
def test_a_form_takes_no_other_score_than_a_number_from_0_to_1(score: str) -> None:
    with pytest.raises(Problem, match="min_score must be"):
        Form("Anna", min_score=score).item(Offer(["en"], Limits(4, 1000, 5), {}))


def test_known_types_are_named_and_auto_knows_all_of_them(harness: Any) -> None:
    assert "LOC, MISC, ORG, PER" in post(harness, {"text": "Anna", "types": ["DATE"]}).json()["detail"]
    assert "LOC, ORG, PER" in post(harness, {"text": "Anna", "types": ["MISC"], "language": "ru"}).json()["detail"]
    assert post(harness, {"text": "Anna", "types": ["MISC"]}).status_code == 200


def test_doubtful_scripts_are_flagged_and_answered_all_the_same(harness: Any) -> None:
    original = ["Anna in Oslo", "Анна in Oslo", "東京 Anna", "東京都"]
    results = post(harness, {"text": original}).json()["results"]
    assert [result.get("flags") for result in results] == [
        None,
        ["mixed"],
        ["unsupported_script"],
        ["unsupported_script"],
    ]
    assert [len(result["entities"]) for result in results] == [2, 2, 1, 0]
