"""Texts in doubt: which are kept, how many, and that they go out to Label Studio."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from multiner.pipeline.cli import commands
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora.uncertain_texts import UncertainTexts, doubt


def entity(score: float | None, *legs: str, label: str = "PER") -> dict[str, Any]:
    """An entity at 0:4 with a score; ``legs`` are the labels that the legs give it (empty: none)."""
    views = {
        f"leg{n}": {"start": 0, "end": 4, "label": leg, "score": 0.5} if leg else {"start": None, "end": None}
        for n, leg in enumerate(legs)
    }
    return {"start": 0, "end": 4, "label": label, "score": score, "text": "Oslo"} | ({"legs": views} if legs else {})


@pytest.mark.parametrize(
    ("entities", "expected"),
    [
        ([], 0.0),
        ([entity(1.0, "PER", "PER")], 0.0),
        ([entity(0.4, "PER", "PER")], 0.3),
        ([entity(0.4)], 0.6),
        ([entity(1.0, "LOC", "")], 0.5),
        ([entity(1.0, "PER"), entity(0.5, "PER", "LOC")], 0.5),
        ([entity(None, "PER")], 0.0),
    ],
)
def test_doubt_is_a_low_score_or_disagreement(entities: list[dict[str, Any]], expected: float) -> None:
    assert doubt(entities) == pytest.approx(expected)


def test_the_most_doubtful_texts_are_kept(tmp_path: Path) -> None:
    texts = UncertainTexts(tmp_path, 2, 100_000)
    kept = texts.offer("en", [("sure", [entity(0.9)]), ("b", [entity(0.6)]), ("c", [entity(0.5)])], "ner-en/1")
    assert [each.text for each in kept] == ["c", "b"]
    texts.offer("en", [("d", [entity(0.55)]), ("e", [entity(0.7)])], "ner-en/2")
    assert [(each.text, each.model) for each in texts.read("en")] == [("c", "ner-en/1"), ("d", "ner-en/2")]
    texts.offer("en", [("d", [entity(0.1)])], "ner-en/3")
    assert [(each.text, each.doubt) for each in texts.read("en")] == [("d", 0.9), ("c", 0.5)]
    assert texts.read("ru") == []
    assert stat.S_IMODE(texts.path("en").stat().st_mode) == 0o600


def test_the_file_stays_within_its_bytes(tmp_path: Path) -> None:
    texts = UncertainTexts(tmp_path, 100, 2_000)
    kept = texts.offer("en", [(f"{n} " * 100, [entity(0.1)]) for n in range(50)], "ner-en/1")
    assert 0 < len(kept) < 10
    assert texts.path("en").stat().st_size <= 2_000


def test_a_separator_within_a_text_ends_no_line(tmp_path: Path) -> None:
    """Texts from web pages hold such; a file that cannot be read would stop the queue for good."""
    texts = UncertainTexts(tmp_path, 10, 100_000)
    texts.offer("en", [("a\u2028b\u0085c", [entity(0.1)])], "ner-en/1")
    texts.offer("en", [("d", [entity(0.2)])], "ner-en/1")
    assert [each.text for each in texts.read("en")] == ["a\u2028b\u0085c", "d"]


def test_what_was_written_out_is_removed_and_what_came_since_stays(tmp_path: Path) -> None:
    texts = UncertainTexts(tmp_path, 10, 100_000)
    written = texts.offer("en", [("a", [entity(0.1)])], "ner-en/1")
    texts.offer("en", [("b", [entity(0.1)])], "ner-en/1")
    texts.clear("en", written)
    assert [each.text for each in texts.read("en")] == ["b"]
    texts.path("en").write_text("{}\n[1]\n")
    with pytest.raises(NerError, match="not a text") as caught:
        texts.read("en")
    assert str(caught.value.where).endswith("en.uncertain.jsonl:1")


@pytest.fixture
def home(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with the repository's parameters."""
    for name in ("params.yaml", "params", "dvc.yaml"):
        (tmp_path / name).symlink_to(root / name)
    monkeypatch.setenv("NER_ROOT", str(tmp_path))
    return tmp_path


def test_texts_in_doubt_go_out_as_tasks_for_label_studio(home: Path) -> None:
    run = CliRunner().invoke
    command = ["review", "-l", "en", "--export", "label-studio", "-o", str(home / "tasks.json")]
    assert isinstance(run(commands, command).exception, NerError), "none yet"
    texts = UncertainTexts(home / "data" / "review", 10, 100_000)
    texts.offer("en", [("Oslo won.", [entity(0.4)])], "ner-en/7")
    assert "en: 0 sentences; 1 texts in doubt" in run(commands, ["review"]).output
    done = run(commands, [*command, "--clear"])
    assert done.exit_code == 0, done.output
    assert '<Label value="PER"/>' in done.output
    (task,) = json.loads((home / "tasks.json").read_text())
    assert task["data"] == {"text": "Oslo won.", "language": "en"}
    (prediction,) = task["predictions"]
    assert prediction["model_version"] == "ner-en/7"
    assert prediction["score"] == 0.4
    (region,) = prediction["result"]
    assert region == {
        "id": "entity-1",
        "from_name": "label",
        "to_name": "text",
        "type": "labels",
        "value": {"start": 0, "end": 4, "text": "Oslo", "labels": ["PER"]},
        "score": 0.4,
    }
    assert texts.read("en") == []
    assert run(commands, ["review", "--export", "label-studio"]).exit_code == 2
