"""Presidio's analyzer with our recogniser, by the real package."""

from __future__ import annotations

from typing import Any

import pytest
import spacy
from presidio_analyzer import AnalyzerEngine, EntityRecognizer, RecognizerRegistry
from presidio_analyzer.nlp_engine import SpacyNlpEngine

from multiner.pipeline.core.errors import NerError
from multiner.presidio import MultinerRecognizer
from tests.serving.client.conftest import FakeModel

TEXT = "🙂 Anna Ohm works for Ladoga in Oslo on a Norwegian ship."
NAMES = {"Anna Ohm": ("PER", 0.75), "Ladoga": ("ORG", 0.5), "Oslo": ("LOC", None), "Norwegian": ("MISC", 0.9)}


class BlankEngine(SpacyNlpEngine):
    """Tokens alone, of a pipeline that is not downloaded."""

    def __init__(self) -> None:
        super().__init__()
        self.nlp = {"en": spacy.blank("en")}


def analyze(recognizer: EntityRecognizer, text: str, **options: Any) -> list[Any]:
    engine = AnalyzerEngine(RecognizerRegistry([recognizer], supported_languages=["en"]), BlankEngine())
    return sorted(engine.analyze(text, language="en", **options), key=lambda each: each.start)


def test_presidio_gets_its_own_names_of_our_types(models: list[FakeModel]) -> None:
    results = analyze(MultinerRecognizer("ner-en"), TEXT)
    assert [(each.entity_type, TEXT[each.start : each.end], each.score) for each in results] == [
        ("PERSON", "Anna Ohm", 0.75),
        ("ORGANIZATION", "Ladoga", 0.5),
        ("LOCATION", "Oslo", 0.85),
    ]
    assert models[0].arguments == ("ner-en", None)
    assert results[0].recognition_metadata["recognizer_name"] == "MultinerRecognizer"
    assert results[0].recognition_metadata["model"] == "ner-en/3"


def test_only_what_is_asked_for_comes_back(models: list[FakeModel]) -> None:
    recognizer = MultinerRecognizer("ner-en", model_version="2", entities={"PER": "PERSON", "MISC": "NRP"})
    assert recognizer.get_supported_entities() == ["PERSON", "NRP"]
    assert models[0].arguments == ("ner-en", "2")
    assert [each.entity_type for each in analyze(recognizer, TEXT, entities=["NRP"])] == ["NRP"]
    assert [each.entity_type for each in analyze(recognizer, TEXT, score_threshold=0.8)] == ["NRP"]
    assert analyze(recognizer, "nobody") == []


def test_a_gateway_is_asked_in_the_language(models: list[FakeModel]) -> None:
    recognizer = MultinerRecognizer("http://127.0.0.1:8000", "ru")
    assert recognizer.analyze("Anna Ohm", [])[0].entity_type == "PERSON"
    assert models[0].language == "ru"


def test_a_model_of_another_language_is_refused(models: list[FakeModel]) -> None:
    with pytest.raises(NerError, match="the model's language is en, not ru"):
        MultinerRecognizer("ner-en", "ru")


def test_a_model_that_is_not_there_is_named(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NER_ROOT", raising=False)
    with pytest.raises(NerError):
        MultinerRecognizer("ner-xx")
