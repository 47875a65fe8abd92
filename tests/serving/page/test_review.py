"""The review queue for operators, without a browser."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from multiner.pipeline.corpora.review_queue import CorrectedSentence, ReviewQueue
from multiner.pipeline.corpora.uncertain_texts import UncertainTexts
from tests.serving.sending import TOKEN

OPERATOR = {"Authorization": f"Bearer {TOKEN}"}
ENTITY = {"start": 0, "end": 4, "label": "PER", "score": 0.3}
TEXT = "Anna left. It rained."
MODEL = {"name": "ner-en", "version": "3"}


class Queues:
    """A gateway's queues with a text in doubt and a correction, and calls to the gateway."""

    def __init__(self, harness: Any, folder: Path) -> None:
        self.review, self.uncertain = ReviewQueue(folder, 100_000), UncertainTexts(folder, 10, 100_000)
        self.uncertain.offer("en", [(TEXT, [ENTITY])], "ner-en/3")
        self.review.add("en", [CorrectedSentence(("Tom", "slept"), ("B-PER", "O"))], "ner-en/2")
        self.harness = harness

    def call(self, method: str, path: str, **request: Any) -> httpx.Response:
        async def main() -> httpx.Response:
            settings = {"review": self.review, "uncertain": self.uncertain}
            async with self.harness(**settings).client(settle=False) as client:
                return await client.request(method, path, **{"headers": OPERATOR} | request)

        return asyncio.run(main())


@pytest.fixture
def queues(harness: Any, tmp_path: Path) -> Queues:
    return Queues(harness, tmp_path)


def test_without_a_queue_there_is_no_page(harness: Any) -> None:
    async def main() -> int:
        async with harness().client(settle=False) as client:
            return (await client.get("/review")).status_code

    assert asyncio.run(main()) == 404


def test_only_operators_see_texts_and_give_orders(queues: Queues) -> None:
    page = queues.call("GET", "/review", headers={})
    assert page.status_code == 200
    assert "sign in as operator" in page.text
    assert "Anna" not in page.text
    for path in ("corrected", "accept", "discard"):
        assert queues.call("POST", f"/review/{path}", headers={}, json={}).status_code == 401


def test_an_accepted_text_is_in_the_queue_and_no_longer_in_doubt(queues: Queues) -> None:
    body = {"text": TEXT, "language": "en", "model": MODEL, "entities": [ENTITY | {"label": "ORG"}]}
    assert queues.call("POST", "/review/accept", json=body).status_code == 204
    assert queues.uncertain.read("en") == []
    kept = {" ".join(each.words): (each.tags, each.model) for each in queues.review.read("en")}
    assert kept["Anna left ."] == (("B-ORG", "O", "O"), "ner-en/3")
    assert kept["It rained ."] == (("O", "O", "O"), "ner-en/3")


def test_a_correction_before_the_text_is_accepted_is_not_kept(queues: Queues) -> None:
    body = {"text": TEXT, "language": "en", "model": MODEL, "entities": [ENTITY | {"label": "ORG"}]}
    assert "ORG" in queues.call("POST", "/review/corrected", json=body).text
    assert len(queues.review.read("en")) == 1
    assert len(queues.uncertain.read("en")) == 1


def test_texts_and_corrections_are_discarded(queues: Queues) -> None:
    queues.review.add("en", [CorrectedSentence(("Eva", "slept"), ("B-PER", "O"))], "ner-en/2")
    (tom, eva) = queues.review.read("en")
    assert queues.call("POST", "/review/discard", json={"language": "en", "id": tom.id}).status_code == 204
    assert queues.review.read("en") == [eva]
    assert queues.review.path("en").stat().st_mode & 0o777 == 0o600
    assert queues.call("POST", "/review/discard", json={"language": "en", "text": TEXT}).status_code == 204
    assert queues.uncertain.read("en") == []
    assert queues.call("POST", "/review/discard", json={"language": "en"}).status_code == 422
