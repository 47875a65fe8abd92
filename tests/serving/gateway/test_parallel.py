"""Two texts side by side: the endpoint, the page without a browser, and the page in Debian's Chromium."""

from __future__ import annotations

import asyncio
import csv
import io
import re
import threading
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from multiner.serving.gateway.routes import parallel
from multiner.serving.http.payload import Limits
from multiner.serving.page.examples import PARALLEL_EXAMPLES
from multiner.serving.page.parallel_view import UNSAFE, rows, to_csv
from tests.serving.configs import NoFacts

RU = "тогда Анна Ветрова и Тимур были в Осло. и Ветрову ждали"
EN = "then Anna Verrova and Timur were in Madrid"


def call(harness: Any, path: str, *, method: str = "POST", **arguments: Any) -> httpx.Response:
    settings = arguments.pop("settings", {})

    async def main() -> httpx.Response:
        async with harness(**settings).client() as client:
            return await client.request(method, path, **arguments)

    return asyncio.run(main())


def ask(harness: Any, body: Any, **settings: Any) -> httpx.Response:
    return call(harness, "/v1/parallel", json=body, settings=settings)


def post(harness: Any, data: dict[str, Any], headers: dict[str, str] | None = None, **settings: Any) -> httpx.Response:
    return call(harness, "/parallel", data=data, headers=headers, settings=settings)


def test_names_are_paired_with_their_mentions_and_reasons(harness: Any) -> None:
    answer = ask(harness, {"ru": RU, "en": EN}).json()
    assert parallel.ParallelAnswer.model_validate(answer)
    names = [(answer["ru"]["names"][pair["ru"]], answer["en"]["names"][pair["en"]], pair) for pair in answer["pairs"]]
    assert [(one["text"], other["text"], pair["suspicious"], pair["counts_differ"]) for one, other, pair in names] == [
        ("Анна Ветрова", "Anna Verrova", True, True),
        ("Тимур", "Timur", False, False),
    ]
    assert "transliteration" in names[0][2]["reasons"]
    entities = answer["ru"]["entities"]
    mentions = [entities[index] for index in names[0][0]["mentions"]]
    assert [RU[entity["start"] : entity["end"]] for entity in mentions] == ["Анна Ветрова", "Ветрову"]
    alone = [name["text"] for code in ("ru", "en") for name in answer[code]["names"] if name["pair"] is None]
    assert {"Осло", "Madrid"} <= set(alone)


def test_empty_texts_have_no_names(harness: Any) -> None:
    answer = ask(harness, {"ru": "", "en": ""}).json()
    assert answer["pairs"] == answer["ru"]["names"] == answer["en"]["names"] == []


def test_options_hold_for_both_texts(harness: Any) -> None:
    answer = ask(harness, {"ru": "🙂 Анна", "en": "🙂 Anna", "legs": False, "offsets": "utf16"}).json()
    for code in ("ru", "en"):
        assert answer[code]["entities"][0]["start"] == 3
        assert "legs" not in answer[code]["entities"][0]
    assert ask(harness, {"ru": "Анна", "en": "Anna", "min_score": 0.9}).json()["pairs"] == []


@pytest.mark.parametrize(
    ("body", "status", "where"),
    [
        ([], 422, None),
        ({"ru": "a"}, 422, "/en"),
        ({"ru": 5, "en": "a"}, 422, "/ru"),
        ({"ru": "a", "en": "a", "language": "ru"}, 422, None),
        ({"ru": "a", "en": "a", "types": ["X"]}, 422, "/types/0"),
        ({"ru": "я" * 600, "en": "a" * 600}, 413, None),
        ({"ru": "a", "en": "CRASH"}, 502, None),
    ],
)
def test_errors_are_problems(harness: Any, body: Any, status: int, where: str | None) -> None:
    response = ask(harness, body)
    assert response.status_code == response.json()["status"] == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json().get("where") == where
    assert response.json()["request_id"] == response.headers["x-request-id"]


