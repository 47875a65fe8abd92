"""The golden samples themselves, and how answers are held against them."""

from __future__ import annotations

import pytest

from multiner.pipeline.inference import golden
from multiner.pipeline.inference.golden import GoldenSample, form_breaches, judge

TYPES = ["PER", "LOC"]


def entity(start: int, end: int, text: str, label: str = "PER", score: float = 0.9) -> dict:
    return {"start": start, "end": end, "text": text, "label": label, "score": score, "legs": {}}


@pytest.mark.parametrize("language", ["en", "ru"])
def test_every_expected_entity_stands_once_in_its_text(language: str) -> None:
    golden_samples = golden.samples(language)
    assert sum(len(sample.entities) for sample in golden_samples) >= 10
    for sample in golden_samples:
        for text, _ in sample.entities:
            assert sample.text.count(text) == 1


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_odd_texts_are_among_them(language: str) -> None:
    texts = [sample.text for sample in golden.samples(language)]
    assert "" in texts
    assert any(text and not text.strip() for text in texts)
    assert any("🙂" in text and "\r\n" in text and "\u200b" in text and "\u0301" in text for text in texts)


def test_a_new_language_is_asked_for_form_only() -> None:
    golden_samples = golden.samples("de")
    assert golden_samples
    assert not any(sample.entities for sample in golden_samples)


def test_a_right_answer_has_no_breaches() -> None:
    assert form_breaches("🙂 Ada", {"entities": [entity(2, 5, "Ada")]}, TYPES) == []


@pytest.mark.parametrize(
    ("answer", "breach"),
    [
        ({"entities": [entity(3, 6, "Ada")]}, "outside"),
        ({"entities": [entity(1, 4, "Ada")]}, "do not match"),
        ({"entities": [entity(2, 5, "Ada", label="X")]}, "unknown label"),
        ({"entities": [entity(2, 5, "Ada", score=1.5)]}, "outside of 0 to 1"),
        ({"entities": [entity(2, 5, "Ada"), entity(2, 5, "Ada")]}, "overlap"),
        ({"entities": [entity(2, 5, "Ada", score=float("nan"))]}, "no JSON"),
        ({"entities": [{"start": 2}]}, "missing"),
        ({"entities": None}, "no list"),
        ([], "no list"),
        ({"entities": {1, 2}}, "no JSON"),
    ],
)
def test_breaches_of_form_are_named(answer: object, breach: str) -> None:
    assert breach in form_breaches("🙂 Ada", answer, TYPES)[0]


def test_an_empty_text_has_no_entities() -> None:
    assert "entities in an empty text" in form_breaches("   ", {"entities": [entity(0, 1, " ")]}, TYPES)


def test_judge_counts_what_was_found_and_names_what_was_missed() -> None:
    golden_samples = [GoldenSample("Ada left.", (("Ada", "PER"),)), GoldenSample("In Oslo.", (("Oslo", "LOC"),))]
    result = judge(golden_samples, [{"entities": [entity(0, 3, "Ada")]}, {"entities": []}], TYPES)
    assert (result.breaches, result.expected, result.found, result.missed) == ([], 2, 1, ["LOC Oslo"])
    assert result.share == 0.5


def test_judge_refuses_a_wrong_number_of_answers() -> None:
    assert judge([GoldenSample("a", ())], [], TYPES).breaches
