"""The cards in docs/cards: written from what git has, and never from figures of another model."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from multiner.pipeline.cli import stages
from multiner.pipeline.config.corpora import published
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json, write_json
from multiner.pipeline.evaluation.behaviour.suite import BehaviourReport
from multiner.pipeline.registry.card import interval_table
from multiner.pipeline.registry.committed_cards import cards, save_behaviour, update


@pytest.fixture
def workspace(workspace: Workspace, fill: Callable[..., None], empty_leg: Path, root: Path) -> Workspace:
    fill(empty_leg)
    shutil.copy(root / "data" / "manifest.json", workspace.root / "data" / "manifest.json")
    return workspace


def report(passed: int, failed: int) -> BehaviourReport:
    """A report of cases with the capability quotes."""
    case: Any = SimpleNamespace(id="q", capability="quotes", must=False, text=SimpleNamespace(text="“Ada”"))
    outcomes: Any = [SimpleNamespace(case=case, reason="", passed=True)] * passed
    return BehaviourReport((*outcomes, *[SimpleNamespace(case=case, reason="missed", passed=False)] * failed))


def test_cards_name_data_with_licences_hashes_counts_and_what_they_are_for(workspace: Workspace) -> None:
    model, data = cards(workspace, "en").values()
    for part in ("## Intended use", "## Use and limits", "CC BY 4.0", "91.25", "Not tested yet"):
        assert part in model
    for part in ("Reuters", "CC BY 4.0", "abab", "| conll2003 | train | 946 |", "`wnut17/wnut17train.conll`"):
        assert part in data
    assert "82e0c72d262f86ad3e78b15c5d980bbf87cb205aa4bf6d2d97643f463f8d7ff7" in data
    assert "$" not in data


def test_a_corpus_of_many_files_has_one_hash(workspace: Workspace, fill: Callable[..., None], empty_leg: Path) -> None:
    fill(empty_leg, language="ru")
    data = cards(workspace, "ru")["ner-ru-data.md"]
    assert "- `factRuEval-2016`: 1018 files; the list of names and hashes has the SHA-256 `" in data
    assert "| factrueval-name | Facility | left out |" in data
    for part in (
        "(its encoder was trained on it first)",
        "**conll2003.** News of Reuters",
        "`wnut17/wnut17train.conll`",
    ):
        assert part in data


def test_each_corpus_describes_itself(workspace: Workspace) -> None:
    description = """
about: Posts of 2020.
language: en
format: jsonl
files: {train: posts.jsonl, dev: posts.jsonl, test: posts.jsonl}
types: {PER: PER}
"""
    (folder := workspace.root / "params" / "corpora").mkdir(parents=True)
    (folder / "posts.yaml").write_text(description, encoding="utf-8")
    languages = workspace.params["languages"]
    languages |= {"en": languages["en"] | {"train_on": ["posts"], "report_on": ["conll2003"]}}
    data = cards(replace(workspace, params=workspace.params | {"languages": languages}), "en")["ner-en-data.md"]
    assert "**posts.** Posts of 2020.\n\n**conll2003.** News of Reuters." in data
    for name, corpus in published().items():
        assert corpus.about, name


def test_cards_of_the_bundled_samples_claim_no_corpus(workspace: Workspace) -> None:
    params = workspace.params | {"prepare": workspace.params["prepare"] | {"raw": "data/samples"}}
    data = cards(replace(workspace, params=params), "en")["ner-en-data.md"]
    assert "Invented sentences." in data
    assert "Reuters" not in data
    assert "Not counted." in data


def test_pass_rates_are_those_of_the_model_in_the_metrics(workspace: Workspace) -> None:
    model = replace(workspace, params=workspace.params | {"ensemble": {"legs": ["transformer"]}})
    file = save_behaviour(model, "en", report(3, 1))
    assert file == workspace.root / "metrics" / "cpu" / "behaviour" / "en.json"
    assert "failures" not in read_json(file)
    assert "| quotes | 75.0 % |" in cards(workspace, "en")["ner-en.md"]
    write_json(file, read_json(file) | {"model_hash": "another"})
    with pytest.raises(NerError, match="another model") as error:
        cards(workspace, "en")
    assert "ner behave -l en --save" in str(error.value)


def test_without_metrics_there_is_no_card(workspace: Workspace) -> None:
    workspace.paths.metrics("en").unlink()
    with pytest.raises(NerError, match="no metrics"):
        cards(workspace, "en")


def test_the_command_writes_what_differs_and_checks(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workspace, "load", classmethod(lambda cls: workspace))
    folder = tmp_path / "cards"

    def run(*options: str) -> str:
        outcome = CliRunner().invoke(stages.card, ["en", "-o", str(folder), *options], catch_exceptions=False)
        return outcome.output

    with pytest.raises(NerError, match=r"out of date: ner-en.md, ner-en-data.md"):
        run("--check")
    assert not folder.exists()
    assert run().count("written") == 2
    assert "up to date" in run()
    assert run("--check") == "up to date\n"
    (folder / "ner-en.md").write_text("older", encoding="utf-8")
    assert [file.name for file in update(workspace, "en", folder, check=True)] == ["ner-en.md"]


def test_intervals_are_around_precision_and_recall() -> None:
    scores = {"precision": 50.0, "recall": 40.0, "support": 100}
    metrics = {
        "corpora": {"wnut17": {"test": {"ensemble": scores}}},
        "significance": {"wnut17": {"test": {"difference": -0.5, "low": -1.0, "high": 0.25}}},
    }
    (row,) = interval_table(metrics).splitlines()[2:]
    assert row == "| wnut17 | 100 | 50.00 (39.30 to 60.70) | 40.00 (30.94 to 49.80) | -0.50 (-1.00 to +0.25) |"
    assert interval_table({"corpora": {"wnut17": {"dev": {}}}}) == "Not measured."
