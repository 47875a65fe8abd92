"""A pretrained spaCy pipeline as a base model, and in place of the trained CNN."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc
from spacy.util import fix_random_seed

from multiner.pipeline.config.settings import Workspace, load_params, overlay
from multiner.pipeline.core.decoding import decode_spans
from multiner.pipeline.core.document import Document, from_words
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json
from multiner.pipeline.core.iob2 import bio_labels
from multiner.pipeline.models import load_base_model
from multiner.pipeline.models.pretrained import installation
from multiner.pipeline.models.pretrained.installation import install
from multiner.pipeline.models.spacy import component
from multiner.pipeline.models.spacy import training as spacy_training
from multiner.pipeline.models.spacy.training import examples
from tests.pipeline.models.conftest import invented

TYPES = ["PER", "LOC", "ORG"]
WHERE = "params.yaml: languages.en.shipped.pipeline"


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A pipeline with OntoNotes' labels, by rules."""
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns(
        [{"label": "PERSON", "pattern": "Ada Lovelace"}, {"label": "GPE", "pattern": "Oslo"},
         {"label": "NORP", "pattern": "Danish"}, {"label": "DATE", "pattern": "Monday"}]
    )  # fmt: skip
    nlp.to_disk(tmp_path / "shipped")
    return tmp_path / "shipped"


@pytest.fixture(scope="module")
def sharing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline whose ``ner`` listens to a shared tok2vec that a tagger listens to as well; briefly trained."""
    fix_random_seed(2)
    nlp = spacy.blank("en")
    listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": 96, "upstream": "*"}
    nlp.add_pipe("tok2vec")
    nlp.add_pipe("tagger", config={"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": listener}}).add_label("NN")
    nlp.add_pipe("ner", config={"model": {"tok2vec": listener}})
    train = list(examples(invented(0, 6), nlp.vocab))
    optimizer = nlp.initialize(lambda: train)
    for _ in range(8):
        nlp.update(train, sgd=optimizer)
    nlp.add_pipe("sentencizer")
    nlp.vocab.strings.add("a word that training saw")
    folder = tmp_path_factory.mktemp("shipped") / "sharing"
    nlp.to_disk(folder)
    return folder


def workspace(root: Path, home: Path, section: str, pipeline: str) -> Workspace:
    trial = Workspace(home, load_params(root, "cpu"))
    return replace(trial, params=overlay(trial.params, {"languages": {"en": {section: {"pipeline": pipeline}}}}))


def some() -> Document:
    return from_words("d", [["On", "Monday", "Ada", "Lovelace"], ["left", "Danish", "Oslo"]])


@pytest.mark.parametrize(("model", "run"), [("shipped", installation.run), ("spacy", spacy_training.run)])
def test_its_labels_become_ours(root: Path, rules: Path, tmp_path: Path, model: str, run) -> None:  # noqa: ANN001
    here = workspace(root, tmp_path / "home", model, str(rules))
    run(here, "en")
    folder = here.paths.leg("en", model)
    assert read_json(folder / "history.json") == []
    document = some()
    loaded = load_base_model(model, folder)
    (rows,) = loaded.predict([document])
    assert loaded.labels == bio_labels(["PER", "LOC", "ORG", "MISC"])
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-6)
    spans = decode_spans(rows, document.sentences, loaded.labels)
    assert [(document.span_text(span), span.label) for span in spans] == [
        ("Ada Lovelace", "PER"), ("Danish", "MISC"), ("Oslo", "LOC"),
    ]  # fmt: skip


def test_types_that_are_not_wanted_are_outside(rules: Path, tmp_path: Path) -> None:
    install(str(rules), ["LOC"], tmp_path / "leg", packages=tmp_path, where=WHERE)
    (rows,) = load_base_model("shipped", tmp_path / "leg").predict([some()])
    assert rows.shape == (7, 3)
    assert rows.argmax(axis=1).tolist() == [0, 0, 0, 0, 0, 0, 1]


def test_only_what_naming_needs_is_kept_and_the_entities_stay(sharing: Path, tmp_path: Path) -> None:
    install(str(sharing), TYPES, tmp_path / "leg", packages=tmp_path, where=WHERE)
    full, small = spacy.load(sharing), spacy.load(tmp_path / "leg")
    assert small.component_names == ["tok2vec", "ner"]
    assert "a word that training saw" in full.vocab.strings
    assert "a word that training saw" not in small.vocab.strings
    words = invented(8, 1)[0].words()
    spans = [[(ent.start, ent.end, ent.label_) for ent in nlp(Doc(nlp.vocab, words=words)).ents]
             for nlp in (full, small)]  # fmt: skip
    assert spans[0] == spans[1]
    assert spans[0]


def test_a_leg_depends_on_no_other_document(sharing: Path, tmp_path: Path, monkeypatch) -> None:  # noqa: ANN001
    monkeypatch.setattr(component, "BATCH_WORDS", 300)
    install(str(sharing), TYPES, tmp_path / "leg", packages=tmp_path, where=WHERE)
    model = load_base_model("shipped", tmp_path / "leg")
    documents = [some(), from_words("e", []), from_words("f", [["Oslo"] * 100] * 5), some()]
    together = model.predict(documents)
    assert [rows.shape for rows in together] == [(7, 7), (0, 7), (500, 7), (7, 7)]
    for document, rows in zip(documents, together, strict=True):
        assert rows.dtype == np.float32
        np.testing.assert_allclose(model.predict([document])[0], rows, atol=1e-5)


def test_odd_characters_pass(sharing: Path, tmp_path: Path) -> None:
    install(str(sharing), TYPES, tmp_path / "leg", packages=tmp_path, where=WHERE)
    document = from_words("d", [["\ud800", "😀", "\u200b", "é"]])
    assert load_base_model("shipped", tmp_path / "leg").predict([document])[0].shape == (4, 7)


def test_what_cannot_be_a_leg_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(NerError, match="spacy download nowhere_sm"):
        install("nowhere_sm", ["PER"], tmp_path / "leg", packages=tmp_path, where=WHERE)
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(NerError, match="names no entities"):
        install(str(tmp_path / "blank"), ["PER"], tmp_path / "leg", packages=tmp_path, where=WHERE)
    for name in ("slovnet", "en_core_web_md"):
        with pytest.raises(NerError, match="ner pull"):
            install(name, ["PER"], tmp_path / "leg", packages=tmp_path, where=WHERE)
    assert not (tmp_path / "leg").exists()


def test_without_a_pipeline_the_stage_leaves_a_note(root: Path, tmp_path: Path) -> None:
    home = workspace(root, tmp_path, "shipped", "")
    installation.run(home, "en")
    assert [path.read_text() for path in home.paths.leg("en", "shipped").iterdir()] == ['{\n  "pipeline": null\n}\n']
    assert "shipped" not in home.legs("en")
