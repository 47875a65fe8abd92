"""Telling a text's language."""

import pytest

from serving.languages import cyrillic_share, detect

BOTH = ["en", "ru"]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Maria Keller lives in Lisbon.", "en"),
        ("Мария Келлер живёт в Лиссабоне.", "ru"),
        ("Компания Nordwind Shipping Holding открыла офис в городе", "ru"),
        ("The word «Правда» means truth in Russian, as every visitor learns.", "en"),
        ("Café Noël à Zürich", "en"),
        ("", "en"),
        ("12:30 — 🙂 \ud800", "en"),
        ("東京都", "en"),
        ("Ѐ", "ru"),
    ],
)
def test_script_tells_the_language(text: str, language: str) -> None:
    assert detect(text, BOTH) == language


def test_the_first_language_is_the_fallback() -> None:
    assert detect("42", ["ru", "en"]) == "ru"
    assert detect("only Latin", ["ru"]) == "ru"
    assert detect("только кириллица", ["en"]) == "en"


def test_share_counts_letters_only() -> None:
    assert cyrillic_share("аб12 !! cd") == 0.5
    assert cyrillic_share("1 2 3") is None
