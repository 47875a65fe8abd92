"""The page in Debian's Chromium: everything that an analyst can do with it."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from multiner.pipeline.corpora.review_queue import ReviewQueue
from multiner.pipeline.text.tokenizer import document_from_text
from multiner.serving.documents.extraction import DocumentLimits
from multiner.serving.http.payload import Limits
from multiner.serving.page.examples import EXAMPLES
from tests.serving.stand_in import find

pytestmark = pytest.mark.slow
TEXT = "We met Anna Berg and <b>Tom</b>.\nlater Anna Berg left for Oslo."
TYPES = {"Oslo": "LOC", "Tom": "MISC"}
SCORES = {"Oslo": 0.4, "Tom": 0.95}


def entity(view: dict[str, Any]) -> dict[str, Any]:
    """An entity of the stand-in with a type and score that tell it from others; only Oslo is not disputed."""
    label = TYPES.get(view["text"], "PER")
    views = {"transformer": {"label": label, "score": 0.9}, "spacy": {"label": None, "score": None}}
    agreed = {"transformer": {"label": label, "score": 0.9}}
    legs = agreed if view["text"] == "Oslo" else views
    return view | {"label": label, "score": SCORES.get(view["text"], 0.875), "legs": legs}


@pytest.fixture(scope="module")
def live(harness: Any, serving: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    document_from_text("", "en")  # takes seconds the first time
    queue = ReviewQueue(tmp_path_factory.mktemp("review"), 100_000)
    made = harness(
        find=lambda text: [entity(each) for each in find(text)],
        review=queue,
        limits=Limits(4, 120_000, 20),
        documents=DocumentLimits(480_000, 20, 150_000, 60),
    )
    with serving(made) as gateway:
        gateway.queue = queue
        yield gateway


@pytest.fixture
def page(live: Any, browser: Any) -> Any:
    """The page with TEXT answered; nothing in the review queue."""
    live.queue.path("en").unlink(missing_ok=True)
    browser.open(live.url)
    answer(browser, TEXT)
    return browser


def answer(browser: Any, text: str) -> None:
    field = browser.one("#text")
    browser.run("arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))", field, text)
    browser.run("document.querySelector('#result').replaceChildren()")
    browser.press("ENTER", browser.one("#submit"))
    browser.until(lambda: browser.all("#result .card"))


def shown(browser: Any) -> list[str]:
    """The names that are marked, with their types."""
    return [mark.text for mark in browser.all("mark:not(.off)")]


def types(browser: Any) -> dict[str, int]:
    """The counts that the filter by type shows."""
    boxes = browser.all("[data-type]")
    return {
        box.get_attribute("data-type"): int(
            browser.run("return arguments[0].parentElement.querySelector('b').textContent", box)
        )
        for box in boxes
    }


def set_slider(browser: Any, value: int) -> None:
    slider = browser.one("#least")
    browser.press("HOME", slider)
    slider.send_keys("\ue014" * value)  # arrow right


def test_a_text_is_answered_without_a_reload(page: Any, live: Any) -> None:
    assert shown(page) == ["WePER", "Anna BergPER", "TomMISC", "Anna BergPER", "OsloLOC"]
    assert not page.all(".reading b"), "the text must not turn into markup"
    assert page.texts("tbody .place")[1] == "7–16"
    assert page.texts("tbody .differs")[0].startswith("no entity")
    from selenium.webdriver.common.by import By

    page.driver.find_element(By.LINK_TEXT, "Новый музей").click()
    page.until(lambda: "Russian" in page.one(".result-head .fine").text)
    assert page.driver.current_url == live.url
    assert page.one("#text").get_attribute("value") == EXAMPLES["museum"]["text"]
    page.one("#text").send_keys("\ue009z\ue000")
    assert page.one("#text").get_attribute("value") == TEXT, "Ctrl+Z brings back what an example has replaced"
    assert not page.errors()


def test_what_is_too_long_is_told_and_stays(page: Any) -> None:
    answer(page, "я" * 150_001)
    assert "at most 150000" in page.one(".problem").text
    assert "over" in page.one("#count").get_attribute("class")
    assert page.run("return document.getElementById('text').value.length") == 150_001


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Anna\r\nBerg – Осло 😀".encode(), "Anna\nBerg – Осло 😀"),
        ("Анна".encode("utf-8-sig"), "Анна"),
        (b"\xff\xfe" + "Анна 😀".encode("utf-16-le"), "Анна 😀"),
        (b"\xfe\xff" + "Анна 😀".encode("utf-16-be"), "Анна 😀"),
    ],
)
def test_a_file_is_read_as_it_was_written(page: Any, tmp_path: Path, content: bytes, text: str) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    page.one("#file").send_keys(str(path))
    page.until(lambda: page.one("#notice").text == "text.txt is in the field.")
    assert page.one("#text").get_attribute("value") == text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Anna".encode("utf-16-le"), "This is no plain text"),
        (b" \n", "The file is empty"),
        (b"a" * 150_001, "more than 150,000 characters"),
        (b"a" * 480_001, "too large; at most 480,000 bytes"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_and_nothing_is_lost(
    page: Any, tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    page.one("#file").send_keys(str(path))
    page.until(lambda: message in page.one("#notice").text)
    assert page.one("#notice").text.startswith("bad.txt: ")
    assert page.one("#text").get_attribute("value") == TEXT


DROP = """
const transfer = new DataTransfer();
for (const name of arguments[1]) transfer.items.add(new File(["Anna Berg"], name, {type: "text/plain"}));
for (const kind of ["dragenter", "dragover", "drop"]) {
  const event = new DragEvent(kind, {dataTransfer: transfer, bubbles: true, cancelable: true});
  arguments[0].dispatchEvent(event);
  if (!event.defaultPrevented) throw new Error("the browser would open the file");
}
"""


def test_a_file_is_dropped_on_the_field(page: Any) -> None:
    page.run(DROP, page.one("#text"), ["a.txt", "b.txt"])
    page.until(lambda: "One file at a time" in page.one("#notice").text)
    page.run(DROP, page.one("footer"), ["a.txt"])
    assert page.one("#text").get_attribute("value") == TEXT, "beside the field nothing happens"
    page.run(DROP, page.one("#text"), ["a.txt"])
    page.until(lambda: page.one("#text").get_attribute("value") == "Anna Berg")
    assert page.one("#count").text == "9 of 150,000 characters"


def test_a_file_is_chosen_by_keyboard(page: Any) -> None:
    page.run("document.getElementById('file').click = () => { document.title = 'asked for a file' }")
    page.run("scrollTo(0, 0); document.activeElement.blur()")
    page.press("ENTER", page.tab_to("#choose"))
    page.until(lambda: page.driver.title == "asked for a file")


def test_a_name_tells_its_score_under_the_pointer_and_with_the_focus(page: Any) -> None:
    page.hover(page.all("mark")[1])
    page.until(lambda: page.texts("#tip"))
    assert page.texts("#tip") == ["Person · 87.5%\nTransformer: PER 90%\n≠ spaCy: no entity"]
    page.press("ESCAPE")
    assert page.texts("#tip") == []
    page.hover(page.one("h1"))
    mark = page.tab_to("#name-5")
    assert page.texts("#tip") == ["Location · 40.0%\nTransformer: LOC 90%"]
    assert mark.get_attribute("aria-describedby") == "tip"
    page.press("TAB")
    assert page.texts("#tip") == []


def test_filters_act_at_once_on_marks_and_lists(page: Any) -> None:
    assert types(page) == {"PER": 3, "LOC": 1, "MISC": 1}
    page.press("SPACE", page.one('[data-type="PER"]'))
    assert shown(page) == ["TomMISC", "OsloLOC"]
    assert page.texts(".mentions tbody th") == ["Tom", "Oslo"]
    assert page.one("#result-title").text == "2 of 5 names"
    set_slider(page, 50)
    assert page.one("output").text == "50 %"
    assert shown(page) == ["TomMISC"]
    assert types(page) == {"PER": 3, "LOC": 0, "MISC": 1}
    assert page.one("#name-5").get_attribute("tabindex") == "-1", "what is not marked takes no focus"
    page.press("ENTER", page.one("#show-all"))
    assert len(shown(page)) == 5
    page.press("SPACE", page.one("#disputed"))
    assert [name for name in shown(page) if "Oslo" in name] == []
    assert len(page.texts(".mentions tbody th")) == 4


def test_filters_hold_for_the_next_answer(page: Any) -> None:
    set_slider(page, 90)
    answer(page, "Tom left Oslo for Anna.")
    assert shown(page) == ["TomMISC"]
    assert page.one("#least").get_attribute("value") == "90"
    assert page.one("#result-title").text == "1 of 3 names"


def test_names_are_counted(page: Any) -> None:
    page.press("SPACE", page.one("#by-name"))
    rows = page.texts(".groups tbody tr")
    assert rows[0].split() == ["Anna", "Berg", "Person", "2", "87.5", "%"]
    assert len(rows) == 4
    assert not page.one(".mentions").is_displayed()
    page.press("SPACE", page.one('[data-type="PER"]'))
    assert [row.split()[0] for row in page.texts(".groups tbody tr")] == ["Tom", "Oslo"]


def test_csv_is_what_the_filters_leave_with_exact_offsets(page: Any) -> None:
    page.press("SPACE", page.one('[data-type="MISC"]'))
    page.press("ENTER", page.one('[data-export="csv"][data-save]'))
    content = page.downloaded("names.csv").decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(content)))
    assert [TEXT[int(row["start"]) : int(row["end"])] for row in rows] == [row["text"] for row in rows]
    assert [(row["text"], row["type"], row["times"]) for row in rows] == [
        ("We", "PER", "1"),
        ("Anna Berg", "PER", "2"),
        ("Anna Berg", "PER", "2"),
        ("Oslo", "LOC", "1"),
    ]
    page.press("ENTER", page.one('[data-export="csv"]:not([data-save])'))
    page.until(lambda: page.one("#toast").text == "4 names as CSV: copied")
    assert page.clipboard().replace("\r\n", "\n") == content.replace("\r\n", "\n")


def test_json_is_what_the_filters_leave(page: Any) -> None:
    page.press("SPACE", page.one('[data-type="PER"]'))
    page.press("ENTER", page.one('[data-export="json"][data-save]'))
    saved = json.loads(page.downloaded("names.json"))
    assert saved["model"] == {"name": "ner-en", "version": "1"}
    assert [(each["text"], each["start"], each["score"]) for each in saved["entities"]] == [
        ("Tom", 24, 0.95),
        ("Oslo", 58, 0.4),
    ]
    assert saved["counts"][0] == {"text": "Tom", "label": "MISC", "times": 1}
    page.press("ENTER", page.one('[data-export="json"]:not([data-save])'))
    page.until(lambda: "copied" in page.one("#toast").text)
    assert json.loads(page.clipboard()) == saved


def test_spreadsheets_run_no_formula_of_a_text(page: Any) -> None:
    script = "import('/static/exports.js').then(m => arguments[1](arguments[0].map(m.cell)))"
    evil = ["=1+1", "+1", "-1", "@A1", "\t=1", "\r=1", "＝1", 'say "hi", you', "a=1", "Anna"]
    cells = page.driver.execute_async_script(script, evil)
    (read,) = csv.reader(io.StringIO(",".join(cells), newline=""))
    assert read == [*(f"'{text}" for text in evil[:7]), *evil[7:]]


CURLED = ["It's Anna's: \"$HOME\" `id` $(id) \\n !x\nТомас 😀 Oslo", "Oslo 'END'\nEND\n" + "Анна " * 20_000]


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl")
@pytest.mark.parametrize("text", CURLED, ids=["quotes", "long"])
@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_what_is_copied_as_curl_runs_in_a_shell(page: Any, text: str, shell: str) -> None:
    answer(page, text)
    expected = json.loads(page.one("[data-answer]").get_attribute("data-answer"))
    page.press("SPACE", page.one('[data-type="LOC"], [data-type="PER"]'))
    set_slider(page, 3)
    left = page.texts("#result-title")[0]
    page.press("ENTER", page.one('[data-export="curl"]'))
    page.until(lambda: page.one("#toast").text == "The command: copied")
    process = subprocess.run([shell], input=page.clipboard(), capture_output=True, text=True, timeout=60, check=True)
    (result,) = json.loads(process.stdout)["results"]
    assert result["language"] == expected["language"]
    assert result["entities"]
    assert all(text[each["start"] : each["end"]] == each["text"] for each in result["entities"])
    off = page.one("[data-type]:not(:checked)").get_attribute("data-type")
    visible = [each for each in expected["entities"] if each["label"] != off and each["score"] >= 0.03]
    assert result["entities"] == visible
    assert left.startswith(f"{len(visible)} of ")


def save(page: Any) -> None:
    before = page.run("return document.querySelector('[data-answer]').dataset.answer")
    page.press("ENTER", page.one("#correction .primary"))
    page.until(lambda: not page.all("dialog[open]"))
    assert page.run("return document.querySelector('[data-answer]').dataset.answer") != before


def select(page: Any, start: int, end: int) -> None:
    """Select in the passage, in UTF-16 code units."""
    page.run("arguments[0].setSelectionRange(arguments[1], arguments[2])", page.one("#passage"), start, end)


def choose_type(page: Any, label: str) -> None:
    page.press("SPACE", page.one(f'#correction [value="{label}"]'))


def visible(live: Any) -> list[tuple[str, str]]:
    """What is in the queue: words and tags."""
    return [(" ".join(each.words), " ".join(each.tags)) for each in live.queue.read("en")]


def test_the_type_of_a_name_is_corrected_by_keyboard(page: Any, live: Any) -> None:
    page.press("ENTER", page.tab_to("#name-5"))
    assert page.one("#corrector-title").text == "Correct “Oslo”"
    assert page.one("#chosen").text == "Oslo"
    assert page.texts("#replaces") == [] or page.one("#replaces").text == ""
    choose_type(page, "ORG")
    save(page)
    assert shown(page)[-1] == "OsloORG"
    assert page.run("return document.activeElement.id") == "name-5", "the focus stays with the name"
    assert "corrected by you" in page.one("#tip").text
    assert "kept for review" in page.one("#toast").text
    assert visible(live) == [("later Anna Berg left for Oslo .", "O B-PER I-PER O O B-ORG O")]
    assert live.queue.read("en")[0].model == "ner-en/1"


def test_boundaries_are_corrected_by_selecting(page: Any, live: Any) -> None:
    page.one("#name-2").click()
    passage = page.one("#passage")
    passage.send_keys("\ue011")  # Home
    for _ in range(7):
        passage.send_keys("\ue014")
    passage.send_keys("\ue008" + "\ue014" * 4 + "\ue000")  # Shift and the right arrow
    page.until(lambda: page.one("#chosen").text == "Anna")
    save(page)
    assert shown(page)[1] == "AnnaPER"
    assert visible(live)[0][1].split()[:5] == ["B-PER", "O", "B-PER", "O", "O"]


def test_what_is_no_name_is_taken_out(page: Any, live: Any) -> None:
    page.press("ENTER", page.one('[data-correct="1"]'))
    page.press("ENTER", page.one("#no-name"))
    page.until(lambda: len(shown(page)) == 4)
    assert shown(page)[0] == "Anna BergPER"
    assert visible(live)[0][1].split()[:4] == ["O", "O", "B-PER", "I-PER"]


def test_a_missed_name_is_marked(page: Any, live: Any) -> None:
    page.run(
        "const text = document.querySelector('#name-4').nextSibling;"
        "getSelection().setBaseAndExtent(text, 0, text, ' left'.length)"
    )
    page.one("#missed").click()
    assert page.one("#corrector-title").text == "Mark a missed name"
    assert page.one("#chosen").text == "left"
    assert not page.one("#no-name").is_displayed()
    choose_type(page, "ORG")
    save(page)
    assert "leftORG" in shown(page)
    assert visible(live) == [("later Anna Berg left for Oslo .", "O B-PER I-PER B-ORG O B-LOC O")]


def test_offsets_of_a_correction_count_code_points(page: Any, live: Any) -> None:
    answer(page, "😀😀 Tom\n😀 was with ann here")
    page.one("#missed").click()
    at = "😀😀 Tom\n😀 was with ".encode("utf-16-le")
    select(page, len(at) // 2, len(at) // 2 + 3)
    save(page)
    assert [each.split("\n")[0] for each in shown(page)] == ["TomMISC", "annPER"]
    assert visible(live) == [("😀 was with ann here", "O O O B-PER O")]


def test_nothing_selected_is_told_and_escape_leaves(page: Any, live: Any) -> None:
    page.one("#missed").click()
    page.press("ENTER", page.one("#correction .primary"))
    assert page.one("#correction-problem").text == "Select the name in the text first."
    page.press("ESCAPE")
    assert not page.all("dialog[open]")
    assert page.run("return document.activeElement.id") == "missed"
    assert visible(live) == []


def test_a_name_that_overlaps_is_named_before_it_is_replaced(page: Any, live: Any) -> None:
    page.one("#missed").click()
    select(page, 7, 27)
    page.until(lambda: page.texts("#replaces"))
    assert page.one("#replaces").text == "in place of “Anna Berg”, “Tom”"
    save(page)
    assert len(shown(page)) == 4


def test_a_full_queue_is_told_and_the_answer_stays(page: Any, live: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live.queue, "most_bytes", 10)
    page.one("#name-5").click()
    choose_type(page, "ORG")
    page.press("ENTER", page.one("#correction .primary"))
    page.until(lambda: "The review queue is full" in page.one("#correction-problem").text)
    page.press("ESCAPE")
    assert shown(page)[-1] == "OsloLOC"


def test_without_scripts_the_form_has_the_filters(live: Any, browser: Any) -> None:
    browser.scripts(False)
    browser.open(live.url)
    browser.one("#text").send_keys(TEXT)
    browser.one("[name=min_score]").clear()
    browser.one("[name=min_score]").send_keys("0.5")
    browser.one('[name=types][value="MISC"]').click()
    browser.one('[name=types][value="LOC"]').click()
    browser.one("#submit").click()
    browser.until(lambda: [mark.text for mark in browser.all("mark")] == ["TomMISC"])
    assert browser.one('[name=types][value="LOC"]').is_selected()
    assert not [each for each in browser.all("#result button, .scripts") if each.is_displayed()]


def test_everything_by_keyboard_alone(live: Any, browser: Any) -> None:
    browser.open(live.url)
    browser.tab_to("#text").send_keys(TEXT)
    browser.tab_to("[name=language]")
    browser.press("ENTER", browser.tab_to("#submit"))
    browser.until(lambda: browser.all("mark"))
    assert browser.run("return document.activeElement.id") == "result"
    selectors = ['[data-type="PER"]', "#disputed", "#least", "#name-1", "#missed", '[data-export="curl"]']
    for selector in [*selectors, "[name=rows]", '[data-export="csv"]', '[data-correct="1"]']:
        browser.tab_to(selector)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1000, 360])
def test_everyone_can_use_it(live: Any, browser: Any, scheme: str, width: int) -> None:
    browser.scheme(scheme)
    browser.size(width, 780)
    browser.open(live.url)
    assert browser.flaws() == []
    assert browser.overflow() == 0
    answer(browser, EXAMPLES["harbour"]["text"] + "\n" + TEXT)
    browser.press("SPACE", browser.one('[data-type="LOC"]'))
    browser.hover(browser.one("#name-1"))
    assert browser.flaws() == []
    assert browser.overflow() == 0, "no sideways scrolling"
    browser.one("#missed").click()
    assert browser.flaws() == []
    assert browser.overflow() == 0
    browser.press("ESCAPE")
    answer(browser, "a" * 120_001)
    assert browser.flaws() == []
    assert not [error for error in browser.errors() if "413" not in error]


def test_off_there_are_no_buttons(harness: Any, serving: Any, browser: Any) -> None:
    with serving(harness()) as plain:
        browser.open(plain.url)
        answer(browser, TEXT)
        assert browser.all("mark")
        assert not browser.all("#missed, [data-correct], dialog, mark[role]")
        browser.one("mark").click()
        assert browser.texts("#tip")
        assert "neither stored nor logged" in browser.one("footer").text
        assert not browser.errors()
