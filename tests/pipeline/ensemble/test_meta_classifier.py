"""The meta-classifier: candidates and their features, the best set of them, and learning from them."""

from __future__ import annotations

import tracemalloc
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiner.pipeline.core.decoding import corpus_mean_f1
from multiner.pipeline.core.document import Document, Span, from_words
from multiner.pipeline.core.iob2 import bio_labels, encode
from multiner.pipeline.ensemble.features import candidate_features, decode_systems, feature_names, log_odds
from multiner.pipeline.ensemble.meta_classifier import MetaClassifier, select
from multiner.pipeline.ensemble.meta_training import DocumentCandidates, cross_validate, fit_meta_classifier
from multiner.pipeline.ensemble.name_features import Gazetteer, Mentions

TYPES = ["PER", "LOC"]
LABELS = bio_labels(TYPES)


def rows(length: int, spans: list[Span], confidence: float = 0.9) -> np.ndarray:
    """Probabilities that are sure of ``spans``."""
    table = np.full((length, len(LABELS)), (1 - confidence) / (len(LABELS) - 1))
    for index, label in enumerate(encode(spans, length)):
        table[index, LABELS.index(label)] = confidence
    return table


def feature(features: np.ndarray, name: str) -> np.ndarray:
    return features[:, feature_names(["a", "b"], TYPES).index(name)]


spans_with_probabilities = st.lists(
    st.tuples(st.integers(0, 8), st.integers(1, 4), st.sampled_from(TYPES), st.floats(0.01, 0.99)), max_size=8
)


@given(spans_with_probabilities, st.sampled_from([0.2, 0.4, 0.5]))
def test_the_selected_set_is_the_best_of_all(scored: list[tuple], threshold: float) -> None:
    candidates = [Span(start, start + length, label) for start, length, label, _ in scored]
    chances = np.array([chance for *_, chance in scored])
    selected = select(candidates, chances, threshold)
    assert all(left.end <= right.start for left, right in combinations(selected, 2))
    best = max(
        sum(chances[index] - threshold for index in chosen)
        for size in range(len(candidates) + 1)
        for chosen in combinations(range(len(candidates)), size)
        if all(
            candidates[one].end <= candidates[two].start or candidates[two].end <= candidates[one].start
            for one, two in combinations(chosen, 2)
        )
    )
    assert sum((span.score or 0) - threshold for span in selected) == pytest.approx(best)


def test_candidates_are_what_any_base_model_predicts_and_agreement_is_counted() -> None:
    document = from_words("d", [["Ada", "Lovelace", "saw", "Oslo"], ["OSLO", "slept"]])
    one = rows(6, [Span(0, 2, "PER"), Span(3, 4, "LOC")])
    other = rows(6, [Span(0, 1, "PER"), Span(3, 4, "PER")])
    stacked = np.stack([one, other, one])
    systems = decode_systems(document, stacked, LABELS)
    gazetteer = Gazetteer.of([from_words("t", [["Oslo", "Lovelace"]], [Span(0, 1, "LOC"), Span(1, 2, "PER")])])
    candidates, features = candidate_features(document, systems, TYPES, gazetteer)
    assert [(span.start, span.end, span.label) for span in candidates] == [
        (0, 1, "PER"), (0, 2, "PER"), (3, 4, "LOC"), (3, 4, "PER"),
    ]  # fmt: skip
    assert features.shape == (4, len(feature_names(["a", "b"], TYPES)))
    assert feature(features, "same in a").tolist() == [0, 1, 1, 0]
    assert feature(features, "overlaps in a").tolist() == [1, 0, 0, 0]
    assert feature(features, "other type in b").tolist() == [0, 0, 1, 0]
    assert feature(features, "agreement 1").tolist() == [1, 1, 1, 1]
    assert feature(features, "seen as type").tolist() == [0, 0, 1, 0]
    assert feature(features, "seen as other type").tolist() == [0, 0, 0, 1]
    assert feature(features, "seen in part").tolist() == [0, 1, 0, 0]
    assert feature(features, "first").tolist() == [1, 1, 0, 0]
    assert feature(features, "last").tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(
        feature(features, "score a")[1], log_odds(np.array([systems.spans[0][0].score]))[0], atol=1e-9
    )


def test_nothing_found_gives_no_candidates() -> None:
    document = from_words("d", [["nothing", "here"]])
    systems = decode_systems(document, np.stack([rows(2, [])] * 3), LABELS)
    candidates, features = candidate_features(document, systems, TYPES, Gazetteer())
    assert candidates == []
    assert features.shape == (0, len(feature_names(["a", "b"], TYPES)))