def test_too_many_names_are_refused_by_their_number(harness: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "MOST_NAMES", 3)
    response = ask(harness, {"ru": "Анна", "en": "Ann. Bob. Cid. Dan"})
    assert (response.status_code, response.json()["where"]) == (413, "/en")
    assert "more than 3" in response.json()["detail"]


def test_without_both_languages_there_is_no_such_page(harness: Any) -> None:
    gateway = harness()
    gateway.config.languages.remove("ru")
    from multiner.serving.gateway.app import create_app

    paths = {getattr(route, "path", "") for route in create_app(gateway.config, NoFacts()).routes}
    assert "/" in paths
    assert not [path for path in paths if "parallel" in path]


def reading(html: str) -> list[str]:
    """Both texts as the page shows them, without badges."""
    texts = re.findall(r'<p class="reading"[^>]*>(.*?)</p>', html, re.DOTALL)
    return [unescape(re.sub(r"<[^>]+>", "", re.sub(r"<span.*?</span>", "", text))) for text in texts]


def test_without_scripts_a_form_brings_the_answer(harness: Any) -> None:
    response = post(harness, {"ru": RU.replace(". ", ".\r\n"), "en": EN})
    assert response.status_code == 200
    assert reading(response.text) == [RU.replace(". ", ".\n"), EN]
    assert 'id="row-p1" class="suspicious"' in response.text
    assert response.text.count('href="#row-p1"') == 3
    assert response.text.count("no counterpart</span>") >= 2


def test_text_is_always_escaped(harness: Any) -> None:
    evil = 'x </textarea><script>alert(1)</script> "><img src=x onerror=alert(1)> Anna&amp;'
    response = post(harness, {"ru": evil, "en": evil})
    assert reading(response.text) == [evil, evil]
    assert "<script>alert" not in response.text
    assert "<img src=x" not in response.text
    harmless = post(harness, {"ru": RU, "en": EN}).text
    assert not re.search(r"\son\w+=|<style|style=|<script(?! src)", harmless), "the policy would forbid it"


def test_types_that_are_not_chosen_are_hidden(harness: Any) -> None:
    html = post(harness, {"ru": RU, "en": EN, "offered": ["PER"], "shown": []}).text
    assert html.count('class="suspicious off"') == 1
    assert "<b>0</b> pairs" in html
    assert 'value="PER" form="form">' in html


@pytest.mark.parametrize(
    ("data", "settings", "status", "message"),
    [
        ({"ru": "a" * 600, "en": "b" * 600}, {}, 413, "at most 1000"),
        ({"ru": "a", "en": "CRASH"}, {}, 502, "could not answer"),
        ({"ru": "Anna", "en": "a"}, {"champions": {"en": "1", "ru": None}}, 503, "No model"),
    ],
)
def test_errors_are_shown_on_the_page(
    harness: Any, data: dict[str, str], settings: dict[str, Any], status: int, message: str
) -> None:
    response = post(harness, data, **settings)
    assert response.status_code == status
    assert 'role="alert"' in response.text
    assert message in response.text
    assert f"{data['ru']}</textarea>" in response.text, "nothing typed is lost"


def test_the_table_as_a_file(harness: Any) -> None:
    response = call(harness, "/parallel.csv", data={"ru": RU, "en": EN})
    assert "attachment" in response.headers["content-disposition"]
    table = list(csv.DictReader(io.StringIO(response.content.decode("utf-8-sig"))))
    assert (table[0]["Russian"], table[0]["English"], table[0]["check"]) == (
        "Анна Ветрова",
        "Anna Verrova",
        "spelling; counts differ",
    )
    hidden = call(harness, "/parallel.csv", data={"ru": RU, "en": EN, "offered": "PER"})
    assert len(list(csv.reader(io.StringIO(hidden.text)))) == 1


