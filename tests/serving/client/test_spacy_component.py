"""The spaCy component: entities and scores on Docs, batches, and a pipeline that is saved and loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import spacy

import multiner.spacy  # noqa: F401 (registers the component)
from multiner.pipeline.core.errors import NerError
from tests.serving.client.conftest import FakeModel

TEXT = "Anna met Maria Keller in Oslo."
NAMES = {"Anna": ("PER", 0.75), "Maria Keller": ("PER", 0.75)}


def test_docs_get_entities_and_scores(models: list[FakeModel]) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("multiner", config={"model": "ner-en", "version": "3"})
    doc = nlp(TEXT)
    assert [(entity.text, entity.label_) for entity in doc.ents] == [("Anna", "PER"), ("Maria Keller", "PER")]
    assert doc.spans["entities"].attrs["scores"] == [0.75, 0.75]
    assert models[0].arguments == ("ner-en", "3")


def test_a_stream_is_predicted_in_batches(models: list[FakeModel]) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("multiner", config={"model": "ner-en"})
    docs = list(nlp.pipe([TEXT, "", "Anna"] * 3, batch_size=4))
    assert [len(doc.ents) for doc in docs] == [2, 0, 1] * 3
    assert models[0].batches == [4, 4, 1]


def test_a_gateway_is_asked_in_the_language(models: list[FakeModel]) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("multiner", config={"model": "http://127.0.0.1:8000", "language": "en"})
    assert [entity.text for entity in nlp("Anna left.").ents] == ["Anna"]
    assert models[0].arguments == ("http://127.0.0.1:8000",)
    assert models[0].language == "en"


def test_a_saved_pipeline_names_its_model(models: list[FakeModel], tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("multiner", config={"model": "ner-en"})
    nlp.to_disk(tmp_path / "pipeline")
    loaded = spacy.load(tmp_path / "pipeline")
    assert [entity.text for entity in loaded(TEXT).ents] == [entity.text for entity in nlp(TEXT).ents]
    assert [model.arguments for model in models] == [("ner-en", None)] * 2


def test_a_pipeline_and_its_docs_go_through_bytes(models: list[FakeModel]) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("multiner", config={"model": "ner-en"})
    restored = spacy.blank("en", config=nlp.config).from_bytes(nlp.to_bytes())
    doc = restored(TEXT)
    copy = spacy.tokens.Doc(restored.vocab).from_bytes(doc.to_bytes())
    assert [(entity.text, entity.label_) for entity in copy.ents] == [("Anna", "PER"), ("Maria Keller", "PER")]
    assert copy.spans["entities"].attrs["scores"] == [0.75, 0.75]


def test_other_components_run_beside_it_and_texts_keep_their_context(models: list[FakeModel]) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.add_pipe("multiner", last=True, config={"model": "ner-en"})
    results = list(nlp.pipe([(f"{TEXT} Anna left.", 7), ("", 8)], as_tuples=True))
    assert [(len(list(doc.sents)), len(doc.ents), number) for doc, number in results] == [(2, 2, 7), (0, 0, 8)]


def test_a_model_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NER_ROOT", raising=False)
    with pytest.raises(NerError):
        spacy.blank("en").add_pipe("multiner", config={"model": "ner-xx"})
