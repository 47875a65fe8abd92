"""What models read in place of a text, on invented words; and that every character keeps its place."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiner.pipeline.text.normal_form import normal_form

LOOKS = "oоΟcсaаAАΑкkвbйи\u0306\u0301\u00ad\u200b&;amp#39 "


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("Влaдимир Вeтрoв", "Владимир Ветров"),  # Latin a, e and o
        ("Кells и Οslo", "Kells и Oslo"),  # Cyrillic К, Greek Ο
        ("Xор", "Хор"),
        ("GPSный и iВанна, IT-отдел", "GPSный и iВанна, IT-отдел"),  # letters of both that look like none of the other
        ("Plum & Ветров", "Plum & Ветров"),
        ("&lt;Плам&gt; &laquo;&#1042;&#x435;тров&raquo;", "<Плам> «Ветров»"),
        ("AT&amp;T &amp;amp;quot; R&D; &nosuch; &#0;", 'AT&T " R&D; &nosuch; \ufffd'),
        ("и\u0306од е\u0308ж, e\u0301", "йод ёж, é"),
        ("дворе\u0301ц", "дворец"),
        ("Ве\u00adт\u200bров \u00ad и-\u00ad", "Ветров \u00ad и-\u00ad"),
        ("\U0001f469\u200d\U0001f680", "\U0001f469\u200d\U0001f680"),
    ],
)
def test_what_no_reader_sees_is_mended(text: str, form: str) -> None:
    assert normal_form(text)[0] == form


@given(st.text(alphabet=LOOKS, max_size=40) | st.text(max_size=40))
def test_places_rise_from_the_first_character_to_the_end(text: str) -> None:
    form, places = normal_form(text)

    assert len(places) == len(form) + 1
    assert places[-1] == len(text)
    assert all(left < right for left, right in pairwise(places))
    assert places[0] == 0
    assert form != text or list(places) == list(range(len(text) + 1))


@pytest.mark.parametrize("unit", ["\u00ad", "а\u00ad", "&amp;", "&", "и\u0306", "aа", "\u0301"])
def test_long_runs_are_no_trouble(unit: str) -> None:
    form, places = normal_form(unit * 50_000)

    assert len(places) == len(form) + 1
