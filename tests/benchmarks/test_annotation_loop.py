"""The annotation loop with Label Studio: its invented notes, and the annotator against a stub of the API."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora.formats.label_studio import import_task
from multiner.pipeline.growing.declaration import GrowingCorpus
from multiner.pipeline.growing.records import read_path

TEXT = "M. OKAFOR called KV-1000."
TRUTH = [{"start": 0, "end": 9, "label": "PER"}, {"start": 17, "end": 24, "label": "ORG"}]
TYPES = ["PER", "LOC", "ORG", "MISC"]


@pytest.fixture(scope="module")
def loop(root: Path) -> ModuleType:
    sys.path.insert(0, str(root / "benchmarks"))
    try:
        import annotation_loop
    finally:
        sys.path.remove(str(root / "benchmarks"))
    return annotation_loop


def label_studio(tasks: list[dict[str, Any]]) -> httpx.MockTransport:
    """A project of Label Studio that offers its tasks in turn and exports their annotations."""
    stored: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/projects/":
            return httpx.Response(201, json={"id": 1})
        if request.url.path.endswith("/import"):
            return httpx.Response(201, json={"task_count": len(tasks), "prediction_count": len(tasks)})
        if request.url.path.endswith("/next"):
            prediction = {"id": 7} | tasks[len(stored)]["predictions"][0]
            return httpx.Response(200, json=tasks[len(stored)] | {"id": len(stored), "predictions": [prediction]})
        if request.url.path.endswith("/annotations/"):
            stored.append(json.loads(request.content))
            return httpx.Response(201, json={})
        pairs = zip(tasks, stored, strict=True)
        return httpx.Response(200, json=[{"id": 1, "data": task["data"], "annotations": [one]} for task, one in pairs])

    return httpx.MockTransport(answer)


def test_right_predictions_are_accepted_and_wrong_ones_corrected(loop: ModuleType, tmp_path: Path) -> None:
    wrong = import_task(TEXT, "en", "ner-en/1", [TRUTH[0], TRUTH[1] | {"label": "MISC"}], 0.4)
    right = import_task(f"{TEXT} ", "en", "ner-en/1", TRUTH, 0.6)
    file, export = tmp_path / "tasks.json", tmp_path / "export.json"
    file.write_text("[]")
    with httpx.Client(base_url="http://stub", transport=label_studio([wrong, right])) as client:
        line = loop.annotate(client, file, TYPES, {TEXT: TRUTH, f"{TEXT} ": TRUTH}, export)
    assert line == "Label Studio: 2 predictions; 1 accepted, 1 corrected"
    corpus = GrowingCorpus("studio", "en", None, {label: label for label in TYPES}, 0.0, tmp_path / "raw")
    (document,) = read_path(export, corpus, tmp_path)  # both have the same words
    assert [(span.start, span.end, span.label) for span in document.spans] == [(0, 2, "PER"), (3, 4, "ORG")]


def test_the_held_out_notes_have_other_names(loop: ModuleType) -> None:
    halves = [loop.notes(40, half, loop.PATTERNS, half) for half in (0, 1)]
    names = [
        {text[each["start"] : each["end"]] for text, entities in half.items() for each in entities} for half in halves
    ]
    assert [len(half) for half in halves] == [40, 40]
    assert not names[0] & names[1]


def test_more_notes_than_there_are_names_for_are_refused(loop: ModuleType) -> None:
    patterns = loop.PATTERNS + loop.OTHER_PATTERNS
    assert len(loop.notes(49, 2, patterns, 1)) == 49
    with pytest.raises(NerError, match="the names are enough for 49 notes, not for 60"):
        loop.notes(60, 2, patterns, 1)
