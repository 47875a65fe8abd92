"""How much a text reads like a post, and what the meta-classifier makes of it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from multiner.pipeline.core.document import Document, Span, from_words
from multiner.pipeline.core.iob2 import bio_labels, encode
from multiner.pipeline.ensemble.features import INFORMAL, candidate_features, decode_systems, feature_names
from multiner.pipeline.ensemble.genre import LONG, SHORT, informality
from multiner.pipeline.ensemble.meta_classifier import MetaClassifier
from multiner.pipeline.ensemble.meta_training import DocumentCandidates, cross_validate, fit_meta_classifier
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
    systems = decode_systems(document, np.stack([one, rows(4, []), one]), LABELS)
    _, features = candidate_features(document, systems, TYPES, Gazetteer())
    names = feature_names(["a", "b"], TYPES)
    count = names.index(INFORMAL)
    assert features.shape == (2, len(names))
    assert (features[:, count] == 0.5).all()
    np.testing.assert_array_equal(features[:, count + 1 :], 0.5 * features[:, :count])
    assert names[count + 1 :] == [f"{INFORMAL}, {name}" for name in names[:count]]


def two_genres(count: int) -> list[DocumentCandidates]:
    """What only the first base model predicts is right in a post, and wrong in a long text."""
    samples = []
    for number in range(count):
        post = number % 2 == 0
        document = text("hello Ada .") if post else text(*["hello Ada ."] * LONG)
        gold = [Span(1, 2, "PER")] if post else []
        document = replace(document.with_spans(gold), id=f"d{number}", corpus="posts" if post else "news")
        alone = rows(len(document.tokens), [Span(1, 2, "PER")])
        stacked = np.stack([alone, rows(len(document.tokens), []), alone])
        samples.append(DocumentCandidates.of(document, stacked, TYPES, LABELS, Gazetteer()))
    return samples


def test_a_base_model_alone_can_be_right_in_posts_and_wrong_in_long_texts() -> None:
    samples = two_genres(60)
    best = cross_validate(samples)
    assert best.f1 == 100 / 2, "the news have no names: their F1 is 0"
    classifier = fit_meta_classifier(samples, ["a", "b"], TYPES, best, Gazetteer())
    classifier = MetaClassifier.from_json(classifier.to_json())
    for sample in samples:
        assert [span.end for span in classifier.select(sample.spans, sample.features)] == [2] * len(
            sample.document.spans
        )


def test_the_threshold_lies_between_those_of_the_genres() -> None:
    names = feature_names(["a", "b"], TYPES)
    classifier = MetaClassifier(tuple(names), np.zeros(len(names)), 0.0, (0.7, 0.3), Gazetteer())
    features = np.zeros((1, len(names)))
    chosen = []
    for informal in (0.0, 0.4, 0.6, 1.0):
        features[0, names.index(INFORMAL)] = informal
        chosen.append(len(classifier.select([Span(0, 1, "PER")], features)))
    assert chosen == [0, 0, 1, 1]
    assert classifier.select([], np.zeros((0, len(names)))) == []
