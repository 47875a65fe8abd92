"""Telling a text's language."""

import subprocess
import sys

import pytest
from babel.core import get_global

from multiner.pipeline.text.languages import detect, flags, main_script
from multiner.pipeline.text.scripts import letters_in, script_of

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


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Die Firma Nordbank baut in Erlangen ein neues Werk.", "de"),
        ("Maria Keller lives in a small town near Lisbon.", "en"),
        ("DER MINISTER REIST NACH PARIS, UM DEN VERTRAG ZU UNTERSCHREIBEN.", "de"),
        ("Мария Келлер живёт в Лиссабоне.", "ru"),
        ("BMW", "en"),
        ("42", "en"),
    ],
)
def test_languages_of_one_script_are_told_apart(text: str, language: str) -> None:
    """And a text that could be in either has the first."""
    assert detect(text, ["en", "ru", "de"]) == language


def test_the_classifier_is_loaded_for_two_languages_of_a_script_alone() -> None:
    code = "import sys; from multiner.pipeline.text.languages import detect; detect('A text.', {}); "
    code += "print('py3langid' in sys.modules)"
    for languages, loaded in (("['en', 'ru']", "False"), ("['en', 'ru', 'de']", "True")):
        command = [sys.executable, "-c", code.replace("{}", languages)]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == loaded


def test_a_language_that_the_classifier_lacks_needs_its_name() -> None:
    assert detect("A text in some language.", ["dsb", "hsb"]) == "dsb"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Η Ελένη Παππά ζει στη Λισαβόνα.", "el"),
        ("Мария Келлер живёт в Лиссабоне.", "ru"),
        ("Олена Коваль живе у Львові, а працює в Києві.", "uk"),
        ("Maria Keller lives in Lisbon.", "en"),
        ("ماريا كيلر تعيش في لشبونة.", "ar"),
        ("マリア・ケラーはリスボンに住んでいる。", "ja"),
        ("გიორგი", "en"),
        ("凯勒住在里斯本。", "zh"),
        ("Η Nordwind Shipping Holding άνοιξε γραφεία", "el"),
        ("Ελλάδα значит Греция", "ru"),
    ],
)
def test_languages_of_any_script_are_told_apart(text: str, language: str) -> None:
    assert detect(text, ["en", "ru", "el", "uk", "ar", "ja", "zh"]) == language


def test_scripts_are_those_of_cldr() -> None:
    codes = {
        "en": "Latn",
        "ru": "Cyrl",
        "el": "Grek",
        "ja": "Jpan",
        "zh": "Hani",
        "yue": "Hani",
        "gml": "Latn",
        "xx": "Latn",
    }
    assert {language: script_of(language) for language in codes} == codes
    assert letters_in("аб12 !! cd ελλάδα 東京カ", ["Cyrl", "Latn"]) == 4
    assert letters_in("аб12 !! cd ελλάδα 東京カ", ["Jpan"]) == 3
    assert letters_in("e\u0301ª_2", ["Latn"]) == 2, "a mark is no letter"


def test_every_script_of_cldrs_languages_has_its_letters() -> None:
    codes = get_global("likely_subtags").keys()
    assert len(codes) > 1000
    assert all(letters_in("1", [script_of(code)]) == 0 for code in codes)


def test_the_main_script_is_one_of_those_asked_for_or_latin() -> None:
    assert main_script("аб12 !! cd ελλάδα 東京", ["Cyrl"]) == "Cyrl"
    assert main_script("абв12 !! word, word", ["Cyrl"]) == "Latn"
    assert main_script("1 2 3 ελλάδα", ["Cyrl"]) is None


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
    assert flags({"el": "Η Ελένη Παππά"}, ["en", "el"]) == []
    assert flags({"en": "Η Ελένη Παππά"}, ["en", "el"]) == ["mixed"]
    assert flags({"en": "Мария Келлер"}, ["en"]) == ["unsupported_script"]
