"""Answers in doubt are kept for annotation where the parameter asks for it, and disturb nothing."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from multiner.pipeline.corpora.uncertain_texts import UncertainTexts
from multiner.serving import executors
from multiner.serving.backends.backend import ServedModel
from multiner.serving.routing.uncertain_answers import UncertainAnswers

MODEL = ServedModel("en", "ner-en", "4", "models:/ner-en/4")


def found(score: float) -> list[dict[str, Any]]:
    return [{"start": 0, "end": 4, "label": "LOC", "score": score, "text": "Oslo"}]


def written() -> None:
    """Returns when both threads have done what they were given before."""
    both_free = threading.Barrier(2)
    for each in [executors.FILES.submit(both_free.wait) for _ in range(2)]:
        each.result()


def test_only_answers_in_doubt_are_kept(tmp_path: Path) -> None:
    texts = UncertainTexts(tmp_path, 2, 10_000)
    answers = UncertainAnswers(texts)
    answers.offer(MODEL, ["Oslo one", "Oslo two"], [found(0.99), found(0.4)])
    written()
    assert [(each.text, each.model) for each in texts.read("en")] == [("Oslo two", "ner-en/4")]


def test_a_file_that_cannot_be_written_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "review").write_text("no folder")
    answers = UncertainAnswers(UncertainTexts(tmp_path / "review", 2, 10_000))
    answers.offer(MODEL, ["Oslo"], [found(0.4)])
    written()
    assert "uncertain text not kept" in caplog.text


def test_the_gateway_keeps_the_texts_of_its_answers(harness: Any, tmp_path: Path) -> None:
    texts = UncertainTexts(tmp_path, 5, 10_000)

    async def main(**settings: Any) -> int:
        async with harness(**settings).client() as client:
            return (await client.post("/v1/entities", json={"text": "Oslo", "language": "en"})).status_code

    assert asyncio.run(main(uncertain=texts)) == 200
    written()
    assert [each.text for each in texts.read("en")] == ["Oslo"]
