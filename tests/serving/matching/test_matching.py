"""Matching names across Russian and English: what is taken for the same name, and what stands out."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiner.serving.matching import THRESHOLD, Mention, compare
from multiner.serving.matching.grouping import group
from multiner.serving.matching.known_names import words


def mentions(*names: str, label: str = "PER") -> list[Mention]:
    return [Mention(name, label, 10 * at) for at, name in enumerate(names)]


def alone(russian: str, english: str, label: str = "PER") -> tuple[float, bool, tuple[str, ...]]:
    """Similarity, suspicion and reasons of two names that stand alone; 0 where they are not matched."""
    alignment = compare(mentions(russian, label=label), mentions(english, label=label)).matches
    return (alignment[0].similarity, alignment[0].suspicious, alignment[0].reasons) if alignment else (0.0, False, ())


@pytest.mark.parametrize(
    ("russian", "english", "label", "reason"),
    [
        ("Чайковский", "Tchaikovsky", "PER", "transliteration"),
        ("Чайковским", "Tschaikowski", "PER", "transliteration"),
        ("Хрущёву", "Chruschtschow", "PER", "transliteration"),
        ("Хрущёв", "Khrushchev", "PER", "transliteration"),
        ("Щедрин", "Ŝedrin", "PER", "transliteration"),
        ("Уильям Шекспир", "William Shakespeare", "PER", "transcription"),
        ("Джордж Буш", "George Bush", "PER", "transliteration"),
        ("И. И. Иванов", "Ivan Ivanov", "PER", "initial"),
        ("Анны Сергеевны Ветровой", "Anna Vetrova", "PER", "transliteration"),
        ("Орлов Владимир", "Vladimir Orlov", "PER", "transliteration"),
        ("Петра Великого", "Peter the Great", "PER", "translation"),
        ("Москвой", "Moscow", "LOC", "CLDR city"),
        ("Испании", "Spain", "LOC", "CLDR territory"),
        ("Вене", "Vienna", "LOC", "known place"),
        ("США", "United States", "LOC", "abbreviation"),
        ("ООН", "U.N.", "ORG", "abbreviation"),
        ("Организации Объединённых Наций", "United Nations", "ORG", "known organisation"),
        ("Московского университета", "Moscow University", "ORG", "translation"),
        ("Nordwind Shipping", "Nordwind Shipping", "ORG", "same spelling"),
        ("Дж. К. Сойкин", "J. K. Soikin", "PER", "initial"),
        ("Дж. Сойкин", "G. Soykin", "PER", "initial"),
        ("Дж. Сойкин", "George Soykin", "PER", "initial"),
        ("Джоан Сойкин", "J. Soykin", "PER", "initial"),
        ("Юрий Сойкин", "Yu. Soykin", "PER", "initial"),
        ("Хасан Сойкин", "Kh. Soykin", "PER", "initial"),
        ("О'Нил", "O’Neill", "PER", "transcription"),
        ("Шакил О’Нил", "Shaquille O`Neal", "PER", "transcription"),
        ("О'Нил", "ONeil", "PER", "transcription"),
        ("Жанне д'Арк", "Jeanne d'Arc", "PER", "transcription"),
        ("Васильев", "Vasil'ev", "PER", "transliteration"),
        ("Владимир Соловьёв", "Vladimir Solovʹev", "PER", "transliteration"),
        ("Королёвым", "Korolyov", "PER", "transliteration"),
        ("Королёва", "Korolöv", "PER", "transliteration"),
        ("Королёв", "Koroloev", "PER", "transliteration"),
        ("Шрёдером", "Schroeder", "PER", "transliteration"),
        ("Шредеру", "Schröder", "PER", "transcription"),
        ("Гёте", "Goethe", "PER", "transcription"),
        ("Гете", "Göthe", "PER", "transcription"),
        ("Мальмё", "Malmö", "LOC", "transliteration"),
        ("Санкт-Петербурге", "St. Petersburg", "LOC", "known place"),
        ("Санкт-Петербург", "St Petersburg", "LOC", "known place"),
        ("Санкт-Петербургом", "Saint-Petersburg", "LOC", "known place"),
        ("Петербурга", "St. Petersburg", "LOC", "known place"),
        ("Сент-Луисе", "St. Louis", "LOC", "translation"),
    ],
)
def test_the_same_name_is_matched_and_not_suspected(russian: str, english: str, label: str, reason: str) -> None:
    similarity, suspicious, reasons = alone(russian, english, label)
    assert similarity >= THRESHOLD
    assert not suspicious
    assert reason in reasons


@pytest.mark.parametrize(
    ("russian", "english"),
    [
        ("Ветрова", "Verrova"),
        ("Архангельск", "Arkhangelks"),
        ("Петров", "Putrov"),
        ("Петров", "Potrov"),  # o is ё, not е
        ("Королёв", "Korulyov"),
        ("О'Салливан", "O'Sulligan"),
    ],
)
def test_a_misspelled_name_is_matched_and_suspected(russian: str, english: str) -> None:
    similarity, suspicious, _ = alone(russian, english)
    assert THRESHOLD <= similarity < 1
    assert suspicious


@pytest.mark.parametrize(
    ("russian", "english", "label"),
    [
        ("Австрия", "Australia", "LOC"),
        ("Ирак", "Iran", "LOC"),
        ("ЕС", "UN", "ORG"),
        ("Орлов", "Pavlov", "PER"),
        ("Сергей Волков", "Sergei Vorobyov", "PER"),
        ("Союз-12", "Soyuz 14", "MISC"),
        ("Дж. Сойкин", "B. Soikin", "PER"),
        ("Дж. Сойкин", "D. Soikin", "PER"),
        ("Юрий Сойкин", "Ye. Soikin", "PER"),
    ],
)
def test_different_names_are_not_matched(russian: str, english: str, label: str) -> None:
    assert alone(russian, english, label)[0] == 0.0


def test_numbers_must_agree() -> None:
    assert alone("Союз-12", "Soyuz 12", "MISC")[0] == 1.0


def test_mentions_of_a_name_are_one_name() -> None:
    names = group(mentions("Владимир Орлов", "Орлова", "Ветровой", "Ветрова", "В. Орлову", "Ветрову"))
    assert [(name.text, name.mentions) for name in names] == [("Владимир Орлов", (0, 1, 4)), ("Ветрова", (2, 3, 5))]


def test_an_initial_of_two_letters_joins_the_name_that_begins_with_both() -> None:
    names = group(mentions("Дж. Сойкин", "Джоан Сойкин", "Королёв", "Королевым"))
    assert [(name.text, name.mentions) for name in names] == [("Джоан Сойкин", (0, 1)), ("Королёв", (2, 3))]
    assert len(group(mentions("Дж. Сойкин", "Дмитрий Сойкин"))) == 2


def test_a_surname_that_two_persons_share_joins_neither() -> None:
    assert [name.count for name in group(mentions("Анна Орлова", "Мария Орлова", "Орлова"))] == [1, 1, 1]


def test_places_are_not_joined_by_their_parts() -> None:
    assert len(group(mentions("New York", "York", label="LOC"))) == 2


def test_each_name_is_matched_once_and_the_best_pair_wins() -> None:
    both = compare(mentions("Иванов", "Петров", "Сидоров"), mentions("Petrov", "Ivanow", "Ivanov"))
    pairs = {(both.russian[match.russian].text, both.english[match.english].text) for match in both.matches}
    assert ("Петров", "Petrov") in pairs
    assert len(pairs) == 2
    assert not any("Сидоров" in pair for pair in pairs)


def test_of_equals_the_order_of_mention_decides() -> None:
    russian = [Mention("Орлов", "PER", 0), Mention("Белов", "PER", 5), Mention("Орлёв", "PER", 9)]
    english = [Mention("Orlov", "PER", 0), Mention("Belov", "PER", 5), Mention("Orlow", "PER", 9)]
    alignment = compare(russian, english)
    assert {(match.russian, match.english) for match in alignment.matches} >= {(0, 0), (1, 1)}


def test_the_type_is_a_bonus_not_a_must() -> None:
    alignment = compare([Mention("Спартак", "ORG", 0)], [Mention("Spartak", "PER", 0), Mention("Spartac", "ORG", 9)])
    assert alignment.english[alignment.matches[0].english].label == "ORG"
    assert compare([Mention("Спартак", "ORG", 0)], [Mention("Spartak", "PER", 0)]).matches


def test_counts_are_of_all_forms() -> None:
    alignment = compare(mentions("Орлов", "Орлова", "Орловым"), mentions("Orlov"))
    assert (alignment.russian[0].count, alignment.english[0].count) == (3, 1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("the U.S.", ("us",)),
        ("Verrova's", ("verrova",)),
        ("«Северный свет»", ("северный", "свет")),
        ("И. Ёлкин", ("и", "ёлкин")),
        ("Côte d’Ivoire", ("cote", "divoire")),
        ("O'Hare's", ("ohare",)),
        ("Bjo\u0308rn", ("bjoern",)),
        ("Ве\u00adтрoва", ("ветрова",)),  # a soft hyphen, a Latin o
        ("O&#39;Hare", ("ohare",)),
    ],
)
def test_words_of_a_name(name: str, expected: tuple[str, ...]) -> None:
    assert words(name) == expected


@given(st.lists(st.text(max_size=12), max_size=6), st.lists(st.text(max_size=12), max_size=6))
def test_whatever_the_names_each_is_matched_at_most_once(russian: list[str], english: list[str]) -> None:
    alignment = compare(mentions(*russian), mentions(*english))
    for side in ("russian", "english"):
        used = [getattr(match, side) for match in alignment.matches]
        assert len(used) == len(set(used))
        indices = [index for name in getattr(alignment, side) for index in name.mentions]
        assert sorted(indices) == list(range(len({"russian": russian, "english": english}[side])))
    assert all(THRESHOLD <= match.similarity <= 1 for match in alignment.matches)


@pytest.fixture(scope="module")
def benchmark(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("matching_benchmark", root / "benchmarks" / "matching.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_benchmark_halves_its_pairs_and_its_gold_is_of_its_texts(benchmark: ModuleType) -> None:
    pairs = benchmark.read_pairs()
    assert len(pairs) >= 250
    assert {pair.verdict for pair in pairs} == {"same", "typo", "different"}
    halves = [sum(pair.half == half for pair in pairs) for half in ("tune", "report")]
    assert min(halves) > len(pairs) / 3
    same = {(pair.russian, pair.english) for pair in pairs if pair.verdict != "different"}
    for text in benchmark.make_texts(pairs, seed=1, count=3):
        assert text.gold
        assert {(text.russian[i].text, text.english[j].text) for i, j in text.gold} <= same


@pytest.mark.slow
def test_matching_is_better_than_its_peers(benchmark: ModuleType) -> None:
    texts = benchmark.make_texts([pair for pair in benchmark.read_pairs() if pair.half == "report"], seed=1, count=10)
    ours, *peers = (benchmark.figures(system, texts, THRESHOLD if system is benchmark.ours else 0.45)[2]
                    for system in benchmark.SYSTEMS.values())  # fmt: skip
    assert ours > 0.93
    assert ours > max(peers)
