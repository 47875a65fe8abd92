"""Label probabilities out of spaCy's greedy NER."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import fix_random_seed

from multiner.pipeline.core.decoding import decode_spans, span_f1
from multiner.pipeline.core.iob2 import bio_labels
from multiner.pipeline.models.pretrained.inference import probability_source
from multiner.pipeline.models.pretrained.transitions import Actions, action_scores
from multiner.pipeline.models.spacy.training import examples
from tests.pipeline.models.conftest import invented

LABELS = bio_labels(["LOC", "PER"])


@pytest.fixture(scope="module")
def nlp() -> Language:
    """A small ``ner`` that has learnt the invented names and marks dates of its own."""
    fix_random_seed(1)
    nlp = spacy.blank("en")
    ner = nlp.add_pipe("ner", config={"model": {"hidden_width": 16, "tok2vec": {"width": 32}}})
    ner.add_label("DATE")
    train = list(examples(invented(0, 12), nlp.vocab))
    optimizer = nlp.initialize(lambda: train)
    for _ in range(40):
        nlp.update(train, sgd=optimizer)
    return nlp


def parsed(nlp: Language, texts: list[list[str]]) -> tuple[list[Doc], list[np.ndarray]]:
    docs = [Doc(nlp.vocab, words=words) for words in texts]
    return docs, probability_source(nlp, LABELS)(docs)


def test_they_are_distributions_and_find_the_names(nlp: Language) -> None:
    gold = invented(40, 6)
    _, rows = parsed(nlp, [document.words() for document in gold])
    for each in rows:
        assert each.min() >= 0
        np.testing.assert_allclose(each.sum(axis=1), 1, atol=1e-9)
    result = [decode_spans(each, document.sentences, LABELS) for each, document in zip(rows, gold, strict=True)]
    assert span_f1(gold, result) > 95


def test_the_entities_are_those_of_the_component(nlp: Language) -> None:
    texts = [document.words() for document in invented(40, 6)] + [["Oslo"], [], ["Lima", "Ada"]]
    docs, rows = parsed(nlp, texts)
    plain = list(nlp.get_pipe("ner").pipe([Doc(nlp.vocab, words=words) for words in texts]))
    assert [[(ent.start, ent.end, ent.label) for ent in doc.ents] for doc in docs] == [
        [(ent.start, ent.end, ent.label) for ent in doc.ents] for doc in plain
    ]
    assert [len(each) for each in rows] == [len(words) for words in texts]


def test_a_text_alone_and_among_others_gets_the_same(nlp: Language) -> None:
    texts = [document.words() for document in invented(20, 4)] + [["Oslo"]]
    _, together = parsed(nlp, texts)
    for words, rows in zip(texts, together, strict=True):
        np.testing.assert_allclose(parsed(nlp, [words])[1][0], rows, atol=1e-5)


def doc_of(nlp: Language, iob: list[str]) -> Doc:
    return Doc(nlp.vocab, words=["x"] * len(iob), ents=iob)


def test_the_mass_of_an_entity_flows_on(nlp: Language) -> None:
    names = ["B-GPE", "I-GPE", "L-GPE", "U-GPE", "B-DATE", "I-DATE", "L-DATE", "U-DATE", "O"]
    actions = Actions(names, {"GPE": "LOC"}, ["LOC", "PER"])
    scores = np.full((4, 9), -50.0)
    scores[0, [0, 3, 8]] = np.log([0.6, 0.2, 0.2])  # begins a longer one, or is one
    scores[1, [1, 2]] = np.log([0.25, 0.75])  # goes on, or closes
    scores[2, [4, 8]] = np.log([0.5, 0.5])  # a date is outside
    scores[3, [0, 3, 8]] = np.log([0.8, 0.1, 0.1])  # none can begin and go on at the end
    rows = actions.probabilities(doc_of(nlp, ["B-GPE", "I-GPE", "O", "O"]), scores)
    expected = [[0.2, 0.8, 0], [0.4, 0, 0.6], [0.85, 0, 0.15], [0.5, 0.5, 0]]
    np.testing.assert_allclose(rows[:, :3], expected, atol=1e-9)
    assert not rows[:, 3:].any()


def test_no_mass_crosses_a_sentence(nlp: Language) -> None:
    names = ["B-GPE", "I-GPE", "L-GPE", "U-GPE", "O"]
    doc = doc_of(nlp, ["O", "O"])
    doc[1].is_sent_start = True
    rows = Actions(names, {"GPE": "LOC"}, ["LOC"]).probabilities(doc, np.zeros((2, 5)))
    np.testing.assert_allclose(rows, [[0.5, 0.5, 0], [0.5, 0.5, 0]])


def test_scores_hold_a_row_per_token(nlp: Language) -> None:
    docs = [Doc(nlp.vocab, words=["Ada", "slept"]), Doc(nlp.vocab, words=[])]
    result = action_scores(nlp.get_pipe("ner"), docs)
    assert result[0].shape == (2, nlp.get_pipe("ner").moves.n_moves)
    assert len(result[1]) == 0
