"""factRuEval-2016's rules, case by case on invented documents, and the matching against a search of all matchings."""

from __future__ import annotations

from itertools import combinations, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiner.pipeline.core.document import Document, Span, from_words
from multiner.pipeline.corpora.factrueval import AnnotatedObject
from multiner.pipeline.evaluation.factrueval_official import GoldObject, Signs, credit, match, official_scores

TYPES = ["PER", "LOC", "ORG"]
WORDS = ["мэр", "города", "Ветрянска", "Ада", "Лунина", "из", "завода", "Маяк", "уехала", "вчера"]
TEXT = from_words("book_1", [WORDS])
MAYOR = AnnotatedObject("Person", (("job", 0, 3), ("name", 3, 4), ("surname", 4, 5)))
PLANT = AnnotatedObject("Org", (("org_descr", 6, 7), ("org_name", 7, 8)))
CITY = AnnotatedObject("LocOrg", (("loc_descr", 1, 2), ("loc_name", 2, 3)))


def scored(objects: list[AnnotatedObject], *spans: Span, document: Document = TEXT) -> tuple[float, float, int]:
    """Precision, recall and support over all types."""
    result = official_scores([document], [objects], [list(spans)], TYPES)
    return result["precision"], result["recall"], result["support"]


@pytest.mark.parametrize("span", [Span(7, 8, "ORG"), Span(6, 8, "ORG")])
def test_a_descriptor_weighs_nothing_found_or_missed(span: Span) -> None:
    assert scored([PLANT], span) == (100, 100, 1)


def test_any_other_token_is_a_false_positive() -> None:
    # one name token found, one token outside the object
    assert scored([PLANT], Span(7, 9, "ORG")) == (50, 50, 1)


def test_half_a_name_is_half_a_point() -> None:
    assert scored([MAYOR], Span(4, 5, "PER")) == (50, 50, 1)


def test_another_type_does_not_match() -> None:
    assert scored([PLANT], Span(7, 8, "LOC")) == (0, 0, 1)


def test_locorg_is_a_location() -> None:
    assert scored([CITY], Span(2, 3, "LOC")) == (100, 100, 1)
    assert scored([CITY], Span(2, 3, "ORG")) == (0, 0, 1)


def test_an_unnamed_object_counts_for_nothing_and_neither_does_its_match() -> None:
    unnamed = AnnotatedObject("Org", (("org_descr", 6, 7),))
    assert scored([unnamed, MAYOR], Span(6, 7, "ORG"), Span(3, 5, "PER")) == (100, 100, 1)
    assert scored([unnamed, MAYOR], Span(3, 5, "PER")) == (100, 100, 1)


def test_an_embedded_object_counts_for_nothing() -> None:
    plant_of_city = AnnotatedObject("Org", (("org_descr", 1, 2), ("org_name", 2, 4)))
    inside = AnnotatedObject("Location", (("loc_name", 2, 3),))
    assert scored([plant_of_city, inside], Span(2, 4, "ORG")) == (100, 100, 1)
    assert scored([plant_of_city, inside], Span(2, 4, "ORG"), Span(2, 3, "LOC")) == (100, 100, 1)
    # an organisation inside a person is no embedded one: persons host nothing
    assert scored([MAYOR, AnnotatedObject("Org", (("org_name", 2, 3),))], Span(3, 5, "PER"))[2] == 2


def test_of_objects_with_equal_tokens_one_counts() -> None:
    both = [AnnotatedObject(type_, (("org_name", 7, 8),)) for type_ in ("Org", "Location")]
    assert scored(both, Span(7, 8, "ORG")) == (100, 100, 1)
    assert scored(both)[2] == 1
    # as in the task's scripts, an organisation gives way to no location
    assert scored(both, Span(7, 8, "LOC")) == (100, 50, 2)
    twice = [PLANT, PLANT]
    assert scored(twice, Span(6, 8, "ORG")) == (100, 100, 1)
    assert scored(twice)[2] == 1