def test_mentions_elsewhere_in_the_document_count_but_not_the_span_itself() -> None:
    document = from_words("d", [["Ada", "Lovelace", "came"], ["LOVELACE", "left", "Ada"]])
    mentions = Mentions(document, [Span(0, 2, "PER"), Span(3, 4, "LOC")])
    assert mentions.elsewhere(Span(3, 4, "PER")) == [0, 0, 1, 0]
    assert mentions.elsewhere(Span(3, 4, "LOC")) == [0, 0, 0, 1]
    assert mentions.elsewhere(Span(0, 1, "PER")) == [0, 0, 0, 0], "the mention it lies in is not elsewhere"
    assert mentions.elsewhere(Span(5, 6, "PER")) == [0, 0, 1, 0]


@given(
    st.lists(st.sampled_from("abAB"), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2), st.sampled_from(TYPES)), max_size=6),
    st.integers(0, 11),
    st.integers(1, 3),
)
def test_mentions_elsewhere_as_by_looking_at_each(
    words: list[str], gaps: list[tuple[int, int, str]], start: int, length: int
) -> None:
    spans: list[Span] = []
    at = 0
    for size, gap, label in gaps:
        if at + gap + size <= len(words):
            spans.append(Span(at + gap, at + gap + size, label))
            at += gap + size
    start = min(start, len(words) - 1)
    span = Span(start, min(start + length, len(words)), "PER")
    lower = [word.casefold() for word in words]
    name = lower[span.start : span.end]
    far = [other for other in spans if other.end <= span.start or other.start >= span.end]
    whole = {other.label for other in far if lower[other.start : other.end] == name}
    within = {
        other.label
        for other in far
        if other.end - other.start > len(name)
        and any(lower[at : at + len(name)] == name for at in range(other.start, other.end - len(name) + 1))
    }
    expected = [flag for labels in (whole, within) for flag in ("PER" in labels, bool(labels - {"PER"}))]
    assert Mentions(from_words("d", [words]), spans).elsewhere(span) == expected


def test_a_text_full_of_names_needs_little_memory() -> None:
    candidates = [Span(at, at + 1, "PER") for at in range(20_000)]
    tracemalloc.start()
    chosen = select(candidates, np.full(len(candidates), 0.9), 0.5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(chosen) == len(candidates)
    assert peak < 40_000_000


def test_a_gazetteer_survives_json_and_lists_no_name() -> None:
    gazetteer = Gazetteer.of([from_words("t", [["Grace", "Hopper"]], [Span(0, 2, "PER")])])
    value = gazetteer.to_json()
    assert Gazetteer.from_json(value) == gazetteer
    assert "hopper" not in str(value).lower()


def samples(count: int) -> list[DocumentCandidates]:
    """Two base models: one is right about persons, the other about places."""
    chance = np.random.default_rng(4)
    scored = []
    for number in range(count):
        gold = [Span(0, 2, "PER"), Span(3, 4, "LOC")]
        document = Document.from_json(
            from_words(f"d{number}", [["Ada", "Lovelace", "saw", "Oslo", "."]], gold).to_json() | {"corpus": "c"}
        )
        wrong_place = [Span(3, 4, "PER")] if chance.random() < 0.5 else []
        wrong_person = [Span(0, 1, "PER")] if chance.random() < 0.5 else []
        one, other = rows(5, [gold[0], *wrong_place]), rows(5, [*wrong_person, gold[1]])
        scored.append(DocumentCandidates.of(document, np.stack([one, other, one]), TYPES, LABELS, Gazetteer()))
    return scored


def test_the_meta_classifier_learns_which_base_model_to_trust() -> None:
    in_training = samples(60)
    settings = cross_validate(in_training)
    pool = [[Span(*place) for place in {(0, 2, "PER")}] for _ in in_training]
    assert settings.f1 > 95 > corpus_mean_f1([sample.document for sample in in_training], pool)
    classifier = fit_meta_classifier(in_training, ["a", "b"], TYPES, settings, Gazetteer())
    again = MetaClassifier.from_json(classifier.to_json())
    for sample in in_training:
        chosen = again.select(sample.document, sample.spans, sample.features)
        assert [(span.start, span.end, span.label) for span in chosen] == [(0, 2, "PER"), (3, 4, "LOC")]
        assert all(0.5 < (span.score or 0) <= 1 for span in chosen)


def test_too_little_to_learn_from_is_said_and_not_guessed() -> None:
    document = from_words("d", [["Ada", "slept"]], [Span(0, 1, "PER")])
    sure = np.stack([rows(2, [Span(0, 1, "PER")])] * 2)
    assert cross_validate([DocumentCandidates.of(document, sure, TYPES, LABELS, Gazetteer())]).f1 == -1


def test_a_small_corpus_counts_as_much_as_a_large_one() -> None:
    def name_document(corpus: str, number: int) -> Document:
        value = from_words(f"{corpus}{number}", [["Ada"]], [Span(0, 1, "PER")]).to_json()
        return Document.from_json(value | {"corpus": corpus})

    gold = [name_document("large", number) for number in range(9)] + [name_document("small", 0)]
    assert corpus_mean_f1(gold, [[Span(0, 1, "PER")]] * 9 + [[]]) == pytest.approx(50)
