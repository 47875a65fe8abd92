"""The page: as HTML without a browser, and in Debian's Chromium."""

from __future__ import annotations

import asyncio
import re
import shutil
import threading
from collections.abc import Iterator
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


@pytest.fixture
def gateway(harness: Any) -> Iterator[str]:
    import uvicorn

    from serving.gateway import listen

    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(harness().app, log_config=None, access_log=False))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    server.should_exit = True
    thread.join(20)


@pytest.fixture
def browser() -> Iterator[Any]:
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("no chromium: apt-get install chromium chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--window-size=1000,900",
    ):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.implicitly_wait(10)
    yield driver
    driver.quit()


@pytest.mark.e2e
def test_in_a_browser(gateway: str, browser: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    def all_of(selector: str) -> list[Any]:
        return browser.find_elements(By.CSS_SELECTOR, selector)

    def until(condition: Any) -> None:
        WebDriverWait(browser, 10).until(lambda _: condition())

    browser.get(gateway)
    text = browser.find_element(By.ID, "text")
    text.send_keys("we met Anna Berg and <b>Tom</b>")
    text.send_keys(Keys.CONTROL, Keys.ENTER)
    until(lambda: len(all_of("mark")) == 2)
    assert [mark.text for mark in all_of("mark")] == ["Anna BergPER", "TomPER"]
    assert "87.5%" in all_of("mark")[0].get_attribute("title")
    assert browser.find_element(By.CSS_SELECTOR, "tbody .place").text == "7–16"
    assert "no entity" in browser.find_element(By.CSS_SELECTOR, "tbody .differs").text
    assert not all_of(".reading b"), "the text must not turn into markup"

    browser.execute_script("document.querySelector('.legend input').click()")
    assert all_of("mark.off")
    assert not any(row.is_displayed() for row in all_of("tbody tr"))

    browser.find_element(By.LINK_TEXT, "Новый музей").click()
    until(lambda: "Russian" in browser.find_element(By.CSS_SELECTOR, ".result-head .fine").text)
    assert browser.current_url == gateway, "answered without a reload"
    assert text.get_attribute("value") == EXAMPLES["museum"].text

    browser.execute_script("arguments[0].removeAttribute('maxlength')", text)
    browser.execute_script("arguments[0].value = 'я'.repeat(1001)", text)
    browser.find_element(By.ID, "submit").click()
    until(lambda: all_of(".problem") and "at most 1000" in all_of(".problem")[0].text)

    browser.set_window_size(400, 800)
    browser.get(f"{gateway}?example=bank")
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth"), "no sideways scrolling"
    severe = [
        entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE" and "413" not in entry["message"]
    ]
    assert not severe


@pytest.mark.e2e
def test_by_keyboard_alone(gateway: str, browser: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    browser.get(gateway)
    seen = []
    for _ in range(14):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        active = browser.switch_to.active_element
        seen.append(active.get_attribute("id") or active.get_attribute("name") or active.text)
        if seen[-1] == "text":
            active.send_keys("Anna Berg")
        if seen[-1] == "submit":
            active.send_keys(Keys.ENTER)
            break
    assert [name for name in seen if name in ("text", "language", "submit")] == ["text", "language", "submit"]
    assert browser.find_element(By.CSS_SELECTOR, "mark").text.startswith("Anna Berg")
