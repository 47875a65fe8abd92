"""Entities begin and end with what can be seen, whatever the model took in."""

from __future__ import annotations

import asyncio
from typing import Any
from unicodedata import category

import pytest

from multiner.pipeline.text.span_trimming import trimmed, visible
from multiner.serving.routing.segmentation import merge_answers, split_by_language


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ("Angela Merkel", "Angela Merkel"),
        ("\ufeffAngela Merkel", "Angela Merkel"),
        ("\u202eAngela Merkel\u202c", "Angela Merkel"),
        ("Berlin\x00", "Berlin"),
        ("\u00a0\u3000Berlin \t\r\n\u2028", "Berlin"),
        ("\u00adBer\u00adlin\u00ad", "Ber\u00adlin"),
        ("\u200bنمی\u200cخواهم\u200c", "نمی\u200cخواهم"),
        ("👩\u200d👩\u200d👧", "👩\u200d👩\u200d👧"),
        ("«Ладога»", "«Ладога»"),
        ("Zoe\u0308", "Zoe\u0308"),
        ("\u200b\x00\ufeff", ""),
        ("", ""),
    ],
)
def test_invisible_edges_are_left_out_and_what_is_within_stays(text: str, inner: str) -> None:
    start, end = trimmed(f"a {text} b", 2, 2 + len(text))
    assert f"a {text} b"[start:end] == inner
    assert 2 <= start <= end <= 2 + len(text)


def test_what_legs_found_is_trimmed_alike_and_the_rest_is_kept() -> None:
    text = "\ufeffAnna\x00 met"
    view = {"start": 0, "end": 6, "label": "PER", "score": 0.5}
    nothing = {"start": 5, "end": 6, "label": "LOC", "score": 0.5}
    nulls = {"start": None, "end": None, "label": None, "score": None}
    legs = {"transformer": view, "spacy": nothing, "shipped": nulls}
    entity = {"start": 0, "end": 6, "text": text[:6], "label": "PER", "score": 0.9, "legs": legs}
    assert visible(text, entity) == {
        **{"start": 1, "end": 5, "text": "Anna", "label": "PER", "score": 0.9},
        "legs": {"transformer": view | {"start": 1, "end": 5}, "spacy": nulls, "shipped": nulls},
    }
    assert visible(text, entity | {"start": 5}) is None


def test_texts_in_two_languages_keep_exact_offsets() -> None:
    text = "\ufeffAnna Berg flew to Oslo at last.\nПотом \u202eАнна\u202c вернулась домой в Томск.\x00"
    parts = split_by_language(text, "auto", ["en", "ru"])
    assert len(parts) == 2
    answers = []
    for part in parts:
        spans = [(at, at + len(word)) for word in part.text.split(" ") if (at := part.text.index(word)) >= 0]
        outcome = [{"start": start, "end": end, "text": part.text[start:end], "label": "PER"} for start, end in spans]
        answers.append({"entities": [each for each in outcome if "\n" not in each["text"]]})
    result = merge_answers(text, parts, answers, [{}, {}])
    assert {"Anna", "Анна"} <= {entity["text"] for entity in result["entities"]}
    for entity in result["entities"]:
        assert entity["text"] == text[entity["start"] : entity["end"]]
        assert not {category(entity["text"][0]), category(entity["text"][-1])} & {"Cc", "Cf", "Zs"}


def greedy(text: str) -> list[dict[str, Any]]:
    """The whole text as one entity, as an old model may find it."""
    legs = {"spacy": {"label": "PER", "score": 0.5, "start": 0, "end": len(text)}}
    whole = {"start": 0, "end": len(text), "text": text, "label": "PER", "score": 0.5, "legs": legs}
    return [whole] if text else []


def test_the_gateway_answers_so_for_models_registered_before(harness: Any) -> None:
    texts = ["\ufeffAngela Merkel", "\u202eAngela Merkel\u202c", "Angela\u00ad Merkel\x00", "\u200b\ufeff"]

    async def main() -> list[list[dict[str, Any]]]:
        async with harness(find=greedy).client() as client:
            whole = await client.post("/v1/entities", json={"text": texts, "language": "en"})
            alone = [await client.post("/v1/entities", json={"text": text, "language": "en"}) for text in texts]
            assert [one.json()["results"][0] for one in alone] == whole.json()["results"], "alone as among others"
            return [result["entities"] for result in whole.json()["results"]]

    *outcome, none = asyncio.run(main())
    assert none == []
    places = [(entity["start"], entity["end"], entity["text"]) for (entity,) in outcome]
    assert places == [(1, 14, "Angela Merkel"), (1, 14, "Angela Merkel"), (0, 14, "Angela\u00ad Merkel")]
    assert [entity["legs"]["spacy"]["start"] for (entity,) in outcome] == [1, 1, 0]
