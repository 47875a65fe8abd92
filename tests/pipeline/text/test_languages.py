"""Telling a text's language."""

import pytest

from multiner.pipeline.text.languages import cyrillic_share, detect, flags

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
        ("Ελλάδα, Ελλάδα, Ελλάδα: так греки зовут свою страну", "ru"),
    ],
)
def test_script_tells_the_language(text: str, language: str) -> None:
    assert detect(text, BOTH) == language


def test_the_first_language_is_the_fallback() -> None:
    assert detect("42", ["ru", "en"]) == "ru"
    assert detect("only Latin", ["ru"]) == "ru"
    assert detect("только кириллица", ["en"]) == "en"


def test_share_counts_letters_of_both_scripts_only() -> None:
    assert cyrillic_share("аб12 !! cd ελλάδα 東京") == 0.5
    assert cyrillic_share("1 2 3") is None


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Maria Keller lives in Lisbon. Dvořák, Ærø, ﬁn", "en", []),
        ("The word «Правда» means truth in Russian, as every visitor learns.", "en", []),
        ("Мария Келлер живёт в Лиссабоне.", "ru", []),
        ("Мария Келлер — Maria Keller", "ru", ["mixed"]),
        ("Мария Келлер живёт в Лиссабоне.", "en", ["mixed"]),
        ("東京都", "en", ["unsupported_script"]),
        ("Ελλάδα Россия Poland", "ru", ["mixed", "unsupported_script"]),
        ("12:30 — 🙂 \ud800", "en", []),
        ("", "en", []),
    ],
)
def test_flags(text: str, language: str, expected: list[str]) -> None:
    assert flags({language: text}, BOTH) == expected


def test_a_script_is_supported_by_the_languages_there_are() -> None:
    assert flags({"en": "Мария Келлер"}, ["en"]) == ["unsupported_script"]
