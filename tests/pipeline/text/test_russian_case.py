"""Names in Russian sentences without case get their usual one; text and offsets stay."""

import pytest

from multiner.pipeline.text.russian_case import restore_case, usual_form
from multiner.pipeline.text.tokenizer import document_from_text

PROPER = "Министр Анна Северцева из РФ прилетела в Ростов-на-Дону к Громову А. С. и в IBM"


def as_read(text: str) -> str:
    return " ".join(restore_case(document_from_text(text, "ru")).norms())


@pytest.mark.parametrize("text", [PROPER.upper(), PROPER.lower().replace("ibm", "IBM").upper()])
def test_a_sentence_in_capitals_is_read_in_its_usual_case(text: str) -> None:
    expected = PROPER.replace("Министр", "министр").replace("А. С. и", "А . С . и")
    assert as_read(text) == expected


def test_a_text_without_capitals_is_read_in_its_usual_case() -> None:
    assert as_read("вчера видели анну северцеву.\nона уехала из москвы") == (
        "вчера видели Анну Северцеву . она уехала из Москвы"
    )


def test_text_and_offsets_stay() -> None:
    document = document_from_text("МИНИСТР ЕДЕТ В ТОМСК\n\nАнна рада.", "ru")
    restored = restore_case(document)
    assert restored.text == document.text
    assert restored.words() == document.words()
    assert restored.sentences == document.sentences


@pytest.mark.parametrize(
    "text",
    [
        "Анна едет в Томск.",
        "Вчера анна уехала в томск.",  # a capital: not all sentences are without case
        "США",
        "КГБ, 1985",
        "ANNA И",
        "...",
        "",
    ],
)
def test_a_document_that_shows_case_stays_as_it_is(text: str) -> None:
    document = document_from_text(text, "ru")
    assert restore_case(document) is document


def test_a_word_has_the_form_that_it_has_elsewhere_in_the_document() -> None:
    assert as_read("РАССВЕТ УХОДИТ ИЗ ТОМСКА\nЗавод Рассвет закрыт. Завод молчит.") == (
        "Рассвет уходит из Томска Завод Рассвет закрыт . Завод молчит ."
    )
    assert as_read("РАССВЕТ УХОДИТ ИЗ ТОМСКА\nРассвет уходит.").startswith("рассвет ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("и. и. иванов рад", "И . И . Иванов рад"),
        ("иванов и. и. рад", "Иванов И . И . рад"),
        ("в 1985 г. он был рад", "в 1985 г . он был рад"),
        ("и т. д. и т. п.", "и т . д . и т . п ."),
    ],
)
def test_initials_beside_a_surname_are_capitals(text: str, expected: str) -> None:
    assert as_read(text) == expected


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("Вологды", "place"),
        ("Северцевой", "surname"),
        ("Санкт-Петербургу", "compound name"),
        ("Йошкар-Оле", "compound name"),
        ("Анна-Мария", "compound of names"),
        ("Комсомольск-на-Амуре", "compound with a preposition"),
        ("США", "abbreviation of a country"),
        ("НАТО", "abbreviation of an organisation"),
        ("Кильдюрта", "unknown word"),
        ("МТРК", "unknown word without a vowel"),
        ("премьер-министр", "known compound"),
        ("км", "other abbreviation"),
        ("ли", "particle, and a surname"),
        ("роман", "mostly no name"),
        ("2010-й", "number"),
        ("b2b", "Latin letters"),
    ],
)
def test_the_usual_form_of_a_word(form: str, kind: str) -> None:
    assert usual_form(form.lower()) == form, kind