def test_no_cell_is_taken_for_a_formula() -> None:
    name = {"text": "=HYPERLINK(1)", "label": "ORG", "forms": ["=HYPERLINK(1)"], "mentions": [0], "pair": None}
    answer = {"ru": {"names": [name], "entities": []}, "en": {"names": [], "entities": []}, "pairs": []}
    (row,) = csv.DictReader(io.StringIO(to_csv(rows(answer))))
    assert row["Russian"] == "'=HYPERLINK(1)"


def test_server_and_browser_take_the_same_for_a_formula(root: Path) -> None:
    script = (root / "serving" / "page" / "static" / "exports.js").read_text(encoding="utf-8")
    (of_browser,) = re.findall(r"/(\^\[[^]]+\])/u\.test", script)
    signs = [chr(code) for code in range(0x10000)]
    assert [sign for sign in signs if re.match(of_browser, sign)] == [sign for sign in signs if sign.startswith(UNSAFE)]
    assert {"\n", "＝", "@"} < set(UNSAFE)


@pytest.mark.slow
def test_in_a_browser(harness: Any, serving: Any, browser: Any) -> None:
    with serving(harness(limits=Limits(4, 2000, 20))) as live:
        browser.open(f"{live.url}parallel")
        assert not browser.flaws()
        browser.one("#ru").send_keys(RU)
        browser.one("#en").send_keys(EN)
        browser.run("arguments[0].form.requestSubmit()", browser.one("#en"))
        browser.until(lambda: browser.all("tbody tr"))
        assert browser.driver.current_url == f"{live.url}parallel", "answered without a reload"
        assert f"{len(RU) + len(EN)} of 2,000" in browser.one("#count").text

        # by keyboard alone, what belongs together lights up together
        first = browser.tab_to('.reading a[data-key="p1"]')
        assert first.text.startswith("Анна Ветрова")
        lit = [each.get_attribute("data-key") for each in browser.all(".lit")]
        assert lit == ["p1"] * 4, "two mentions, their counterpart, and the row"
        assert "odd" not in first.get_attribute("title")
        assert "Anna Verrova" in first.get_attribute("title")

        # what stands alone does not differ by colour alone
        alone = browser.all(".reading a.alone")
        assert alone
        assert all("?" in name.text for name in alone)
        assert "!" in first.text

        # the filter acts at once
        browser.run("document.querySelector('input[name=shown]').click()")
        assert not browser.texts("tbody tr")
        assert not browser.texts(".reading .badge")

        # an example, light and dark, desktop and phone
        for scheme, width in (("light", 1200), ("dark", 1200), ("light", 360)):
            browser.scheme(scheme)
            browser.size(width, 900)
            browser.open(f"{live.url}parallel?example=talks")
            browser.one("#submit").click()
            browser.until(lambda: browser.all("tbody tr"))
            assert not browser.flaws(), (scheme, width)
            assert browser.overflow() == 0

        # the table as a file, the browser's own way
        browser.run("document.querySelector('[formaction]').click()")
        browser.until(lambda: (browser.downloads / "names.csv").is_file())
        assert not browser.errors()

        # without scripts
        browser.scripts(False)
        browser.open(f"{live.url}parallel?example=museum")
        browser.one("#submit").click()
        assert browser.one("tbody tr")
        assert browser.texts(".types input"), "the filters are boxes then"
    assert PARALLEL_EXAMPLES.keys() == {"museum", "harbour", "talks"}


def test_a_comparison_that_takes_too_long_is_a_problem(harness: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(parallel, "_compare", lambda *mentions: over.wait(10))

    async def main() -> httpx.Response:
        async with harness(limits=Limits(4, 1000, 0.3)).client() as client:
            try:
                return await client.post("/v1/parallel", json={"ru": "Анна", "en": "Anna"})
            finally:
                over.set()

    response = asyncio.run(main())
    assert (response.status_code, response.json()["type"]) == (504, "urn:ner:problem:timeout")
