"""Growing corpora in the registry: lineage and card name them, the gate does without those that only train."""

from __future__ import annotations

from dataclasses import replace

import pytest

from multiner.pipeline.config.settings import Workspace, overlay
from multiner.pipeline.core.document import write_jsonl
from multiner.pipeline.registry import lineage
from multiner.pipeline.registry.card import data_list
from multiner.pipeline.registry.gate.comparison import gate_documents


@pytest.fixture
def growing(workspace: Workspace) -> Workspace:
    """The workspace with a growing corpus of English."""
    more = {
        "languages": {"en": {"train_on": ["conll2003", "tickets"], "report_on": ["conll2003"]}},
        "growing": {"tickets": {"language": "en"}},
    }
    (workspace.paths.raw / "tickets.dvc").write_text(f"outs:\n- md5: {'cd' * 16}.dir\n  path: tickets\n")
    return replace(workspace, params=overlay(workspace.params, more))


def test_lineage_and_card_name_a_growing_corpus(growing: Workspace) -> None:
    assert [folder.name for folder in lineage.raw_folders(growing, "en")] == ["conll2003", "tickets"]
    line = data_list(growing, "en").splitlines()[-1]
    assert line.startswith("- `tickets` (trained on): texts taken in by")
    assert "cd" * 16 in line


def test_the_gate_does_without_a_growing_corpus_that_only_trains(growing: Workspace, fill, empty_leg) -> None:  # noqa: ANN001
    fill(empty_leg)
    file = growing.paths.documents("en") / "tickets.dev.jsonl"
    write_jsonl(file, [])
    assert list(gate_documents(growing, "en")) == ["conll2003"]
    held_out = [replace(one, id=f"tickets/{n}") for n, one in enumerate(gate_documents(growing, "en")["conll2003"] * 4)]
    write_jsonl(file, held_out)
    assert list(gate_documents(growing, "en")) == ["conll2003", "tickets"]
