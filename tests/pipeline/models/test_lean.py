"""A spaCy leg without superfluous work answers as before; an ensemble of real legs answers alone as among others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.attrs import IDS
from spacy.language import Language
from spacy.util import fix_random_seed

from multiner.pipeline.core.document import Document, from_words
from multiner.pipeline.core.environment import THREADS
from multiner.pipeline.ensemble.model import Ensemble, Member, Prediction
from multiner.pipeline.models import load_base_model
from multiner.pipeline.models.pretrained.inference import PretrainedModel
from multiner.pipeline.models.pretrained.installation import install
from multiner.pipeline.models.spacy.lean import lean
from multiner.pipeline.models.spacy.training import examples
from multiner.pipeline.models.transformer.export import export
from tests.pipeline.models.conftest import TYPES, invented


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A leg's folder: a small ``ner`` that has learnt the invented names."""
    fix_random_seed(1)
    nlp = spacy.blank("en")
    nlp.add_pipe("ner", config={"model": {"hidden_width": 16, "tok2vec": {"width": 32}}})
    train = list(examples(invented(0, 12), nlp.vocab))
    optimizer = nlp.initialize(lambda: train)
    for _ in range(30):
        nlp.update(train, sgd=optimizer)
    folder = tmp_path_factory.mktemp("shipped")
    nlp.to_disk(folder / "source")
    install(str(folder / "source"), TYPES, folder / "leg", packages=folder, where="here")
    return folder / "leg"


def various() -> list[Document]:
    return [*invented(40, 4), from_words("none", []), from_words("odd", [["Ada", "3,000", " ", "x@y.org", "Oslo"]])]


def test_it_answers_as_before(shipped: Path) -> None:
    plain, trimmed = PretrainedModel.load(shipped), load_base_model("shipped", shipped)
    for before, after in zip(plain.predict(various()), trimmed.predict(various()), strict=True):
        np.testing.assert_allclose(after, before, atol=1e-5)
    assert IDS["LIKE_NUM"] in plain._nlp.vocab.lex_attr_getters
    computed = trimmed._nlp.vocab.lex_attr_getters
    assert {IDS[name] for name in ("NORM", "PREFIX", "SUFFIX", "SHAPE", "IS_SPACE")} <= set(computed)
    assert IDS["LIKE_NUM"] not in computed


def test_a_component_that_may_ask_for_more_gets_it(shipped: Path, tmp_path: Path) -> None:
    @Language.component("numbers_are_places")
    def numbers_are_places(doc):  # noqa: ANN001, ANN202
        doc.set_ents([spacy.tokens.Span(doc, token.i, token.i + 1, label="LOC") for token in doc if token.like_num])
        return doc

    nlp = spacy.blank("en")
    nlp.add_pipe("numbers_are_places")
    model = lean(PretrainedModel(nlp, ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]))
    (rows,) = model.predict([from_words("d", [["room", "101"]])])
    assert rows.argmax(axis=1).tolist() == [0, 3]


def entities_of(predictions: list[Prediction]) -> list[list[tuple[int, int, str]]]:
    return [[(span.start, span.end, span.label) for span in each.spans] for each in predictions]


def test_the_ensemble_answers_alone_as_among_others_in_any_threads(
    shipped: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(trained, tmp_path / "transformer", "int8")
    folders = {"transformer": tmp_path / "transformer", "shipped": shipped}
    members = [Member(name, 1.2, 0.5) for name in folders]
    documents = various()
    answers = {}
    for threads in ("1", "2", "3"):
        monkeypatch.setenv(THREADS, threads)
        ensemble = Ensemble("en", TYPES, members, [load_base_model(name, folder) for name, folder in folders.items()])
        alone = [ensemble.predict([document])[0] for document in documents]
        assert sum(map(len, entities_of(alone))) > 8
        with ThreadPoolExecutor(4) as callers:
            for together in callers.map(lambda _, ensemble=ensemble: ensemble.predict(documents), range(8)):
                assert entities_of(together) == entities_of(alone)
                for one, other in zip(alone, together, strict=True):
                    assert [span.score for span in one.spans] == [s.score for s in other.spans]
        answers[threads] = entities_of(alone)
    assert answers["1"] == answers["2"] == answers["3"]
