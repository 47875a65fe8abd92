"""The review queue in Debian's Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from multiner.pipeline.corpora.review_queue import CorrectedSentence, ReviewQueue
from multiner.pipeline.corpora.uncertain_texts import UncertainTexts
from multiner.pipeline.text.tokenizer import document_from_text
from tests.serving.sending import TOKEN

pytestmark = pytest.mark.slow
TEXTS = ["Anna Berg left Oslo.", "Tom slept."]


@pytest.fixture(scope="module")
def live(harness: Any, serving: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    document_from_text("", "en")  # takes seconds the first time
    folder = tmp_path_factory.mktemp("review")
    queue, uncertain = ReviewQueue(folder, 100_000), UncertainTexts(folder, 10, 100_000)
    anna = {"start": 0, "end": 9, "label": "PER", "score": 0.2}
    oslo = {"start": 15, "end": 19, "label": "PER", "score": 0.6}
    uncertain.offer("en", [(TEXTS[0], [anna, oslo]), (TEXTS[1], [oslo | {"start": 0, "end": 3}])], "ner-en/3")
    queue.add("en", [CorrectedSentence(("Eva", "slept"), ("B-PER", "O"))], "ner-en/2")
    with serving(harness(review=queue, uncertain=uncertain)) as gateway:
        gateway.queue, gateway.uncertain = queue, uncertain
        yield gateway


def test_an_operator_corrects_accepts_and_discards(live: Any, browser: Any) -> None:
    browser.open(f"{live.url}review")
    assert "sign in as operator" in browser.one("main .notice").text
    browser.open(f"{live.url}models")
    browser.one("#token").send_keys(TOKEN)
    browser.press("ENTER", browser.one("#sign-in button"))
    browser.one("#sign-out")

    browser.open(f"{live.url}review")
    assert browser.one("#doubt-title").text == "2 texts in doubt"
    assert [mark.text for mark in browser.all("#result mark")] == ["Anna BergPER", "OsloPER"]
    assert browser.flaws() == []
    browser.press("ENTER", browser.tab_to("#name-2"))
    browser.press("SPACE", browser.one('#correction [value="LOC"]'))
    browser.press("ENTER", browser.one("#correction .primary"))
    browser.until(lambda: [mark.text for mark in browser.all("#result mark")] == ["Anna BergPER", "OsloLOC"])
    assert len(live.queue.read("en")) == 1, "nothing is kept yet"
    browser.press("ENTER", browser.one("#accept"))
    browser.until(lambda: browser.texts("#doubt-title") == ["1 text in doubt"])
    assert [each.tags for each in live.queue.read("en")][-1] == ("B-PER", "I-PER", "O", "B-LOC", "O")

    browser.press("ENTER", browser.one("#discard"))
    browser.until(lambda: browser.texts("#doubt-title") == ["No texts in doubt"])
    assert browser.one("#corrections-title").text == "2 corrected sentences"
    browser.press("ENTER", browser.one('[aria-label="Discard: Eva slept"]'))
    browser.until(lambda: browser.texts("#corrections-title") == ["1 corrected sentence"])
    assert live.uncertain.read("en") == []
    browser.size(360, 900)
    assert browser.overflow() <= 0
    assert browser.flaws() == []
    assert not browser.errors()


def test_an_operator_compares_two_versions(live: Any, browser: Any) -> None:
    browser.open(f"{live.url}models")
    if browser.all("#sign-in"):
        browser.one("#token").send_keys(TOKEN)
        browser.press("ENTER", browser.one("#sign-in button"))
    browser.one('#desk a[href="/compare"]').click()
    browser.one("#text").send_keys("We met Tom.")
    browser.one("[name=version]").send_keys("2")
    browser.press("ENTER", browser.one("main [type=submit]"))
    assert browser.one("#side-2").text == "ner-en version 2"
    assert browser.flaws() == []
    browser.size(360, 900)
    assert browser.overflow() <= 0