def test_projects_and_facilities_are_no_gold() -> None:
    assert scored([AnnotatedObject("Project", (("prj_name", 7, 8),))], Span(7, 8, "ORG")) == (0, 100, 0)


def test_each_object_is_matched_once() -> None:
    assert scored([MAYOR], Span(3, 4, "PER"), Span(4, 5, "PER")) == (25, 50, 1)


def test_signs_without_a_blank_on_some_side_are_no_part_of_a_prediction() -> None:
    words = ["завод", "«", "Маяк", "»", "встал"]
    text = "завод «Маяк» встал"
    from multiner.pipeline.core.document import Sentence, Token

    at, tokens = 0, []
    for word in words:
        at = text.index(word, at)
        tokens.append(Token(at, at + len(word)))
        at += len(word)
    document = Document("book_2", text, tuple(tokens), (Sentence(0, 5),))
    gold = [AnnotatedObject("Org", (("org_descr", 0, 1), ("org_name", 2, 3)))]
    assert scored(gold, Span(0, 4, "ORG"), document=document) == (100, 100, 1)
    assert scored(gold, Span(1, 4, "ORG"), document=document) == (100, 100, 1)
    assert scored(gold, Span(2, 5, "ORG"), document=document) == (50, 50, 1)


def test_nothing_to_find_and_nothing_found_is_right() -> None:
    assert official_scores([TEXT], [[]], [[]], TYPES)["f1"] == 100


def test_counts_add_up_over_documents_and_types() -> None:
    result = official_scores([TEXT, TEXT], [[MAYOR, PLANT], [PLANT]], [[Span(3, 5, "PER")], [Span(7, 9, "ORG")]], TYPES)
    assert result["per_type"]["PER"] == {"f1": 100.0, "precision": 100.0, "recall": 100.0, "support": 1}
    assert result["per_type"]["ORG"] == {"f1": 33.3333, "precision": 50.0, "recall": 25.0, "support": 2}
    assert (result["precision"], result["recall"], result["support"]) == (75.0, 50.0, 3)


NO_SIGNS = Signs(frozenset(), frozenset())
TOKENS = st.frozensets(st.integers(0, 5), min_size=1, max_size=4)
OBJECTS = st.lists(
    st.builds(
        lambda tokens, has_name, embedded: GoldObject("PER", tokens, tokens if has_name else frozenset(), embedded, ()),
        *(TOKENS, st.booleans(), st.booleans()),
    ),
    max_size=4,
)


def f1(gold: list[GoldObject], guesses: list[frozenset[int]], pairs: list[tuple[int, int]]) -> float:
    points = sum(credit(gold[row], guesses[column], NO_SIGNS) for row, column in pairs if not gold[row].void)
    size = sum(not one.void for one in gold) + len(guesses) - sum(gold[row].void for row, _ in pairs)
    return 2 * points / size if size else 1.0


@given(OBJECTS, st.lists(TOKENS, max_size=4))
def test_no_matching_has_a_higher_f1(gold: list[GoldObject], guesses: list[frozenset[int]]) -> None:
    fits = {(row, column) for row, one in enumerate(gold) for column, guess in enumerate(guesses) if one.tokens & guess}
    equal = {(row, column) for row, column in fits if gold[row].tokens == guesses[column]}
    candidates = [
        list(zip(rows, columns, strict=True))
        for size in range(min(len(gold), len(guesses)) + 1)
        for rows in combinations(range(len(gold)), size)
        for columns in permutations(range(len(guesses)), size)
    ]
    candidates = [pairs for pairs in candidates if set(pairs) <= fits]
    most = max(len(equal & set(pairs)) for pairs in candidates)
    best = max(f1(gold, guesses, pairs) for pairs in candidates if len(equal & set(pairs)) == most)
    matches = [(row, column) for row, column, _ in match(gold, ["PER"] * len(guesses), guesses, NO_SIGNS)]
    assert f1(gold, guesses, matches) == pytest.approx(best)
