"""Conversions of results: entities keep their text whatever the text holds."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiner import Entity, Model, Result, TokenTypes, to_pandas
from multiner.pipeline.core.iob2 import decode
from multiner.pipeline.text.surrogates import without_surrogates

MODEL = Model("ner-en", "1")
PIECES = ["Anna", "Bo's", "А.Б.", "U.S.", ". Da", "-", "/", "🙂🏽", "e\u0301", "\u200b", "\ud800", "\ud83d\ude42"]
PIECES += [" ", "  ", "\n", "\r\n\t", "\u00a0", "\u2028", "\x00"]


def result_of(text: str, *places: tuple[int, int], language: str = "en", **more: Any) -> Result:
    entities = tuple(Entity(start, end, text[start:end], "PER", **more) for start, end in places)
    return Result(text, language, MODEL, entities)


@st.composite
def results(draw: st.DrawFn) -> Result:
    """Any text with entities anywhere in it that begin and end with no blank, as a model's do."""
    piece = st.one_of(st.text(st.characters(), max_size=5), st.sampled_from(PIECES))
    text = "".join(draw(st.lists(piece, max_size=10)))
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=6)))
    places = [
        (start, end)
        for start, end in pairwise(cuts)
        if draw(st.booleans()) and not text[start].isspace() and not text[end - 1].isspace()
    ]
    return result_of(text, *places, language=draw(st.sampled_from(["en", "ru"])))


@given(results())
def test_an_entity_keeps_its_text_in_a_document_a_doc_and_conll(result: Result) -> None:
    texts = [entity.text for entity in result.entities]
    assert texts == [result.text[entity.start : entity.end] for entity in result.entities]

    document = result.to_document()
    assert document.text == result.text
    assert [document.span_text(span) for span in document.spans] == texts

    doc = result.to_doc()
    assert doc.text == without_surrogates(result.text)
    assert [doc.text[span.start_char : span.end_char] for span in doc.ents] == list(map(without_surrogates, texts))
    assert [span.text for span in doc.ents] == list(map(without_surrogates, texts))

    rows = [line.split(" ") for line in result.to_conll() if line]
    words = [word for word, _ in rows]
    spans = decode([label for _, label in rows])
    assert ["".join(words[span.start : span.end]) for span in spans] == ["".join(text.split()) for text in texts]


@given(results())
def test_json_there_and_back(result: Result) -> None:
    assert Result.from_json(result.to_json()) == result


def test_conll_parts_sentences_but_no_entity() -> None:
    text = "Anna-Maria came.\nBo\tLi left."
    result = result_of(text, (0, 4), (17, 22))
    assert result.to_conll() == ["Anna B-PER", "-Maria O", "came O", ". O", "", "Bo B-PER", "Li I-PER", "left O", ". O"]


def test_a_doc_has_sentences_and_scores() -> None:
    result = result_of("  Anna came.  Bo left.", (2, 6), (14, 16), score=0.25)
    doc = result.to_doc()
    assert [sentence.text.strip() for sentence in doc.sents] == ["Anna came.", "Bo left."]
    assert doc.spans["entities"].attrs == {"scores": [0.25, 0.25]}
    assert [(span.text, span.label_) for span in doc.spans["entities"]] == [("Anna", "PER"), ("Bo", "PER")]
    assert doc.vocab is result_of("x").to_doc().vocab, "Docs of a language can be gathered in a DocBin"


def test_a_tokenizer_of_ones_own_expands_entities_to_its_tokens() -> None:
    import spacy

    nlp = spacy.blank("en")
    doc = result_of("anti-Anna/Bobby 🙂", (5, 9), (10, 15)).to_doc(nlp)
    assert doc.vocab is nlp.vocab
    assert [token.text for token in doc] == [token.text for token in nlp("anti-Anna/Bobby 🙂")]
    whole = result_of("🙂 xAnnaBobx", (3, 7), (7, 10)).to_doc(nlp)
    assert [span.text for span in whole.ents] == ["xAnnaBobx"]
    assert [span.text for span in whole.spans["entities"]] == ["xAnnaBobx"] * 2


def test_a_table_has_a_row_an_entity() -> None:
    legs = {"spacy": {"label": "ORG", "score": 0.5}, "transformer": {"label": None, "score": None}}
    table = to_pandas([result_of("none"), result_of("Anna, Bo", (0, 4), (6, 8), score=0.75, legs=legs)])
    assert table[["result", "start", "end", "text", "label", "score", "spacy_label"]].values.tolist() == [
        [1, 0, 4, "Anna", "PER", 0.75, "ORG"],
        [1, 6, 8, "Bo", "PER", 0.75, "ORG"],
    ]
    assert to_pandas(result_of("Bo", (0, 2)))["version"].tolist() == ["1"]


def test_a_table_of_nothing_has_columns_and_their_types() -> None:
    table = to_pandas([])
    assert table.empty
    assert table.dtypes[["start", "score"]].astype(str).tolist() == ["int64", "float64"]


def test_fields_from_the_future_are_kept() -> None:
    line = {"text": "Bo", "language": "en", "model": {"name": "ner", "version": "1"}, "flags": ["long"]}
    entity = {"start": 0, "end": 2, "text": "Bo", "label": "PER", "score": None, "legs": {}, "rank": 1}
    result = Result.from_json(line | {"entities": [entity]})
    assert (result.extra, result.entities[0].extra) == ({"flags": ["long"]}, {"rank": 1})
    assert result.to_json() == line | {"entities": [entity]}


def test_results_are_values() -> None:
    result = result_of("Anna", (0, 4), legs={"spacy": {"label": "PER"}})
    assert {result, result_of("Anna", (0, 4), legs={"spacy": {"label": "PER"}})} == {result}
    with pytest.raises(AttributeError):
        result.text = "other"  # type: ignore[misc]


def test_tokens_and_the_models_of_two_languages_are_typed() -> None:
    text = "Anna. Анна живёт здесь."
    models = {"ru": {"name": "ner-ru", "version": "2"}, "en": {"name": "ner-en", "version": "1"}}
    entity = {"start": 6, "end": 10, "text": "Анна", "label": "PER", "score": 0.5, "legs": {}, "language": "ru"}
    token = {"start": 0, "end": 4, "text": "Anna", "probabilities": {"O": 0.25, "PER": 0.75}, "language": "en"}
    answer = {"text": text, "language": "ru", "model": models["ru"], "entities": [entity], "tokens": [token]}
    result = Result.from_json(answer | {"models": models})
    assert result.to_json() == answer | {"models": models}
    assert result.tokens == (TokenTypes(0, 4, "Anna", {"O": 0.25, "PER": 0.75}, "en"),)
    assert (result.entities[0].language, result.models["en"].version, result.extra) == ("ru", "1", {})
    other = Result.from_json(answer | {"models": models, "entities": [entity | {"language": "en"}]})
    assert to_pandas([result, other])[["language", "model", "version"]].values.tolist() == [
        ["ru", "ner-ru", "2"],
        ["en", "ner-en", "1"],
    ]
    assert Result.from_json({**answer, "tokens": None}).tokens is None
