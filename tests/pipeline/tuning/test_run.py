"""A tiny registered model learns an invented domain, does not forget its own, and becomes a challenger."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from multiner.pipeline.audit.origin import read_origin
from multiner.pipeline.cli import commands
from multiner.pipeline.config.settings import Workspace, load_params, overlay
from multiner.pipeline.core.document import write_jsonl
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import write_json
from multiner.pipeline.evaluation import stage
from multiner.pipeline.models.training_documents import read_training
from multiner.pipeline.models.transformer import export, training
from multiner.pipeline.registry import Registration, challenger, champion, model_name, open_store, register
from multiner.pipeline.registry.champions import set_champion
from multiner.pipeline.registry.store import database
from multiner.pipeline.tuning import run as tuning
from multiner.pipeline.tuning.examples import Examples, read_examples, split_examples
from multiner.pipeline.tuning.origin import starting_model
from tests.pipeline.models.conftest import OPTIONS, invented

BOUND = 10.0  # F1 points that the original development documents may lose; of a tiny model


def parts_of(corpus: str) -> dict[str, list]:
    """Invented documents of a corpus, by part."""
    counts = {"train": (0, 24), "dev": (24, 16), "test": (40, 4)}
    return {
        split: [replace(each, id=f"{corpus}/{each.id}", corpus=corpus, split=split) for each in invented(*place)]
        for split, place in counts.items()
    }


def notes(count: int) -> list[dict]:
    """Notes of another domain: whoever goes by a code is a person, whatever is in capitals a place."""
    records = []
    for number in range(count):
        person, place = f"KV-{37 * number % 900 + 100}", ("HALL", "DEPOT", "YARD", "GATE")[number % 4]
        text = f"Ticket of {person} : pump in {place} broken"
        entities = [(person, "PER"), (place, "LOC")]
        places = [(text.index(name), text.index(name) + len(name), label) for name, label in entities]
        records.append(
            {"text": text, "entities": [{"start": start, "end": end, "label": label} for start, end, label in places]}
        )
    return records


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, root: Path, tiny_encoder: Path, migrated: Path) -> Workspace:
    """A workspace whose champion ner-en has one tiny base model; with the examples in ``notes.jsonl``."""
    folder = tmp_path_factory.mktemp("home")
    changes = {
        "languages": {
            "en": {"types": ["PER", "LOC"], "train_on": ["conll2003"], "report_on": ["conll2003"], "transformer": {}}
        },
        "transformer": OPTIONS | {"epochs": 3, "encoder": str(tiny_encoder), "recase": {}},
        "ensemble": {"legs": ["transformer"]},
        "evaluate": {"bootstrap": 10},
        "tune": {"learning_rate": 4e-3, "head_learning_rate": 8e-3, "epochs": 4, "repeat": 2, "fit_from": 60},
    }
    params = overlay(load_params(root, "cpu"), changes)
    params["languages"]["en"] |= {"transformer": {}}
    workspace = Workspace(folder, params)
    paths = workspace.paths
    for split, documents in parts_of("conll2003").items():
        write_jsonl(paths.documents("en") / f"conll2003.{split}.jsonl", documents)
    write_json(paths.documents("en") / "summary.json", {})
    database(workspace).parent.mkdir()
    shutil.copy(migrated, database(workspace))
    training.run(workspace, "en")
    export.run(workspace, "en")
    member = {"name": "transformer", "temperature": 1.0, "weight": 1.0}
    write_json(paths.ensemble("en"), {"language": "en", "types": ["PER", "LOC"], "members": [member], "chooser": None})
    stage.run(workspace, "en")
    first = register(workspace, "en")
    set_champion(open_store(workspace), first.name, first.version)
    (folder / "notes.jsonl").write_text("".join(f"{json.dumps(note)}\n" for note in notes(50)), encoding="utf-8")
    return workspace


@pytest.mark.slow
def test_a_tuned_model_learns_the_domain_and_keeps_its_own(home: Workspace) -> None:
    result = tuning.run(home, "ner-en@champion", home.root / "notes.jsonl", "tuned")
    assert result.start == "ner-en version 1"
    assert result.parts == (30, 10, 10)
    assert not result.fitted
    assert result.after["examples"] > result.before["examples"] + 10
    assert result.after["conll2003"] > result.before["conll2003"] - BOUND

    assert result.registration.version == "2"
    assert challenger(home, "en").version == "2"
    assert champion(home, "en").version == "1"
    with pytest.raises(NerError, match=r"tuned by ner tune: it continues ner-en version 1 on 50 examples"):
        read_origin(home, "en", "2")

    again = starting_model(home, "ner-en@challenger")  # a tuned model can be tuned on
    assert again.weights == home.root / "data" / "out" / "cpu-tuned" / "en" / "trained" / "transformer"

    parts = split_examples(read_examples(home.root / "notes.jsonl", "en", ["PER", "LOC"]), 0.4)
    tuned = tuning.tuned_workspace(home, again, parts, "tuned")
    fitted = tuning.fit_anew(home, tuned, "en", parts, *read_training(home, "en"))
    assert fitted["tuned_on"]["examples"] == 10
    assert [member["name"] for member in fitted["members"]] == ["transformer"]


def test_the_command_shows_both_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    registration = Registration("ner-en", "4", "run", "1", created=True)
    result = tuning.Tuning(
        "ner-en version 3",
        (120, 40, 40),
        {"examples": 61.5, "conll2003": 95.0},
        {"examples": 91.25, "conll2003": 94.8},
        True,
        registration,
    )
    calls: list[tuple] = []
    monkeypatch.setattr(tuning, "run", lambda *rest: calls.append(rest) or result)
    monkeypatch.setattr(Workspace, "load", classmethod(lambda cls: "here"))
    output = CliRunner().invoke(commands, ["tune", "ner-en", "--examples", "notes.jsonl"])
    assert output.exit_code == 0, output.output
    assert calls == [("here", "ner-en", Path("notes.jsonl"), "tuned")]
    assert output.output.splitlines() == [
        "continued ner-en version 3: 120 examples to learn from, 40 to stop on, 40 to check on",
        "meta-classifier: fitted anew",
        "held-out examples: F1 61.50 before, 91.25 after (+29.75)",
        "conll2003, development: F1 95.00 before, 94.80 after (-0.20)",
        "registered version 4 of ner-en as challenger; to judge it: ner promote",
    ]


@pytest.mark.slow
@pytest.mark.slow
def test_what_cannot_be_continued_is_refused(home: Workspace, tmp_path: Path) -> None:
    with pytest.raises(NerError, match=r"no model 'ner-de' in the registry(.|\n)*ner-en"):
        starting_model(home, "ner-de")
    with pytest.raises(NerError, match="ner-en has no alias 'best'"):
        starting_model(home, "ner-en@best")
    with pytest.raises(NerError, match="no version 9"):
        starting_model(home, "ner-en@9")
    with pytest.raises(NerError, match="no file MLmodel"):
        starting_model(home, str(tmp_path))
    start = starting_model(home, "ner-en")
    assert starting_model(home, str(start.ensemble.parent.parent)).weights == start.weights
    other = replace(home, params=overlay(home.params, {"languages": {"en": {"types": ["PER"]}}}))
    with pytest.raises(NerError, match="the model has the types PER, LOC"):
        starting_model(other, "ner-en")
    elsewhere = replace(home, root=tmp_path)
    with pytest.raises(NerError, match=r"the trained weights(.|\n)*dvc checkout data/out/cpu/en/trained/transformer"):
        starting_model(elsewhere, str(start.ensemble.parent.parent))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["", "a/b", "..", "searched"])
def test_a_name_that_would_replace_something_else_is_refused(home: Workspace, tmp_path: Path, name: str) -> None:
    (tmp_path / "params").mkdir()
    (tmp_path / "params" / "cpu-searched.yaml").touch()
    with pytest.raises(NerError, match="cannot be the name of a tuned model"):
        tuning.tuned_workspace(replace(home, root=tmp_path), starting_model(home, "ner-en"), Examples([], [], []), name)


@pytest.mark.slow
def test_a_model_that_learns_nothing_is_not_registered(home: Workspace) -> None:
    still = overlay(home.params, {"tune": {"epochs": 1, "learning_rate": 1e-12, "head_learning_rate": 1e-12}})
    before = len(open_store(home).search_model_versions(f"name = '{model_name(home, 'en')}'"))
    with pytest.raises(NerError, match="no epoch was better than the model as it was"):
        tuning.run(replace(home, params=still), "ner-en", home.root / "notes.jsonl", "still")
    assert len(open_store(home).search_model_versions(f"name = '{model_name(home, 'en')}'")) == before
    assert not (home.root / "data" / "out" / "cpu-still").exists()
