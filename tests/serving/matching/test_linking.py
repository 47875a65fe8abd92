"""Mentions of one entity, linked over a text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiner.serving.matching.linking import link

Entity = dict[str, object]
CASES = [
    ("PER", "Анна Ветрова", "Анны Ветровой", "Анне Ветровой", "Анну Ветрову", "Анной Ветровой", "Ветрова", "Анне"),
    ("PER", "Лев Толстой", "Льва Толстого", "Льву Толстому", "Львом Толстым", "Льве Толстом", "Толстого"),
    ("PER", "Павел Донцов", "Павла Донцова", "Павлу Донцову", "Павлом Донцовым", "Павле Донцове", "П. Донцов"),
    ("LOC", "Архангельск", "Архангельска", "Архангельску", "Архангельском", "Архангельске"),
    ("LOC", "Нижний Новгород", "Нижнего Новгорода", "Нижнему Новгороду", "Нижним Новгородом", "Нижнем Новгороде"),
    ("LOC", "Соединённые Штаты", "Соединенных Штатов", "Соединённым Штатам", "Соединёнными Штатами"),
    ("ORG", "Министерство обороны", "Министерства обороны", "Министерству обороны", "Министерством обороны"),
    ("ORG", "Газпром", "«Газпрома»", "Газпрому", "ГАЗПРОМ"),
    ("PER", "Anna Berg", "ANNA BERG", "Berg", "Anna", "A. Berg", "Berg's"),
    ("ORG", "United Nations", "the United Nations", "UNITED NATIONS"),
]


def entities(*mentions: tuple[str, str]) -> list[Entity]:
    return [{"text": text, "label": label, "start": 100 * at} for at, (label, text) in enumerate(mentions)]


@pytest.mark.parametrize("case", CASES, ids=[case[1] for case in CASES])
def test_the_forms_of_a_name_are_one_name(case: tuple[str, ...]) -> None:
    label, *forms = case
    (name,) = link(entities(*((label, form) for form in forms)))
    assert name.mentions == tuple(range(len(forms)))
    assert name.text == forms[0]


def test_names_of_several_cases_stay_apart() -> None:
    mentions = [(case[0], form) for case in CASES for form in case[1:]]
    names = link(entities(*mentions))
    assert [name.text for name in names] == [case[1] for case in CASES]


def test_a_name_of_two_types_is_two_names() -> None:
    names = link(entities(("LOC", "Washington"), ("PER", "Washington"), ("LOC", "Washington")))
    assert [(name.label, name.mentions) for name in names] == [("LOC", (0, 2)), ("PER", (1,))]


def test_a_part_that_fits_two_persons_joins_neither() -> None:
    names = link(entities(("PER", "Anna Berg"), ("PER", "Tom Berg"), ("PER", "Berg")))
    assert [name.mentions for name in names] == [(0,), (1,), (2,)]


MENTIONS = st.lists(
    st.tuples(
        st.sampled_from(["PER", "LOC"]),
        st.sampled_from([form for case in CASES for form in case[1:]]) | st.text(max_size=12),
    ),
    max_size=25,
)


@given(MENTIONS)
def test_each_entity_is_in_one_name_of_its_type(mentions: list[tuple[str, str]]) -> None:
    given_entities = entities(*mentions)
    names = link(given_entities)
    assert sorted(at for name in names for at in name.mentions) == list(range(len(mentions)))
    assert all(given_entities[at]["label"] == name.label for name in names for at in name.mentions)
    assert [name.mentions[0] for name in names] == sorted(name.mentions[0] for name in names)
    number = {at: place for place, name in enumerate(names) for at in name.mentions}
    by_mention: dict[tuple[str, str], set[int]] = {}
    for at, mention in enumerate(mentions):
        by_mention.setdefault(mention, set()).add(number[at])
    assert all(len(places) == 1 for places in by_mention.values()), "equal mentions are one name"


@given(MENTIONS, st.integers(1, 10**6))
def test_where_a_text_stands_does_not_matter(mentions: list[tuple[str, str]], shift: int) -> None:
    moved = [{**entity, "start": int(str(entity["start"])) + shift} for entity in entities(*mentions)]
    assert [name.mentions for name in link(moved)] == [name.mentions for name in link(entities(*mentions))]


def test_a_name_of_very_many_words_does_no_harm() -> None:
    assert len(link(entities(("PER", "Анна " * 20_000), ("PER", "Анна")))) == 1
