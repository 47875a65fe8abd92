"""Persons have their initials; written surname first they are one span, where the words agree."""

import pytest

from multiner.pipeline.core.document import Span
from multiner.pipeline.ensemble.russian_persons import complete_persons
from multiner.pipeline.text.tokenizer import document_from_text


def names(text: str, *persons: str, label: str = "PER") -> list[str]:
    """The spans of ``text``, of which models have found ``persons``, after the rule."""
    document = document_from_text(text, "ru")
    words = document.words()
    spans = []
    for name in persons:
        size = len(name.split())
        start = next(at for at in range(len(words)) if words[at : at + size] == name.split())
        spans.append(Span(start, start + size, label, 0.9 - 0.1 * len(spans)))
    return [document.span_text(span) for span in complete_persons(document, spans)]


@pytest.mark.parametrize(
    ("surname", "given"),
    [
        ("Сойкина", "Татьяна"),
        ("Сойкина", "Любовь"),
        ("Сойкин", "Игорь"),
        ("Ветров", "Илья"),
        ("Ветрова", "Петра"),
        ("Ветрову", "Анну"),
        ("Ветрову", "Андрею"),
        ("Ветровым", "Иваном"),
        ("Ветровой", "Марии"),
        ("Ветровой", "Анной"),
        ("Ветрове", "Петре"),
        ("Лесковская", "Анна"),
        ("Лесковского", "Ивана"),
        ("Огнёва", "Екатерина"),
        ("Левченко", "Анну"),
        ("ВЕТРОВА", "АННА"),
        ("Ветрова", "Анна Сергеевна"),
        ("Ветрову", "Ивану Петровичу"),
    ],
)
def test_a_surname_and_the_given_name_behind_it_are_one_person(surname: str, given: str) -> None:
    assert names(f"Утром {surname} {given} молчит", surname, given) == [f"{surname} {given}"]
    assert names(f"{surname} {given} молчит", surname, given) == [f"{surname} {given}"]


@pytest.mark.parametrize(
    ("text", "persons"),
    [
        ("Ветрову Анна не верит", ("Ветрову", "Анна")),
        ("Речь Ветрова Игорь пропустил", ("Ветрова", "Игорь")),
        ("Слова Ветрова Иван забыл", ("Ветрова", "Иван")),
        ("Жена Ветрова Анна молчит", ("Ветрова", "Анна")),
        ("Ветрова, Анна и Иван", ("Ветрова", "Анна")),
        ("Ветрова\nАнна", ("Ветрова", "Анна")),
        ("Ветрова Сойкова", ("Ветрова", "Сойкова")),
        ("Ветрова Анна Сойкова", ("Ветрова", "Анна Сойкова")),
        ("Анна Ветрова Мария", ("Анна Ветрова", "Мария")),
        ("Гость Анна", ("Гость", "Анна")),
    ],
)
def test_other_neighbours_stay_two(text: str, persons: tuple[str, str]) -> None:
    assert names(text, *persons) == list(persons)


def test_only_persons_are_joined_and_the_score_is_the_lower() -> None:
    document = document_from_text("Ветрова Анна", "ru")
    apart = Span(0, 1, "PER", 0.9), Span(1, 2, "PER", 0.7)

    assert complete_persons(document, apart) == (Span(0, 2, "PER", 0.7),)
    assert names("Ветрова Анна", "Ветрова", "Анна", label="LOC") == ["Ветрова", "Анна"]


@pytest.mark.parametrize(
    ("text", "predicted", "person"),
    [
        ("И.И. Ветров молчит", ". Ветров", "И.И. Ветров"),
        ("И.И. Ветров молчит", "И . Ветров", "И.И. Ветров"),
        ("Утром А. С. Ветров молчит", "Ветров", "А. С. Ветров"),
        ("Утром Дж. Сойкин молчит", "Сойкин", "Дж. Сойкин"),
        ("Это г. Ветров", ". Ветров", "Ветров"),
        ("Утром С. Ветров молчит", "С . Ветров", "С. Ветров"),
    ],
)
def test_a_person_begins_at_its_first_initial_and_never_with_a_full_stop(
    text: str, predicted: str, person: str
) -> None:
    assert names(text, predicted) == [person]


def test_the_initials_of_the_person_before_stay_with_it() -> None:
    assert names("Сойкин И. Ветров", "Сойкин И .", "Ветров") == ["Сойкин И.", "Ветров"]


def test_an_organisation_takes_in_no_initials() -> None:
    assert names("Завод И. Ветров", "Ветров", label="ORG") == ["Ветров"]
