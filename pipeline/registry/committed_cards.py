"""The cards in docs/cards: a model card and a data card for each language, from files that git has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json, write_atomically, write_json
from multiner.pipeline.ensemble.identity import base_model_folders, model_hash
from multiner.pipeline.evaluation.behaviour.suite import BehaviourReport
from multiner.pipeline.registry.card import model_card, with_behaviour
from multiner.pipeline.registry.data_card import data_card
from multiner.pipeline.registry.store import model_name


def behaviour_file(workspace: Workspace, language: str) -> Path:
    """Where the pass rates of the behaviour suite are kept beside the metrics."""
    metrics = workspace.paths.metrics(language)
    return metrics.parent / "behaviour" / metrics.name


def save_behaviour(workspace: Workspace, language: str, report: BehaviourReport) -> Path:
    """Write the pass rates of the whole suite, with the hash of the model that they are of; returns the file."""
    model = model_hash(workspace.paths.ensemble(language), base_model_folders(workspace, language))
    rates = {key: value for key, value in report.to_json().items() if key != "failures"}
    write_json(file := behaviour_file(workspace, language), {"model_hash": model} | rates)
    return file


def cards(workspace: Workspace, language: str) -> dict[str, str]:
    """The text of each card by file name.

    Raises:
        NerError: the language has no metrics, or the figures of the behaviour suite are of another model.
    """
    file = workspace.paths.metrics(language)
    if not file.is_file():
        raise NerError("no metrics to show", where=str(file), remedy=f"Run: dvc repro evaluate@{language}")
    metrics: dict[str, Any] = read_json(file)
    card, name = model_card(workspace, language, metrics), model_name(workspace, language)
    if (behaviour := behaviour_file(workspace, language)).is_file():
        report = read_json(behaviour)
        if report["model_hash"] != metrics["model_hash"]:
            remedy = f"Run: ner behave -l {language} --save"
            raise NerError("these figures are of another model than the metrics", where=str(behaviour), remedy=remedy)
        card = with_behaviour(card, report["capabilities"] | {"overall": report["overall"]}, report["cases"])
    return {f"{name}.md": card, f"{name}-data.md": data_card(workspace, language, metrics)}


def update(workspace: Workspace, language: str, folder: Path, *, check: bool = False) -> list[Path]:
    """Write the cards that differ from those in ``folder``; with ``check`` nothing is written. Returns their files."""
    stale = []
    for name, text in cards(workspace, language).items():
        file = folder / name
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            stale.append(file)
            if not check:
                with write_atomically(file) as out:
                    out.write(text)
    return stale
