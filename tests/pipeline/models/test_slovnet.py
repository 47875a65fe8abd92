"""The component ``slovnet_ner`` with an invented model; tests/e2e/trained has the real one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc

from multiner.pipeline.core.document import from_words
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.iob2 import bio_labels
from multiner.pipeline.models import load_base_model
from multiner.pipeline.models.pretrained.installation import SLOVNET_TAR, install, slovnet
from multiner.pipeline.models.pretrained.slovnet_component import NAME
from multiner.pipeline.models.spacy.vectors import NAVEC
from tests.pipeline.models import tiny_slovnet

SENTENCE = ["Вчера", "Ада", "уехала", "в", "Осло", "."]


@pytest.fixture
def nlp(tmp_path: Path) -> Language:
    model, vectors = tiny_slovnet.write(tmp_path)
    nlp = spacy.blank("ru")
    nlp.add_pipe(NAME).read(model, vectors)
    return nlp


def docs(nlp: Language, *texts: list[str]) -> list[Doc]:
    return [Doc(nlp.vocab, words=words) for words in texts]


def test_it_gives_probabilities_in_our_order(nlp: Language) -> None:
    component = nlp.get_pipe(NAME)
    assert list(component.labels) == bio_labels(["PER", "LOC"])
    rows, none = component.probabilities(docs(nlp, SENTENCE, []))
    assert (rows.shape, rows.dtype) == ((6, 5), np.float32)
    assert none.shape == (0, 5)
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-6)
    assert rows.std(axis=0).min() > 0  # the words matter


def test_a_text_alone_and_among_others_gets_the_same(nlp: Language) -> None:
    component = nlp.get_pipe(NAME)
    texts = [SENTENCE[:3], SENTENCE * 40, SENTENCE[2:], ["Ада"]]
    together = component.probabilities(docs(nlp, *texts))
    for words, rows in zip(texts, together, strict=True):
        np.testing.assert_array_equal(component.probabilities(docs(nlp, words))[0], rows)


def test_a_token_spelt_like_padding_hides_nothing(nlp: Language) -> None:
    component = nlp.get_pipe(NAME)
    plain, padded = map(component._emissions, docs(nlp, [*SENTENCE, "."], [*SENTENCE, "<pad>"]))
    assert padded.shape == (7, 5)
    assert np.abs(padded[-1]).min() > 0
    np.testing.assert_allclose(plain[:4], padded[:4], atol=1e-6)  # beyond the reach of two convolutions


def test_long_texts_are_not_cut(nlp: Language) -> None:
    component = nlp.get_pipe(NAME)
    words = SENTENCE * 500
    (rows,) = component.probabilities(docs(nlp, words))
    assert len(rows) == 3000
    np.testing.assert_allclose(rows[1200:1206], rows[2400:2406], atol=1e-5)  # the same words around


def test_its_entities_are_the_best_path(nlp: Language) -> None:
    (doc,) = nlp.pipe(docs(nlp, SENTENCE * 3))
    component = nlp.get_pipe(NAME)
    path = [component.labels[index] for index in component._chain.best_path(component._emissions(doc))]
    assert [(token.ent_iob_ + "-" + token.ent_type_).rstrip("-") for token in doc] == path
    assert doc.ents


def test_its_folder_is_all_it_needs(nlp: Language, tmp_path: Path) -> None:
    before = nlp.get_pipe(NAME).probabilities(docs(nlp, SENTENCE))[0]
    nlp.to_disk(tmp_path / "saved")
    for file in tmp_path.glob("*.tar"):
        file.unlink()
    (tmp_path / "saved").rename(tmp_path / "moved")
    again = spacy.load(tmp_path / "moved")
    np.testing.assert_array_equal(again.get_pipe(NAME).probabilities(docs(again, SENTENCE))[0], before)
    again.to_disk(tmp_path / "moved")  # over itself
    assert spacy.load(tmp_path / "moved").get_pipe(NAME).labels == again.get_pipe(NAME).labels


def test_missing_or_broken_weights_are_named(nlp: Language, tmp_path: Path) -> None:
    component = nlp.get_pipe(NAME)
    with pytest.raises(NerError, match="ner pull"):
        component.read(tmp_path / "nowhere.tar", tmp_path / "navec.tar")
    (tmp_path / "broken.tar").write_bytes(b"no tar")
    with pytest.raises(NerError, match=r"broken\.tar"):
        component.read(tmp_path / "broken.tar", tmp_path / "navec.tar")


def test_as_a_leg_it_speaks_the_ensembles_labels(tmp_path: Path) -> None:
    (tmp_path / "packages" / "natasha").mkdir(parents=True)
    model, vectors = tiny_slovnet.write(tmp_path)
    model.rename(tmp_path / "packages" / SLOVNET_TAR)
    vectors.rename(tmp_path / "packages" / NAVEC)
    install("slovnet", ["LOC", "MISC", "PER"], tmp_path / "leg", packages=tmp_path / "packages", where="")
    model = load_base_model("shipped", tmp_path / "leg")
    document = from_words("d", [SENTENCE, SENTENCE[1:]])
    (rows,) = model.predict([document])
    assert model.labels == bio_labels(["LOC", "MISC", "PER"])
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-5)
    nlp = slovnet(tmp_path / "packages")
    (own,) = nlp.get_pipe(NAME).probabilities(docs(nlp, SENTENCE + SENTENCE[1:]))
    np.testing.assert_allclose(rows[:, [0, 5, 6, 1, 2]], own, atol=2e-3)
    assert rows[:, 3:5].max() < 1e-3  # a type it does not know
