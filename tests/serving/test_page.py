"""The page: as HTML without a browser, and in Debian's Chromium."""

from __future__ import annotations

import asyncio
import re
from html import unescape
from typing import Any

import httpx
import pytest

from serving.page.examples import EXAMPLES
from serving.page.view import counts, marks, segments

ENTITY = {"start": 4, "end": 8, "text": "Anna", "label": "PER", "score": 0.9}


def post(harness: Any, data: dict[str, str], headers: dict[str, str] | None = None, **settings: Any) -> httpx.Response:
    async def main() -> httpx.Response:
        async with harness(**settings).client() as client:
            return await client.post("/", data=data, headers=headers)

    return asyncio.run(main())


def reading(html: str) -> str:
    """The text as the page shows it, without its tags and types."""
    shown = re.search(r'<p class="reading" dir="auto">(.*?)</p>', html, re.DOTALL).group(1)
    return unescape(re.sub(r"<[^>]+>", "", re.sub(r'<span class="tag".*?</span>', "", shown)))


def test_segments_are_the_text() -> None:
    marked = marks([ENTITY | {"start": 9, "end": 12, "text": "Bob"}, ENTITY])
    pieces = list(segments("Hi, Anna Bob", marked))
    assert "".join(piece for piece, _ in pieces) == "Hi, Anna Bob"
    assert [mark.text for _, mark in pieces if mark] == ["Anna", "Bob"]
    assert counts(marked) == {"PER": 2}


@pytest.mark.parametrize(
    ("view", "disputed"),
    [
        ({"label": "PER", "score": 0.8, "start": 4, "end": 8}, False),
        ({"label": "PER"}, False),
        ({"label": "LOC", "start": 4, "end": 8}, True),
        ({"label": "PER", "start": 0, "end": 8}, True),
        ({"label": None, "start": None, "end": None, "score": None}, True),
    ],
)
def test_a_leg_that_sees_it_otherwise_disputes(view: dict[str, Any], disputed: bool) -> None:
    (mark,) = marks([ENTITY | {"legs": {"spacy": view}}])
    assert mark.disputed == disputed
    assert "spaCy" in mark.title


def test_without_scripts_a_form_brings_the_answer(harness: Any) -> None:
    response = post(harness, {"text": "the captain Anna Berg\r\nand Tom", "language": "en"})
    assert response.status_code == 200
    assert reading(response.text) == "the captain Anna Berg\nand Tom"
    assert "12–21" in response.text
    assert "26–29" in response.text, "a line break counts as one, as it was typed"
    assert "the captain Anna Berg\nand Tom</textarea>" in response.text


def test_text_is_always_escaped(harness: Any) -> None:
    evil = 'x </textarea><script>alert(1)</script> "><img src=x onerror=alert(1)> Anna&amp;'
    response = post(harness, {"text": evil, "language": "en"})
    assert reading(response.text) == evil
    assert "<script>alert" not in response.text
    assert "<img src=x" not in response.text


def test_scripts_get_the_answer_alone(harness: Any) -> None:
    response = post(harness, {"text": "Anna"}, {"X-Fragment": "1"})
    assert "<html" not in response.text
    assert "<mark" in response.text


@pytest.mark.parametrize(
    ("data", "settings", "status", "message"),
    [
        ({"text": "a" * 1001}, {}, 413, "at most 1000"),
        ({"text": "a", "language": "de"}, {}, 422, "language must be"),
        ({"text": "CRASH", "language": "en"}, {}, 502, "could not answer"),
        ({"text": "Anna"}, {"champions": {"en": None}}, 503, "No model"),
    ],
)
def test_errors_are_shown_on_the_page(
    harness: Any, data: dict[str, str], settings: dict[str, Any], status: int, message: str
) -> None:
    response = post(harness, data, **settings)
    assert response.status_code == status
    assert response.headers["content-type"].startswith("text/html")
    assert 'role="alert"' in response.text
    assert message in response.text
    assert "Traceback" not in response.text


def test_nothing_comes_from_outside(harness: Any) -> None:
    async def main() -> tuple[httpx.Response, list[httpx.Response]]:
        async with harness().client() as client:
            page = await client.get("/?example=museum")
            assets = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)
            return page, [await client.get(asset) for asset in assets]

    page, assets = asyncio.run(main())
    assert unescape(page.text).count(EXAMPLES["museum"].text) == 2
    assert len(assets) >= 3
    for response in (page, *assets):
        assert response.status_code == 200
        assert not re.findall(r"(?:https?:)?//(?!www\.w3\.org)[\w.]+\.\w", response.text.replace("// ", ""))
        assert response.headers["x-content-type-options"] == "nosniff"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"\son\w+=|<style|style=|<script(?! src)", page.text), "the policy would forbid it"


@pytest.mark.slow
def test_in_a_browser(live: Any, browser: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    browser.open(live.url)
    text = browser.one("#text")
    text.send_keys("we met Anna Berg and <b>Tom</b>")
    text.send_keys(Keys.CONTROL, Keys.ENTER)
    browser.until(lambda: len(browser.all("mark")) == 2)
    assert [mark.text for mark in browser.all("mark")] == ["Anna BergPER", "TomPER"]
    assert "87.5%" in browser.one("mark").get_attribute("title")
    assert browser.one("tbody .place").text == "7–16"
    assert "no entity" in browser.one("tbody .differs").text
    assert not browser.all(".reading b"), "the text must not turn into markup"

    browser.run("document.querySelector('.legend input').click()")
    assert browser.all("mark.off")
    assert not any(row.is_displayed() for row in browser.all("tbody tr"))

    browser.driver.find_element(By.LINK_TEXT, "Новый музей").click()
    browser.until(lambda: "Russian" in browser.one(".result-head .fine").text)
    assert browser.driver.current_url == live.url, "answered without a reload"
    assert text.get_attribute("value") == EXAMPLES["museum"].text

    browser.run("arguments[0].removeAttribute('maxlength')", text)
    browser.run("arguments[0].value = 'я'.repeat(1001)", text)
    browser.one("#submit").click()
    browser.until(lambda: "at most 1000" in browser.one(".problem").text)
    assert not [error for error in browser.errors() if "413" not in error]


@pytest.mark.slow
def test_by_keyboard_alone(live: Any, browser: Any) -> None:
    browser.open(live.url)
    browser.tab_to("#text").send_keys("Anna Berg")
    browser.tab_to("[name=language]")
    browser.press("ENTER", browser.tab_to("#submit"))
    assert browser.one("mark").text.startswith("Anna Berg")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everyone_can_use_it(live: Any, browser: Any, scheme: str) -> None:
    browser.scheme(scheme)
    for address in (live.url, f"{live.url}?example=bank"):
        browser.open(address)
        assert browser.flaws() == []
    browser.size(360, 780)
    browser.open(f"{live.url}?example=bank")
    assert browser.overflow() == 0, "no sideways scrolling"
