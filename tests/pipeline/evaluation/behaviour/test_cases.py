"""The suite's own form: every language's cases are well marked, enough, stable, and no text of a corpus."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path

import pytest

from multiner.pipeline.config.corpora import corpora_of
from multiner.pipeline.config.settings import load_params
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora import SPLITS, read_split
from multiner.pipeline.evaluation.behaviour import load_cases
from multiner.pipeline.evaluation.behaviour.cases import KINDS, expand, fill, parse
from multiner.pipeline.text.tokenizer import document_from_text

LANGUAGES = ["en", "ru"]
LEAST = 12  # cases of a capability
COMMON = {
    *("lower_case", "all_capitals", "headline", "punctuation", "quotes", "hyphenated", "initials", "emoji"),
    *("hashtags_mentions", "start_end", "lists", "tables", "no_names", "context", "swapped_names", "unseen_names"),
}
LONG = 5  # words from which on a sentence of a corpus is its own


@pytest.mark.parametrize(("language", "own"), [("en", {"diacritics"}), ("ru", {"inflection", "latin_names"})])
def test_each_capability_has_enough_cases_of_every_kind(language: str, own: set[str]) -> None:
    cases = load_cases(language)
    counts = Counter(case.capability for case in cases)
    assert set(counts) >= COMMON | own
    assert min(counts.values()) >= LEAST, counts
    assert {case.kind for case in cases} == set(KINDS)
    assert sum(case.must for case in cases) >= LEAST


@pytest.mark.parametrize("language", LANGUAGES)
def test_ids_are_unique_and_the_same_each_time(language: str) -> None:
    ids = [case.id for case in load_cases(language)]
    assert len(set(ids)) == len(ids)
    assert [case.id for case in load_cases(language)] == ids


@pytest.mark.parametrize("language", LANGUAGES)
def test_expected_entities_stand_on_words_and_never_overlap(language: str) -> None:
    for case in load_cases(language):
        for marked in filter(None, (case.base, case.text)):
            document = document_from_text(marked.text, language)
            starts, ends = {token.start for token in document.tokens}, {token.end for token in document.tokens}
            at = 0
            for place in marked.entities:
                name = marked.text[place.start : place.end]
                assert at <= place.start < place.end, marked
                assert name == name.strip()
                assert place.start in starts, (name, document.words())
                assert place.end in ends, (name, document.words())
                at = place.end


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_no_case_is_a_sentence_of_a_corpus(language: str, root: Path, corpora: Path) -> None:
    names = corpora_of(load_params(root, "cpu")["languages"][language])
    ours = {
        " ".join(document.words(sentence.start, sentence.end)).lower()
        for case in load_cases(language)
        for document in [document_from_text(case.text.text, language)]
        for sentence in document.sentences
        if sentence.end - sentence.start >= LONG
    }
    theirs = {
        " ".join(document.words(sentence.start, sentence.end)).lower()
        for corpus in names
        for split in SPLITS
        for document in read_split(corpora, corpus, split).documents
        for sentence in document.sentences
    }
    assert len(ours) > 100
    assert len(theirs) > 1000
    assert not ours & theirs


def test_types_that_a_model_does_not_know_are_not_asked() -> None:
    labels = {place.label for case in load_cases("en", ["PER"]) for place in case.text.entities}
    assert labels == {"PER"}


def test_a_language_without_a_suite_has_no_cases() -> None:
    assert load_cases("xx") == []


def test_marks_give_places_and_leave_the_text() -> None:
    marked = parse("🙂 [Ada Sterling](PER) left [Oslo](LOC).", "upper")
    assert marked.text == "🙂 ADA STERLING LEFT OSLO."
    assert [(marked.text[each.start : each.end], each.label) for each in marked.entities] == [
        ("ADA STERLING", "PER"),
        ("OSLO", "LOC"),
    ]


def test_a_change_of_length_moves_the_places() -> None:
    marked = parse("Straße [Groß](PER)", "upper")
    assert marked.text[marked.entities[0].start : marked.entities[0].end] == "GROSS"


@pytest.mark.parametrize("text", ["[Ada(PER) left", "[Ada](PER left", "Ada](PER)", "{who} left", "[[Ada](PER)]"])
def test_open_brackets_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="belongs to no mark"):
        parse(text)


def test_the_same_placeholder_is_the_same_name_in_its_form() -> None:
    names = {"city": [{"nom": "Псков", "gen": "Пскова"}, {"nom": "Томск", "gen": "Томска"}]}
    first = fill("{city} без {city.gen}, {city2}", names)
    assert first in ("Псков без Пскова, Томск", "Томск без Томска, Псков")
    assert fill("{city} без {city.gen}, {city2}", names, turn=1) != first


def test_a_further_template_leaves_the_other_cases_as_they_were() -> None:
    names = {"city": ["Oslo", "Lima", "Quito"]}
    few = {"names": names, "capabilities": {"a": [{"kind": "minimum", "texts": ["[{city}](LOC) it is."]}]}}
    more = copy.deepcopy(few)
    more["capabilities"]["a"][0]["texts"].insert(0, "Not [{city}](LOC).")
    assert set(expand(few)) < set(expand(more))


@pytest.mark.parametrize(
    ("check", "message"),
    [
        ({"kind": "maximum", "texts": ["a"]}, "unknown kind"),
        ({"kind": "minimum", "texts": ["a"], "case": "title"}, "unknown case"),
        ({"kind": "minimum", "texts": ["{town}"]}, "town"),
        ({"kind": "minimum", "text": ["a"]}, "text"),
        ({"kind": "minimum", "texts": ["a", "a"]}, "twice"),
        ({"kind": "direction", "texts": [["[Oslo](LOC)", "[Oslo](PER)"]]}, "different types"),
    ],
)
def test_a_wrong_file_names_the_capability(check: dict, message: str) -> None:
    with pytest.raises(NerError, match=message) as caught:
        expand({"names": {}, "capabilities": {"odd": [check]}}, "xx.yaml")
    assert "xx.yaml" in str(caught.value)
    assert "odd" in str(caught.value)
