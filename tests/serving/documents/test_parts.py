"""Long texts in parts."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiner.serving.documents.parts import merge, split

EN, RU = {"name": "ner-en", "version": "3"}, {"name": "ner-ru", "version": "2"}


@given(st.text(alphabet="aя .\n😀", max_size=200), st.integers(2, 50))
def test_parts_cover_the_text_and_none_is_too_long(text: str, most: int) -> None:
    parts = split(text, most)
    assert "".join(text[start:end] for start, end in parts) == text
    assert all(before[1] == after[0] for before, after in pairwise(parts))
    assert all(end - start <= most for start, end in parts)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("Anna. Tom\nleft Oslo\n\nfor good. It\nrained.", "Anna. Tom\nleft Oslo\n\n"),
        ("Anna and Tom left\nOslo. It rained there.", "Anna and Tom left\n"),
        ("Anna and Tom left. It rained there.", "Anna and Tom left. "),
        ("Anna and Tom left Oslo for good", "Anna and Tom left Oslo for "),
        ("a" * 60, "a" * 27),
    ],
)
def test_a_part_ends_where_it_does_least_harm(text: str, first: str) -> None:
    start, end = split(text, 27)[0]
    assert text[start:end] == first


def entity(start: int, end: int, text: str) -> dict[str, object]:
    legs = {"spacy": {"start": start, "end": end, "label": "PER"}, "transformer": {"start": None, "label": None}}
    return {"start": start, "end": end, "text": text, "label": "PER", "legs": legs}


def test_answers_to_parts_become_one() -> None:
    english = {"language": "en", "model": EN, "entities": [entity(0, 4, "Anna")], "flags": ["mixed"]}
    russian = {"language": "ru", "model": RU, "entities": [entity(0, 4, "Анна")], "flags": ["mixed"]}
    result = merge([(0, 10), (10, 30)], [english, russian])
    assert result["language"] == "ru"
    assert result["model"] == RU
    assert result["models"] == {"en": EN, "ru": RU}
    assert result["flags"] == ["mixed"]
    assert [(each["start"], each["end"], each["language"]) for each in result["entities"]] == [
        (0, 4, "en"),
        (10, 14, "ru"),
    ]
    assert result["entities"][1]["legs"]["spacy"]["start"] == 10
    assert result["entities"][1]["legs"]["transformer"]["start"] is None


def test_in_one_language_the_answer_is_as_to_one_text() -> None:
    parts = [{"language": "en", "model": EN, "entities": [entity(0, 4, "Anna")]}] * 2
    result = merge([(0, 5), (5, 9)], parts)
    assert result == {"language": "en", "model": EN, "entities": [entity(0, 4, "Anna"), entity(5, 9, "Anna")]}
