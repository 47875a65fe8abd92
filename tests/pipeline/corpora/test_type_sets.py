"""``types: wnut17``: a language of WNUT17's own six types, from the bundled samples to validated documents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from multiner.pipeline.config.corpora import published
from multiner.pipeline.config.settings import Workspace, load_params, overlay
from multiner.pipeline.core.document import read_jsonl
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json
from multiner.pipeline.core.iob2 import bio_labels
from multiner.pipeline.corpora import prepare
from multiner.pipeline.validation import stage
from multiner.pipeline.validation.expected import Expected, load

SIX = {"person", "location", "corporation", "group", "creative-work", "product"}


def trial_workspace(root: Path, tmp_path: Path, **english: Any) -> Workspace:
    """A workspace over the bundled samples."""
    chosen = {"types": "wnut17", "train_on": ["wnut17"], "report_on": ["wnut17"]} | english
    params = overlay(load_params(root, "demo"), {"languages": {"en": chosen}})
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "samples").symlink_to(root / "data" / "samples")
    return Workspace(tmp_path, params)


def test_the_types_are_a_list_for_every_stage(root: Path, tmp_path: Path) -> None:
    workspace = trial_workspace(root, tmp_path)
    english = workspace.language("en")
    assert set(english["types"]) == SIX
    assert english["type_set"] == "wnut17"
    assert len(bio_labels(english["types"])) == 13
    assert workspace.language("ru")["type_set"] is None


def test_prepared_documents_carry_the_six_types(root: Path, tmp_path: Path) -> None:
    workspace = trial_workspace(root, tmp_path)
    prepare.run(workspace, "en")
    folder = workspace.paths.documents("en")
    assert {file.name for file in folder.glob("*.jsonl")} == {
        f"wnut17.{split}.jsonl" for split in ("train", "dev", "test")
    }
    for split in ("train", "test"):
        labels = {span.label for document in read_jsonl(folder / f"wnut17.{split}.jsonl") for span in document.spans}
        assert labels == SIX
    assert read_json(folder / "summary.json")["wnut17"]["train"]["dropped"] == {}


def test_validation_follows(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = trial_workspace(root, tmp_path)
    stage.run(workspace, "en")
    report = read_json(workspace.paths.validation("en") / "report.json")
    assert report["passed"]
    assert set(report["counts"]["wnut17"]["train"]["types"]) == SIX


def test_a_corpus_that_cannot_speak_the_types_is_named(root: Path, tmp_path: Path) -> None:
    workspace = trial_workspace(root, tmp_path, train_on=["wnut17", "conll2003"])
    for run in (prepare.run, stage.run):
        with pytest.raises(NerError, match="conll2003 has no map to the types 'wnut17'"):
            run(workspace, "en")


def test_an_unknown_set_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(NerError, match="unknown set of types 'ontonotes'") as caught:
        trial_workspace(root, tmp_path, types="ontonotes").language("en")
    assert "wnut17" in caught.value.remedy


def test_the_published_counts_fold_into_the_usual_ones() -> None:
    usual, own = load(), load().in_types("wnut17")
    assert set(own.parts) == {"wnut17"}
    for name, part in own.parts["wnut17"].items():
        assert set(part.types) == set(published()["wnut17"].type_sets["wnut17"].values())
        types = published()["wnut17"].types
        folded = {label: sum(n for type_, n in part.types.items() if types[type_] == label) for label in types.values()}
        assert folded == usual.parts["wnut17"][name].types
        assert replace(part, types={}) == replace(usual.parts["wnut17"][name], types={})
    with pytest.raises(NerError, match="no expected counts"):
        Expected().in_types("wnut17")
