"""Calibration and thresholds, on spans worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from multiner.pipeline.core.document import Span, from_words
from multiner.pipeline.evaluation.calibration import (
    ScoredSpans,
    at_threshold,
    calibration,
    precision_bound,
    scored_spans,
    threshold,
    thresholds,
)


def scored(pairs: list[tuple[float, bool]], gold: int = 10) -> ScoredSpans:
    scores, right = zip(*pairs, strict=True) if pairs else ((), ())
    labels = np.array(["PER"] * len(pairs), dtype=object)
    return ScoredSpans(np.array(scores, dtype=float), np.array(right, dtype=bool), gold, labels)


def test_right_means_bounds_and_type() -> None:
    gold = [from_words("1", [["Ada", "Quill", "left"]], [Span(0, 2, "PER")])]
    for span, right in (
        (Span(0, 2, "PER", 0.9), True),
        (Span(0, 1, "PER", 0.9), False),
        (Span(0, 2, "LOC", 0.9), False),
    ):
        spans = scored_spans(gold, [(span,)])
        assert (spans.right.tolist(), spans.scores.tolist(), spans.gold) == ([right], [0.9], 1)


def test_error_and_brier_by_hand() -> None:
    spans = scored([(0.9, True), (0.8, False), (0.4, False), (0.2, False)])
    figures = calibration(spans, bins=2)
    assert [(row["low"], row["high"], row["count"]) for row in figures["bins"]] == [(0.2, 0.4, 2), (0.8, 0.9, 2)]
    assert figures["ece"] == pytest.approx((0.3 + 0.35) / 2)
    assert figures["brier"] == pytest.approx((0.01 + 0.64 + 0.16 + 0.04) / 4)


def test_scores_that_mean_what_they_say_have_no_error() -> None:
    spans = scored([(0.75, True), (0.75, True), (0.75, True), (0.75, False)] * 15)
    shuffled = calibration(scored(sorted([(0.75, True)] * 4)), bins=1)
    assert calibration(spans, bins=15)["ece"] == pytest.approx(0.0)
    assert shuffled["ece"] == pytest.approx(0.25)


def test_the_error_of_chance_is_what_honest_scores_show_on_so_few() -> None:
    few, many = (
        calibration(scored([(0.7 + 1e-9 * index, index % 10 < 7) for index in range(count)])) for count in (60, 6000)
    )
    assert few["ece_of_chance"] > 5 * many["ece_of_chance"] > 0
    # of four predictions at 0.7 in a bin, the share that is right lies 0.185 off on average (binomial)
    assert few["ece_of_chance"] == pytest.approx(0.185, abs=0.01)


def test_bins_hold_equal_shares() -> None:
    counts = [row["count"] for row in calibration(scored([(n / 100, True) for n in range(47)]))["bins"]]
    assert (len(counts), sum(counts), max(counts) - min(counts)) == (15, 47, 1)


def test_equal_scores_share_a_bin_so_that_their_order_does_not_matter() -> None:
    pairs = [(0.5, index < 150) for index in range(300)]
    assert calibration(scored(pairs))["ece"] == 0.0
    mixed = [*pairs, *((1.0, index > 10) for index in range(200)), *((index / 97, index > 40) for index in range(97))]
    figures = calibration(scored(mixed))
    assert figures == calibration(scored(mixed[::-1])) == calibration(scored(sorted(mixed, key=lambda pair: pair[1])))
    assert [row["count"] for row in figures["bins"] if row["high"] == 1.0] == [200]
    assert sum(row["count"] for row in figures["bins"]) == 597


def test_no_prediction_has_no_error() -> None:
    assert calibration(scored([])) == {"ece": None, "ece_of_chance": None, "brier": None, "bins": []}
    none = {"score": None, "gate": None, "test": None, "types": {}}
    assert thresholds(scored([]), None) == {"95": none, "99": none}


def run_of(score: float, count: int, wrong: int = 0) -> list[tuple[float, bool]]:
    """``count`` predictions with this score, ``wrong`` of them wrong."""
    return [(score, number >= wrong) for number in range(count)]


def test_the_bound_is_the_exact_one_for_ten_at_once() -> None:
    # with n of n right the bound at level .005 is .005 ** (1 / n)
    assert precision_bound(100, 100) == pytest.approx(0.005 ** (1 / 100))
    assert precision_bound(0, 5) == 0.0
    assert precision_bound(90, 100) < 0.9


def test_the_lowest_threshold_that_surely_has_the_precision() -> None:
    spans = scored([*run_of(0.9, 200), *run_of(0.8, 100, 1), *run_of(0.7, 100, 60)], gold=500)
    assert threshold(spans, 0.95) == 0.8
    assert threshold(spans, 0.99) is None, "200 of 200 right are too few for 99 %"
    assert at_threshold(spans, 0.8) == {"precision": 99.6667, "recall": 59.8, "share": 75.0}


def test_few_predictions_show_no_precision() -> None:
    assert threshold(scored(run_of(0.9, 50)), 0.95) is None
    assert threshold(scored(run_of(0.9, 110)), 0.95) == 0.9


def test_the_threshold_is_found_on_the_gate_half_and_only_reported_on_test() -> None:
    gate = scored([*run_of(0.9, 200), *run_of(0.5, 50, 40)], gold=300)
    table = thresholds(gate, scored([(0.95, False), (0.9, True), (0.5, True)]))
    assert table["95"]["score"] == 0.9
    assert table["95"]["gate"]["precision"] == 100.0
    assert table["95"]["test"] == {"precision": 50.0, "recall": 10.0, "share": 66.6667}
    assert table["95"]["types"] == {"PER": 0.9}
    assert table["99"] == {"score": None, "gate": None, "test": None, "types": {"PER": None}}


def test_each_type_has_its_own_threshold() -> None:
    documents = [from_words(str(number), [["Ada", "left", "Oslo"]], [Span(0, 1, "PER")]) for number in range(150)]
    spans = [(Span(0, 1, "PER", 0.8), Span(2, 3, "LOC", 0.9)) for _ in documents]
    table = thresholds(scored_spans(documents, spans), None)
    assert table["95"]["types"] == {"LOC": None, "PER": 0.8}
    assert table["95"]["score"] is None


def test_a_threshold_keeps_its_word_nearly_always() -> None:
    """Of scores that mean nothing and predictions of which 94.9 % are right, 95 % is seldom claimed."""
    draw = np.random.default_rng(1)
    claimed = sum(
        threshold(scored(list(zip(draw.random(1000), draw.random(1000) < 0.949, strict=True))), 0.95) is not None
        for _ in range(300)
    )
    assert claimed <= 15
