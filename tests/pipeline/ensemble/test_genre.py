"""How much a text reads like a post, and what the meta-classifier makes of it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from multiner.pipeline.core.document import Document, Span, from_words
from multiner.pipeline.core.iob2 import bio_labels, encode
from multiner.pipeline.ensemble import meta_training
from multiner.pipeline.ensemble.features import feature_names
from multiner.pipeline.ensemble.genre import INFORMAL, LONG, SHORT, informality, names_with_genre
from multiner.pipeline.ensemble.meta_classifier import MetaClassifier
from multiner.pipeline.ensemble.meta_training import (
    DocumentCandidates,
    cross_validate,
    fit_meta_classifier,
    has_both_genres,
    is_reliable,
)
from multiner.pipeline.ensemble.name_features import Gazetteer

TYPES = ["PER", "LOC"]
LABELS = bio_labels(TYPES)


def text(*sentences: str) -> Document:
    return from_words("d", [sentence.split() for sentence in sentences])


@pytest.mark.parametrize("post", [
    "@ada have you seen Oslo ?", "Back from # Oslo .", "Look : https://example.org .", "Ada won \U0001f389 !",
    "off to Oslo .", "Ada is in Oslo", "ада в Осло",
])  # fmt: skip
def test_a_short_text_with_any_sign_of_a_post_is_informal(post: str) -> None:
    assert informality(text(post)) == 1


@pytest.mark.parametrize(
    "edited", ["Ada went to Oslo .", "Ада уехала в Осло .", '"Ada won!"', "OSLO WINS", "Oslo 2 1", ""]
)
def test_a_short_edited_text_is_half_informal(edited: str) -> None:
    assert informality(text(edited)) == 0.5


def test_the_longer_a_text_the_less_informal() -> None:
    values = [informality(text(" ".join(["oslo"] * length))) for length in (1, SHORT, 32, 64, LONG - 1, LONG, 1000)]
    assert values[:2] == [1, 1]
    assert values[-2:] == [0, 0]
    assert all(left > right for left, right in pairwise(values[1:-1]))


def test_only_some_careless_sentences_count_in_part() -> None:
    assert informality(text("Ada went .", "She won .", "and left .", "Oslo slept .")) == pytest.approx(0.625)


def rows(length: int, spans: list[Span], confidence: float = 0.9) -> np.ndarray:
    """Probabilities that are sure of ``spans``."""
    table = np.full((length, len(LABELS)), (1 - confidence) / (len(LABELS) - 1))
    for index, label in enumerate(encode(spans, length)):
        table[index, LABELS.index(label)] = confidence
    return table


def test_each_feature_comes_again_times_the_informality() -> None:
    document = text("Ada saw Oslo .")
    one = rows(4, [Span(0, 1, "PER"), Span(2, 3, "LOC")])
    stacked = np.stack([one, rows(4, []), one])
    candidates = DocumentCandidates.of(document, stacked, TYPES, LABELS, Gazetteer())
    plain, features = candidates.columns(genre=False), candidates.columns(genre=True)
    names = names_with_genre(feature_names(["a", "b"], TYPES))
    count = names.index(INFORMAL)
    assert plain.shape == (2, count)
    assert features.shape == (2, len(names))
    np.testing.assert_array_equal(features, np.hstack([plain, [[0.5], [0.5]], 0.5 * plain]))
    assert names[count + 1 :] == [f"{INFORMAL}, {name}" for name in names[:count]]


LONG_TEXT = "hello Ada Oslo ." + " ." * LONG


def two_genres(count: int) -> list[DocumentCandidates]:
    """What the first base model alone predicts is right in a post and wrong in a long text, where both find a place."""
    samples = []
    for number in range(count):
        post = number % 2 == 0
        document = text("hello Ada ." if post else LONG_TEXT)
        shared = [] if post else [Span(2, 3, "LOC")]
        gold = [Span(1, 2, "PER")] if post else shared
        document = replace(document.with_spans(gold), id=f"d{number}", corpus="posts" if post else "news")
        first, other = (rows(len(document.tokens), spans) for spans in ([Span(1, 2, "PER"), *shared], shared))
        samples.append(DocumentCandidates.of(document, np.stack([first, other, first]), TYPES, LABELS, Gazetteer()))
    return samples


def fit(samples: list[DocumentCandidates]) -> MetaClassifier:
    classifier = fit_meta_classifier(samples, ["a", "b"], TYPES, cross_validate(samples), Gazetteer())
    return MetaClassifier.from_json(classifier.to_json())


def test_a_base_model_alone_can_be_right_in_posts_and_wrong_in_long_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meta_training, "GENRE_NAMES", 20)
    samples = two_genres(40)
    assert cross_validate(samples).f1 == 100
    classifier = fit(samples)
    assert INFORMAL in classifier.feature_names
    for sample in samples:
        spans = classifier.select(sample.document, sample.spans, sample.features)
        assert [replace(span, score=None) for span in spans] == list(sample.document.spans)


def test_a_few_names_of_posts_are_too_few_to_learn_genre_from() -> None:
    samples = two_genres(40)
    assert not has_both_genres([sample.document for sample in samples]), "20 names of each"
    assert not cross_validate(samples).genre
    assert INFORMAL not in fit(samples).feature_names


def test_genre_that_explains_nothing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meta_training, "GENRE_NAMES", 10)
    chance = np.random.default_rng(1)
    samples = []
    for number in range(80):
        document = text("hello Ada ." if number % 2 else LONG_TEXT)
        gold = [Span(1, 2, "PER")] if chance.random() < 0.5 else []
        document = replace(document.with_spans(gold), id=f"d{number}", corpus="all")
        alone = rows(len(document.tokens), [Span(1, 2, "PER")])
        stacked = np.stack([alone, rows(len(document.tokens), []), alone])
        samples.append(DocumentCandidates.of(document, stacked, TYPES, LABELS, Gazetteer()))
    assert has_both_genres([sample.document for sample in samples])
    best = cross_validate(samples)
    assert not best.genre
    assert best.thresholds[0] == best.thresholds[1]


@pytest.mark.parametrize(
    ("gains", "reliable"),
    [([1, 1, 1], True), ([1, -1, 0.5], False), ([3, 0, 0.1], True), ([2, 0, -1], False), ([5], False)],
)
def test_a_gain_counts_from_one_standard_error_on(gains: list[float], reliable: bool) -> None:
    assert is_reliable(gains) is reliable


def test_the_threshold_lies_between_those_of_the_genres() -> None:
    names = feature_names(["a", "b"], TYPES)
    classifier = MetaClassifier(tuple(names), np.zeros(len(names)), 0.0, (0.7, 0.3), Gazetteer())
    documents = [text(*["Ada left ."] * LONG), text("Ada left ."), text("Ada left"), text("ada left")]
    assert [informality(document) for document in documents] == [0, 0.5, 1, 1]
    features = np.zeros((1, len(names)))
    counts = [len(classifier.select(document, [Span(0, 1, "PER")], features)) for document in documents]
    assert counts == [0, 0, 1, 1], "a probability of one half is above the threshold of posts alone"
    assert classifier.select(documents[0], [], np.zeros((0, len(names)))) == []


def test_a_file_with_one_threshold_has_it_for_posts_too() -> None:
    value = MetaClassifier(("a",), np.zeros(1), 0.0, (0.4, 0.4), Gazetteer()).to_json()
    del value["post_threshold"]
    assert MetaClassifier.from_json(value).thresholds == (0.4, 0.4)
