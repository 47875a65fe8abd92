"""The page as HTML, without a browser."""

from __future__ import annotations

import asyncio
import re
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from multiner.pipeline.corpora.review_queue import ReviewQueue
from multiner.serving.page.examples import EXAMPLES
from multiner.serving.page.rendering import TEMPLATES
from multiner.serving.page.view import counts, groups, marks, segments

ENTITY = {"start": 4, "end": 8, "text": "Anna", "label": "PER", "score": 0.9}


def post(harness: Any, data: dict[str, Any], headers: dict[str, str] | None = None, **settings: Any) -> httpx.Response:
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
    pieces = list(segments("Hi, Anna Bob", [(mark.start, mark.end, mark) for mark in marked]))
    assert "".join(piece for piece, _ in pieces) == "Hi, Anna Bob"
    assert [mark.text for _, mark in pieces if mark] == ["Anna", "Bob"]
    assert counts(mark.label for mark in marked) == {"PER": 2}


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


def test_without_scripts_the_form_filters(harness: Any) -> None:
    low = post(harness, {"text": "Anna Berg", "language": "en", "min_score": "0.8", "types": ["PER", "LOC"]})
    assert "<mark" in low.text
    assert re.findall(r'value="(\w+)" checked', low.text)[:2] == ["PER", "LOC"], "what was chosen stays chosen"
    assert 'value="0.8"' in low.text
    assert "<mark" not in post(harness, {"text": "Anna Berg", "min_score": "0.9"}).text
    assert "<mark" not in post(harness, {"text": "Anna Berg", "types": ["LOC"]}).text


def test_mentions_of_a_name_are_one_in_the_list() -> None:
    again = ENTITY | {"start": 20, "end": 24, "score": 0.95}
    other = ENTITY | {"start": 30, "end": 34, "label": "LOC", "score": None}
    names = [
        {"text": "Anna", "label": "LOC", "forms": ["Anna"], "mentions": [2]},
        {"text": "Anna", "label": "PER", "forms": ["Anna"], "mentions": [0, 1]},
    ]
    listed = groups(names, marks([ENTITY, again, other]))
    assert [(each.number, each.label, each.score, each.numbers) for each in listed] == [
        (2, "PER", 0.95, (1, 2)),
        (1, "LOC", None, (3,)),
    ]


def test_inflected_names_are_one_entity(harness: Any) -> None:
    html = post(harness, {"text": "Анна Ветрова и Том. О Анне Ветровой.", "language": "ru"}).text
    assert re.findall(r'<a href="#name-1" data-group="1" dir="auto" title="([^"]+)">Анна Ветрова</a>', html) == [
        "Анна Ветрова · Анне Ветровой"
    ]
    assert re.findall(r'data-number="(\d)" data-group="(\d)"', html)[0] == ("1", "1")


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
        ({"text": "a", "min_score": "much"}, {}, 422, "min_score must be"),
        ({"text": "a", "min_score": "nan"}, {}, 422, "min_score must be"),
        ({"text": "a", "types": ["CITY"]}, {}, 422, "known types are"),
        ({"text": "CRASH", "language": "en"}, {}, 502, "could not answer"),
        ({"text": "Anna"}, {"champions": {"en": None}}, 503, "No model"),
    ],
)
def test_errors_are_shown_on_the_page(
    harness: Any, data: dict[str, Any], settings: dict[str, Any], status: int, message: str
) -> None:
    response = post(harness, data, **settings)
    assert response.status_code == status
    assert response.headers["content-type"].startswith("text/html")
    assert 'role="alert"' in response.text
    assert message in response.text
    assert f"{data['text']}</textarea>" in response.text, "the text is not lost"
    assert "Traceback" not in response.text


def test_nothing_comes_from_outside(harness: Any) -> None:
    async def main() -> tuple[httpx.Response, list[httpx.Response]]:
        async with harness().client() as client:
            page = await client.get("/?example=museum")
            assets = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)
            imports = re.findall(r'from "\./([^"]+)"', (await client.get("/static/page.js")).text)
            return page, [await client.get(asset) for asset in [*assets, *(f"/static/{name}" for name in imports)]]

    page, assets = asyncio.run(main())
    assert unescape(page.text).count(EXAMPLES["museum"]["text"]) == 2
    assert len(assets) >= 8
    for response in (page, *assets):
        assert response.status_code == 200
        assert not re.findall(r"(?:https?:)?//(?!www\.w3\.org)[\w.]+\.\w", response.text.replace("// ", ""))
        assert response.headers["x-content-type-options"] == "nosniff"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"\son\w+=|<style|style=|<script(?! src)", page.text), "the policy would forbid it"


def test_every_block_of_a_page_has_its_place_in_the_frame() -> None:
    """Jinja drops a block that the template it extends does not have."""
    frame = TEMPLATES.get_template("base.html").blocks.keys()
    blocks = {name: TEMPLATES.get_template(name).blocks.keys() for name in TEMPLATES.list_templates(["html"])}
    assert {name: own - frame for name, own in blocks.items() if own - frame} == {}
    assert blocks["models.html"] >= {"title", "head", "main", "footer"}


@pytest.mark.parametrize("on", [False, True])
def test_the_footer_says_what_is_kept(harness: Any, tmp_path: Path, on: bool) -> None:
    settings = {"review": ReviewQueue(tmp_path, 10_000)} if on else {}
    html = post(harness, {"text": "We saw Anna Berg.", "language": "en"}, **settings).text
    assert ("Texts are neither stored nor logged." in html) != on
    assert ("its sentence is kept on this server" in html) == on
    assert ("data-correct" in html) == ('id="missed"' in html) == ('id="corrector"' in html) == on
    assert not list(tmp_path.iterdir()), "reading a text keeps nothing"


def test_corrections_of_the_page_are_those_of_the_api_and_show_the_text_anew(harness: Any, tmp_path: Path) -> None:
    queue = ReviewQueue(tmp_path, 10_000)
    legs = {"spacy": {"label": None, "score": None, "start": None, "end": None}}
    body = {
        "text": "We saw Anna <Berg>.",
        "language": "en",
        "model": {"name": "ner-en", "version": "1"},
        "entities": [{"start": 7, "end": 11, "label": "LOC", "score": 0.5, "legs": legs, "corrected": True}],
    }

    async def main(**change: Any) -> httpx.Response:
        async with harness(review=queue).client() as client:
            return await client.post("/corrections", json=body | change)

    shown = asyncio.run(main())
    assert shown.status_code == 200
    assert reading(shown.text) == "We saw Anna <Berg>."
    assert "Location · 50.0% · corrected by you" in shown.text
    assert queue.read("en")[0].tags[2] == "B-LOC"
    broken = [body["entities"][0] | {"legs": {"spacy": {"start": "<b>", "end": 2}}}]
    assert asyncio.run(main(entities=broken)).status_code == 422


def test_without_review_the_page_takes_no_corrections(harness: Any) -> None:
    async def main() -> httpx.Response:
        async with harness().client() as client:
            return await client.post("/corrections", json={})

    assert asyncio.run(main()).status_code == 404
