"""Tokens and sentences of plain texts: exact offsets for any string, and the corpora's habits on invented examples."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multiner.pipeline.core.document import Document
from multiner.pipeline.text.surrogates import without_surrogates
from multiner.pipeline.text.tokenizer import LONGEST, document_from_text

ANY_TEXT = st.text(alphabet=st.characters(), max_size=60)
SIGNS = st.text(alphabet="aЖ1 .,!?'\"«»()-—–\n\r\t\u00a0\u200b\u200f\u0301\u2028😀👩‍🚀#@/:&_\x00\ud800", max_size=60)
LANGUAGES = st.sampled_from(["en", "ru"])


def lines(text: str, language: str) -> list[str]:
    """The sentences as words joined by blanks."""
    document = document_from_text(text, language)
    return [" ".join(document.words(sentence.start, sentence.end)) for sentence in document.sentences]


@settings(max_examples=100, deadline=None)
@given(text=ANY_TEXT | SIGNS | st.lists(SIGNS).map("".join), language=LANGUAGES)
def test_tokens_cover_all_but_blanks_in_order_and_sentences_tile_them(text: str, language: str) -> None:
    document = document_from_text(text, language, id="x")

    assert (document.id, document.text) == ("x", text)
    at = 0
    for token in document.tokens:
        assert at <= token.start < token.end <= len(text)
        assert text[at : token.start].strip() == ""
        assert not text[token.start : token.end].isspace()
        at = token.end
    assert text[at:].strip() == ""
    borders = [0]
    for sentence in document.sentences:
        assert sentence.start == borders[-1] < sentence.end
        borders.append(sentence.end)
    assert borders[-1] == len(document.tokens)


@settings(max_examples=100, deadline=None)
@given(text=ANY_TEXT | SIGNS, language=LANGUAGES)
def test_the_same_text_gives_the_same_document_again(text: str, language: str) -> None:
    assert document_from_text(text, language) == document_from_text(text, language)


@settings(max_examples=100, deadline=None)
@given(left=SIGNS, right=SIGNS, between=st.sampled_from("\n\t"), language=LANGUAGES)
def test_a_line_break_or_tab_separates_for_good(left: str, right: str, between: str, language: str) -> None:
    both = document_from_text(f"{left}{between}{right}", language)
    first, second = document_from_text(left, language), document_from_text(right, language)

    assert both.words() == first.words() + second.words()
    assert len(both.sentences) == len(first.sentences) + len(second.sentences)


@given(st.text(alphabet=st.characters(), max_size=40))
def test_lone_surrogates_are_replaced_one_for_one(text: str) -> None:
    clean = without_surrogates(text)

    assert len(clean) == len(text)
    clean.encode("utf-8")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Anglo-Welsh Mills won 4-2 on 12/05.", ["Anglo-Welsh Mills won 4-2 on 12/05 ."]),
        ("Mr. Hale's firm didn't pay.", ["Mr. Hale 's firm did n't pay ."]),
        ("J. R. Quill met St. John. He left.", ["J. R. Quill met St. John .", "He left ."]),
        ("The U.S. Navy sailed.", ["The U.S. Navy sailed ."]),
        ('"Stop!" he said. "Go." She went.', ['" Stop ! " he said .', '" Go . "', "She went ."]),
        ("TENNIS\nVera Plum won", ["TENNIS", "Vera Plum won"]),
        ("gonna see @plum and #Tag, (#Other) a@b.c", ["gonna see @plum and # Tag , ( # Other ) a@b.c"]),
        ("Dunmore—or Kells—lost", ["Dunmore — or Kells — lost"]),
        ("one\r\ntwo\u2028three", ["one", "two", "three"]),
        (
            "The judge, J.R. Quill, left with A.B. Hale. He won.",
            ["The judge , J.R. Quill , left with A.B. Hale .", "He won ."],
        ),
        ("Vera Plum\tKells\t34", ["Vera Plum", "Kells", "34"]),
        ("Vera Plum|Kells|34 |--|", ["Vera Plum | Kells | 34 | -- |"]),
        ("Vera Plum,Kells,2019;Dunmore 1,500", ["Vera Plum , Kells , 2019 ; Dunmore 1,500"]),
        ("👍🏽Kells 👍🏽", ["👍 🏽 Kells 👍 🏽"]),
        ("She is in Kells.Vera Plum is not.", ["She is in Kells .", "Vera Plum is not ."]),
        ('He read "Sails".Vera Plum left.', ['He read " Sails " .', "Vera Plum left ."]),
        ('Plum:"Kells is"', ['Plum : " Kells is "']),
        ("(Kells)-Dunmore", ["( Kells ) - Dunmore"]),
        ('She said "I left."', ['She said " I left . "']),
        ("Kells.Com and Sails.net's, e.g.Dunmore", ["Kells.Com and Sails.net 's , e.g. Dunmore"]),
        ("Yu. Plum met Mr.Hale, St.John and J.R.Quill.", ["Yu . Plum met Mr. Hale , St. John and J.R. Quill ."]),
        ("A.B.C. Plum and D.E. Hale", ["A.B.C. Plum and D.E. Hale"]),
    ],
)
def test_english(text: str, expected: list[str]) -> None:
    assert lines(text, "en") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("И. И. Сойкин приехал. Его ждали.", ["И . И . Сойкин приехал .", "Его ждали ."]),
        ("Писал А.Б.Сойкин.", ["Писал А . Б . Сойкин ."]),
        ("ОАО «Север-Медиа» (г. Усть-Лог)", ["ОАО « Север-Медиа » ( г . Усть-Лог )"]),
        ("«Да!» — сказал он. Всё.", ["« Да ! » — сказал он .", "Всё ."]),
        ("Так вышло. — Нет. – Да.", ["Так вышло .", "— Нет .", "– Да ."]),
        ("Сайт Огни.ру и Яндекс.Вести пишут", ["Сайт Огни.ру и Яндекс.Вести пишут"]),
        ("На Mail.Ru, «Яндекс.Погоде» и Парус.РФ", ["На Mail.Ru , « Яндекс.Погоде » и Парус.РФ"]),
        ("Сойкин живёт в Усть-Логе.Ветрова — нет.", ["Сойкин живёт в Усть-Логе .", "Ветрова — нет ."]),
        ("СОЙКИН В КЕЛЬСЕ.ВЕТРОВА — НЕТ", ["СОЙКИН В КЕЛЬСЕ .", "ВЕТРОВА — НЕТ"]),
        ("Весной 2019.Сойкин рад", ["Весной 2019 .", "Сойкин рад"]),
        ("Где Сойкин?В Кельсе!Ветрова", ["Где Сойкин ?", "В Кельсе !", "Ветрова"]),
        ("ООО «Парус».Директор Сойкин", ["ООО « Парус » .", "Директор Сойкин"]),
        ("Сойкин:«Кельс готов»", ["Сойкин : « Кельс готов »"]),
        ("Сойкин(Кельс)-Ветрова[Логи],«Парус»-«Огни»", ["Сойкин ( Кельс ) - Ветрова [ Логи ] , « Парус » - « Огни »"]),
        ("в г.Кельсе на ул.Сойкина у гор.Логи", ["в г . Кельсе на ул . Сойкина у гор . Логи"]),
        ("Дж. К. Сойкин и Вл.Ветров пришли.", ["Дж . К . Сойкин и Вл . Ветров пришли ."]),
        ("А.\u00a0Б.\u00a0Сойкин", ["А . Б . Сойкин"]),
        ("Пётр Сойкин|Усть-Лог,2019\tда", ["Пётр Сойкин | Усть-Лог , 2019", "да"]),
        ("15-летний, 3,5 млн руб. Из-за чего?", ["15-летний , 3,5 млн руб . Из-за чего ?"]),
    ],
)
def test_russian(text: str, expected: list[str]) -> None:
    assert lines(text, "ru") == expected


@pytest.mark.parametrize("text", ["", " \n\t\u00a0\u3000"])
def test_nothing_but_blanks_has_no_tokens(text: str) -> None:
    document = document_from_text(text, "en")

    assert (document.tokens, document.sentences) == ((), ())


@pytest.mark.parametrize("unit", ["a", "a.", "(", "-", "https://a.b/", "й", "😀", "' "])
def test_runs_without_blanks_are_cut(unit: str) -> None:
    text = unit * (60_000 // len(unit))
    document = document_from_text(text, "ru")

    assert max(token.end - token.start for token in document.tokens) <= LONGEST
    assert "".join(document.words()) == text.replace(" ", "")


def test_offsets_count_code_points() -> None:
    text = "👩‍🚀 flew to Orlu\u0301n\r\n\u200fthen home"
    document = document_from_text(text, "en")

    assert "Orlu\u0301n" in document.words()
    assert [text[token.start : token.end] for token in document.tokens] == document.words()


@pytest.mark.parametrize(
    ("text", "words", "norms"),
    [
        ("Со\u00adй\u00adкин", ["Со\u00adй\u00adкин"], ["Сойкин"]),
        ("Сo\u00adйкин ждёт", ["Сo\u00adйкин", "ждёт"], ["Сойкин", "ждёт"]),
        (
            "&laquo;Парус&raquo; и&nbsp;О&#39;Плам",
            ["&laquo;", "Парус", "&raquo;", "и", "О&#39;Плам"],
            ["«", "Парус", "»", "и", "О'Плам"],
        ),
        ("Плам&amp;amp;Ко", ["Плам&amp;amp;Ко"], ["Плам&Ко"]),
        ("Ру&shy;ка\u0301в", ["Ру&shy;ка\u0301в"], ["Рукав"]),
    ],
)
def test_models_read_the_normal_form_and_offsets_are_those_of_the_text(
    text: str, words: list[str], norms: list[str]
) -> None:
    document = document_from_text(text, "ru")

    assert document.words() == words
    assert document.norms() == norms


NAMES = st.lists(st.sampled_from(["Сойкин", "Ветрова", "Кельсе", "Plum", "Kells", "О'Плам"]), min_size=1, max_size=5)
REFERENCES = ["&amp;", "&nbsp;", "&shy;", "&#39;", "&#x41F;"]


@settings(max_examples=100, deadline=None)
@given(
    names=NAMES,
    noise=st.sampled_from(["\u00ad", "\u200b", ""]),
    blank=st.sampled_from([" ", "\u00a0", "\u202f", "&nbsp;", "&#160;", " &amp; "]),
    language=LANGUAGES,
)
def test_noise_within_names_changes_no_norm_and_moves_no_border(
    names: list[str], noise: str, blank: str, language: str
) -> None:
    text = blank.join(noise.join(name) if name.isalpha() else name for name in names)
    document = document_from_text(text, language)

    assert document.norms() == document_from_text((" & " if "amp" in blank else " ").join(names), language).norms()
    for token in document.tokens:
        assert not text[token.start : token.end].isspace()
        assert not text[: token.start].endswith(("\u00ad", "\u200b"))


@settings(max_examples=200, deadline=None)
@given(parts=st.lists(st.sampled_from([*REFERENCES, "&x;", *"&;\u00ad\u0301оoЖёй.» \n"])), language=LANGUAGES)
def test_offsets_hold_whatever_the_normal_form_leaves_out(parts: list[str], language: str) -> None:
    text = "".join(parts)
    document = document_from_text(text, language)

    at = 0
    for token, word in zip(document.tokens, document.words(), strict=True):
        assert at <= token.start < token.end <= len(text)
        assert text[token.start : token.end] == word
        assert text[at : token.start].replace("&nbsp;", "").replace("&amp;nbsp;", "").strip() == ""
        at = token.end
    borders = {edge for token in document.tokens for edge in (token.start, token.end)}
    for reference in re.finditer("|".join(REFERENCES), text):
        assert not borders & set(range(reference.start() + 1, reference.end()))
    assert Document.from_json(document.to_json()) == document


def test_languages_without_a_list_have_the_abbreviations_of_spacy() -> None:
    text = "Dr. Ruhnau lebt z.B. Montags bzw. Dienstags in Köln. Es war so. Peter kam."
    document = document_from_text(text, "de")
    starts = [document.tokens[each.start].start for each in document.sentences]
    assert [text[start:].split()[0] for start in starts] == ["Dr.", "Es", "Peter"]
