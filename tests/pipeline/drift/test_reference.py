"""The reference of a version: made of its documents and predictions, kept in its run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from multiner.pipeline.config.settings import Workspace, load_params
from multiner.pipeline.core.document import Span, from_words, write_jsonl
from multiner.pipeline.drift.reference import Reference, reference_of


@pytest.fixture
def workspace(tmp_path: Path, root: Path) -> Workspace:
    """Two invented corpora; the evaluation has predicted one of them."""
    home = Workspace(tmp_path, load_params(root, "cpu"))
    documents = home.paths.documents("en")
    for corpus in ("conll2003", "wnut17"):
        train = from_words("t", [["Ada", "saw", "Oslo"]], [Span(0, 1, "PER")])
        dev = from_words("d", [["Clara", "saw", "Oslo", "again"], ["So", "what"]], [Span(0, 1, "PER")])
        write_jsonl(documents / f"{corpus}.train.jsonl", [train])
        write_jsonl(documents / f"{corpus}.dev.jsonl", [dev])
    person, place = [0, 1, "PER", 0.75], [2, 3, "LOC", 0.999]
    predictions = {"id": "d", "gold": [], "transformer": [person, place], "spacy": [place], "ensemble": [person, place]}
    file = home.paths.report("en") / "predictions" / "conll2003.dev.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(predictions) + "\n", encoding="utf-8")
    return home


def test_texts_are_of_training_and_development_and_answers_of_development_alone(workspace: Workspace) -> None:
    reference = reference_of(workspace, "en")
    assert reference is not None
    sketch = reference.sketch
    assert sum(sketch.histogram("sentence")) == pytest.approx(2)
    assert sketch.histogram("unknown") == pytest.approx([0, 0, 0, 0, 0, 0.5, 0, 0.5]), "of Clara saw Oslo again two"
    assert sketch.histogram("entities PER")[:2] == pytest.approx([0.5, 0.5])
    assert sketch.histogram("score")[4] == pytest.approx(0.5)
    assert sketch.histogram("agreement") == pytest.approx([0, 0, 0.5, 0.5])


def test_it_survives_json_without_any_word(workspace: Workspace) -> None:
    reference = reference_of(workspace, "en")
    assert reference is not None
    text = json.dumps(reference.to_json())
    assert "oslo" not in text.lower()
    restored = Reference.from_json(json.loads(text))
    assert restored.vocabulary == reference.vocabulary
    assert len(restored.vocabulary) == 3
    assert restored.sketch.to_json() == reference.sketch.to_json()


def test_without_predictions_there_is_none(workspace: Workspace) -> None:
    (workspace.paths.report("en") / "predictions" / "conll2003.dev.jsonl").unlink()
    assert reference_of(workspace, "en") is None
