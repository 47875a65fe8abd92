"""Exact decoding: against enumeration of every legal label sequence."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiner.pipeline.core.decoding import Marginals, decode_spans, span_f1, viterbi
from multiner.pipeline.core.document import Sentence, Span, from_words
from multiner.pipeline.core.iob2 import bio_labels, decode, encode

LABELS = bio_labels(["PER", "LOC"])


def legal(path: tuple[int, ...]) -> bool:
    """Whether every I- goes on a span of its type."""
    before = 0
    for label in path:
        if label and label % 2 == 0 and before not in (label, label - 1):
            return False
        before = label
    return True


def enumerate_paths(rows: np.ndarray) -> dict[tuple[int, ...], float]:
    """Probability of every legal path."""
    paths = [path for path in product(range(len(LABELS)), repeat=len(rows)) if legal(path)]
    weights = {path: float(np.prod([rows[index, label] for index, label in enumerate(path)])) for path in paths}
    total = sum(weights.values())
    return {path: weight / total for path, weight in weights.items()}


def random_rows(seed: int, length: int) -> np.ndarray:
    rows = np.random.default_rng(seed).dirichlet(np.full(len(LABELS), 0.5), size=length)
    return np.maximum(rows, 1e-6) / np.maximum(rows, 1e-6).sum(axis=1, keepdims=True)


@given(st.integers(0, 10_000), st.integers(1, 5))
def test_viterbi_finds_the_most_probable_legal_path(seed: int, length: int) -> None:
    rows = random_rows(seed, length)
    paths = enumerate_paths(rows)
    assert paths[tuple(viterbi(rows))] == pytest.approx(max(paths.values()))


@given(st.integers(0, 10_000), st.integers(1, 5))
def test_scores_are_the_marginals_of_the_enumeration(seed: int, length: int) -> None:
    rows = random_rows(seed, length)
    paths = enumerate_paths(rows)
    marginals = Marginals(rows)
    for start in range(length):
        for end in range(start + 1, length + 1):
            for begin in (1, 3):
                span = Span(start, end, LABELS[begin][2:])
                expected = sum(
                    weight for path, weight in paths.items() if span in decode([LABELS[label] for label in path])
                )
                assert marginals.span(start, end, begin) == pytest.approx(expected, abs=1e-9)


def test_no_span_crosses_a_sentence() -> None:
    rows = np.full((4, len(LABELS)), 0.01)
    rows[0, 1] = rows[1, 2] = rows[2, 2] = rows[3, 2] = 0.96
    decoded_spans = decode_spans(rows, [Sentence(0, 2), Sentence(2, 4)], LABELS)
    assert (decoded_spans[0].start, decoded_spans[0].end) == (0, 2)
    assert all(span.end <= 2 or span.start >= 2 for span in decoded_spans)


def test_nothing_to_decode() -> None:
    assert decode_spans(np.zeros((0, len(LABELS))), [], LABELS) == ()
    assert len(viterbi(np.zeros((0, len(LABELS))))) == 0


@given(st.lists(st.sampled_from(["PER", "LOC", None]), max_size=8))
def test_spans_survive_the_way_to_labels_and_back(types: list[str | None]) -> None:
    spans = [Span(2 * index, 2 * index + 2, type_) for index, type_ in enumerate(types) if type_]
    assert decode(encode(spans, 2 * len(types))) == spans


def test_span_f1_counts_exact_spans_only() -> None:
    gold = from_words("d", [["Ada", "Lovelace", "saw", "Oslo"]], [Span(0, 2, "PER"), Span(3, 4, "LOC")])
    assert span_f1([gold], [[Span(0, 2, "PER"), Span(3, 4, "LOC")]]) == 100.0
    assert span_f1([gold], [[Span(0, 1, "PER"), Span(3, 4, "LOC")]]) == 50.0
    assert span_f1([gold], [[]]) == 0.0
