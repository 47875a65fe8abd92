"""The committed figures are good enough, and were made by the committed code, parameters and data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.files import read_json
from multiner.pipeline.registry.committed_cards import cards

FLOORS = [  # of the ensemble's F1 on the test part, a little below what was measured
    ("en", "conll2003", 92),
    ("en", "wnut17", 49),
    ("ru", "factrueval-name", 90),
    ("ru", "factrueval-object", 76),
]


@pytest.mark.parametrize(("language", "corpus", "floor"), FLOORS)
def test_the_ensemble_is_good_enough(root: Path, language: str, corpus: str, floor: float) -> None:
    scores = read_json(root / "metrics" / "cpu" / f"{language}.json")["corpora"][corpus]["test"]
    assert scores["ensemble"]["f1"] >= floor


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_cards_are_those_of_the_figures(root: Path, language: str) -> None:
    for name, text in cards(Workspace.load("cpu", root), language).items():
        assert (root / "docs" / "cards" / name).read_text(encoding="utf-8") == text, f"run: ner card {language}"
    assert "Not tested yet" not in (root / "docs" / "cards" / f"ner-{language}.md").read_text(encoding="utf-8")


def changes(repo: Repo) -> Iterator[str]:
    """What differs from dvc.lock among all that git tracks; data and models are not in a fresh clone."""
    for stage in repo.index.stages:
        for change in stage.status(check_updates=False).get(stage.addressing, []):
            for kind, paths in change.items() if isinstance(change, dict) else [(change, {"": ""})]:
                for path, state in paths.items():
                    if not path.startswith("data/") or path.startswith("data/samples"):
                        yield f"{stage.addressing}: {kind} {path} {state}"


def test_lock_figures_parameters_and_code_are_of_one_state(root: Path) -> None:
    with Repo(str(root)) as repo, repo.lock:
        assert list(changes(repo)) == [], "run the stages (dvc repro); where code has only moved: dvc commit"


def test_every_stage_has_read_what_the_stage_before_wrote(root: Path) -> None:
    written, read = {}, []
    for file in (root / "data" / "raw").glob("*.dvc"):
        for out in yaml.safe_load(file.read_text(encoding="utf-8"))["outs"]:
            written[f"data/raw/{out['path']}"] = out["md5"]
    for name, stage in yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8"))["stages"].items():
        written |= {out["path"]: out["md5"] for out in stage["outs"]}
        read += [(name, dependency["path"], dependency["md5"]) for dependency in stage["deps"]]
    of_stages = [(name, path, md5) for name, path, md5 in read if path in written]
    assert len(of_stages) > 20
    assert [(name, path) for name, path, md5 in of_stages if md5 != written[path]] == []
