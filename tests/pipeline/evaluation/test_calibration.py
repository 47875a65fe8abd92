"""Calibration and thresholds, on spans worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiner.pipeline.core.document import Span, from_words
from multiner.pipeline.evaluation.calibration import (
    ScoredSpans,
    at_threshold,
    calibration,
    scored_spans,
    threshold,
    thresholds,
)


def scored(pairs: list[tuple[float, bool]], gold: int = 10) -> ScoredSpans:
    scores, right = zip(*pairs, strict=True) if pairs else ((), ())
    return ScoredSpans(np.array(scores, dtype=float), np.array(right, dtype=bool), gold)


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
    assert thresholds(scored([]), None) == {"95": None, "99": None}


def test_the_lowest_threshold_that_reaches_the_precision() -> None:
    spans = scored([(0.9, True), (0.8, False), (0.7, True), (0.6, True), (0.5, False)])
    assert threshold(spans, 0.75) == 0.6
    assert threshold(spans, 0.9) == 0.9
    assert at_threshold(spans, 0.6) == {"precision": 75.0, "recall": 30.0, "share": 80.0}


def test_a_precision_that_nothing_reaches() -> None:
    assert threshold(scored([(0.9, False), (0.8, True)]), 0.95) is None


def test_equal_scores_are_kept_or_left_together() -> None:
    assert threshold(scored([(0.9, True), (0.5, True), (0.5, False)]), 1.0) == 0.9
    assert threshold(scored([(0.5, True), (0.5, False)]), 1.0) is None


def test_the_threshold_is_found_on_dev_and_only_reported_on_test() -> None:
    dev, test = scored([(0.9, True), (0.5, False)]), scored([(0.95, False), (0.9, True), (0.5, True)])
    table = thresholds(dev, test)
    assert table["95"]["score"] == 0.9
    assert table["95"]["dev"]["precision"] == 100.0
    assert table["95"]["test"] == {"precision": 50.0, "recall": 10.0, "share": 66.6667}


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.5, 0.9, 1.0]), st.booleans()), max_size=30))
def test_a_threshold_keeps_its_word(pairs: list[tuple[float, bool]]) -> None:
    spans = scored(pairs)
    score = threshold(spans, 0.8)
    reached = {value for value in spans.scores if spans.right[spans.scores >= value].mean() >= 0.8}
    assert score == (min(reached) if reached else None)
