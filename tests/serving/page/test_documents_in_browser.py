"""Documents and entities on the page, in Debian's Chromium."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from multiner.serving.documents.extraction import DocumentLimits
from multiner.serving.http.payload import Limits
from tests.serving.documents.files import docx, paragraph, pdf

pytestmark = pytest.mark.slow
PRINTED = (
    "<p>Анна Ветрова живёт в <b>Архангельске</b> и пишет о море.</p>"
    "<p style='break-before: page'>Её брат Пётр уехал в Мурманск.</p>"
)
TEXT = "книга об Анне Ветровой: там Анна Ветрова живёт в Архангельске, а из Архангельска уехала Ветрова. "


@pytest.fixture(scope="module")
def live(harness: Any, serving: Any) -> Iterator[Any]:
    limits = {"limits": Limits(4, 5000, 20), "documents": DocumentLimits(100_000, 20, 40_000, 60)}
    with serving(harness(**limits)) as gateway:
        yield gateway


@pytest.fixture
def page(live: Any, browser: Any) -> Any:
    browser.open(live.url)
    return browser


def answer(browser: Any, text: str) -> None:
    browser.run("arguments[0].value = arguments[1]", browser.one("#text"), text)
    browser.press("ENTER", browser.one("#submit"))
    browser.until(lambda: browser.all("#result .card"))


def marked(browser: Any) -> list[str]:
    """The mentions of the entity that is shown."""
    return [browser.run("return arguments[0].firstChild.data", mark) for mark in browser.all("mark.same")]


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("old.txt", "Анна Ветрова живёт в Архангельске.".encode("cp1251"), "Анна Ветрова живёт в Архангельске."),
        ("report.docx", docx(paragraph("Анна Ветрова") + paragraph("Осло")), "Анна Ветрова\nОсло"),
        ("report.PDF", pdf(["Anna Berg"], ["Oslo"]), "Anna Berg\n\nOslo"),
    ],
)
def test_a_document_is_read_into_the_field(page: Any, tmp_path: Path, name: str, content: bytes, text: str) -> None:
    (tmp_path / name).write_bytes(content)
    page.one("#file").send_keys(str(tmp_path / name))
    page.until(lambda: page.one("#notice").text == f"{name} is in the field.")
    assert page.one("#text").get_attribute("value") == text
    assert not page.one("#progress").is_displayed()


def test_a_pdf_that_a_browser_printed_is_read(page: Any, live: Any, tmp_path: Path) -> None:
    """In Russian, of two pages, with the fonts and the compression of a real producer."""
    page.driver.get(f"data:text/html;charset=utf-8,{quote(PRINTED)}")
    (tmp_path / "printed.pdf").write_bytes(b64decode(page.driver.print_page()))
    page.open(live.url)
    page.one("#file").send_keys(str(tmp_path / "printed.pdf"))
    page.until(lambda: page.one("#notice").text == "printed.pdf is in the field.")
    text = page.one("#text").get_attribute("value")
    assert "Анна Ветрова живёт в Архангельске и пишет о море." in " ".join(text.split())
    assert "Её брат Пётр уехал в Мурманск." in " ".join(text.split())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("scan.pdf", pdf([], []), "its pages are images"),
        ("secret.pdf", pdf(["Anna"], password="secret"), "has a password"),
        ("old.doc", b"\xd0\xcf\x11\xe0", "only .txt, .docx and .pdf can be read"),
        ("long.pdf", pdf(*[["a"]] * 21), "21 pages; at most 20"),
        ("big.txt", b"a" * 100_001, "at most 100,000 bytes"),
    ],
)
def test_why_a_document_cannot_be_read(page: Any, tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    page.one("#file").send_keys(str(tmp_path / name))
    page.until(lambda: message in page.one("#notice").text)
    assert page.one("#notice").text.startswith(f"{name}: ")
    assert page.flaws() == []


def test_pages_without_text_are_counted(page: Any, tmp_path: Path) -> None:
    (tmp_path / "half.pdf").write_bytes(pdf(["Anna"], [], ["Tom"]))
    page.one("#file").send_keys(str(tmp_path / "half.pdf"))
    page.until(lambda: "1 of its 3 pages have no text" in page.one("#notice").text)


def test_a_text_longer_than_a_request_is_read_in_parts(page: Any) -> None:
    text = "We met Anna Berg in Oslo.\n" * 1500
    page.run(
        "window.seen = [];"
        "new MutationObserver(() => seen.push(document.getElementById('progress-text').textContent))"
        ".observe(document.getElementById('progress'), {childList: true, subtree: true})"
    )
    answer(page, text)
    assert [float(each.rstrip(" %").split()[-1]) for each in page.run("return seen") if "%" in each][-1] == 100
    assert page.one("#result-title").text == "4500 names"
    (place,) = page.all(".mentions tr:last-child .place")
    start, end = page.run("return arguments[0].textContent", place).split("–")
    assert text[int(start) : int(end)] == "Oslo"
    assert not page.one(".mentions").is_displayed(), "of a long text first the shorter list"
    assert page.texts(".names li") == ["We\n1500", "Anna Berg\n1500", "Oslo\n1500"]
    assert not page.all('[data-export="curl"]'), "a request cannot be so long"
    assert not page.one("#progress").is_displayed()


def test_a_failure_in_a_part_is_told(page: Any) -> None:
    answer(page, "a" * 4998 + "\n\n" + "b" * 4995 + "\n\nCRASH")  # of which the last is a part
    assert "could not answer" in page.one(".problem").text


def test_a_wrong_long_form_is_answered_as_any(live: Any) -> None:
    form = {"text": "a" * 40_001}
    response = httpx.post(f"{live.url}long", data=form)
    assert response.status_code == 413
    assert "at most 40000" in response.text


def test_all_mentions_of_an_entity_are_shown(page: Any) -> None:
    answer(page, TEXT)
    assert page.texts(".names li") == ["Анна Ветрова\n3", "Архангельска\n2"]
    page.press("ENTER", page.one('.names a[href="#name-1"]'))
    assert marked(page) == ["Анне Ветровой", "Анна Ветрова", "Ветрова"]
    focus = [page.run("return document.activeElement.id")]
    for _ in range(3):
        page.press("ENTER", page.one('.names a[href="#name-1"]'))
        focus.append(page.run("return document.activeElement.id"))
    assert len(set(focus)) == 3
    assert focus[3] == focus[0], "once more goes on to the next mention, and from the last to the first"
    assert page.one(".names [aria-current]").text == "Анна Ветрова"
    assert page.flaws() == []
    page.press("ESCAPE")
    assert marked(page) == []
    page.one("#name-2").click()
    assert len(marked(page)) == 3
    page.press("SPACE", page.one('[data-type="PER"]'))
    assert page.texts(".names li") == [], "the filters leave none"


def test_entities_are_links_without_scripts(page: Any, live: Any) -> None:
    page.scripts(False)
    page.open(live.url)
    page.one("#text").send_keys(TEXT)
    page.one("#submit").click()
    page.one(".names a").click()
    assert "#name-" in page.driver.current_url


@pytest.mark.parametrize("width", [1000, 360])
def test_the_list_of_entities_fits(page: Any, width: int) -> None:
    page.size(width, 900)
    answer(page, TEXT * 20)
    assert page.overflow() <= 0
    assert page.one(".names").is_displayed()
