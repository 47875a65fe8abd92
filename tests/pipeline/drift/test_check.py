"""When a week of traffic has drifted, and what the report says."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from multiner.pipeline.drift.check import check
from multiner.pipeline.drift.comparison import (
    TRAINING,
    WEEK_BEFORE,
    Thresholds,
    chi_squared,
    compare,
    judged,
    pooled,
    stability_index,
)
from multiner.pipeline.drift.report import last_summary, write_report
from multiner.pipeline.drift.sketch import EntityTraits, Sketch, add_entities, add_text

THRESHOLDS = Thresholds(texts=50, psi=0.25, alpha=0.01)
NEWS = "The minister said on Monday that talks in Oslo would go on until the end of the week."
POSTS = "omg #oslo is so cold @ada"


def texts(pattern: str, number: int, score: float = 0.9, seed: int = 0) -> Sketch:
    """A sketch of invented texts that begin as ``pattern`` does, each with one entity."""
    chance, sketch = random.Random(seed), Sketch(number)
    for _ in range(number):
        text = " ".join(pattern.split()[: chance.randint(4, 16)])
        entity = EntityTraits(0, "LOC", min(1.0, max(0.0, chance.gauss(score, 0.05))), 1.0)
        add_entities(sketch, add_text(sketch, text), [entity], ["LOC"])
    return sketch


def day(before: int) -> str:
    return (datetime.now(UTC).date() - timedelta(days=before)).isoformat()


def test_the_index_is_zero_for_equal_shares_and_grows_with_the_shift() -> None:
    even = np.array([500.0, 500.0])
    assert stability_index(even, 2 * even) == pytest.approx(0, abs=1e-6)
    # (.6 - .5) ln(.6/.5) + (.4 - .5) ln(.4/.5)
    assert stability_index(np.array([600.0, 400.0]), even) == pytest.approx(0.0405, abs=5e-4)
    assert stability_index(np.array([1000.0, 0.0]), even) > 1


def test_bins_are_joined_until_each_is_expected_to_have_texts() -> None:
    live, reference = pooled([0, 1, 60, 2, 1], [1, 0, 80, 3, 0])
    assert (live.sum(), reference.sum()) == (64, 84)
    assert len(live) == 1, "the bins at the edge have too few texts to stand alone"
    live, reference = pooled([50, 0, 50], [30, 0, 70])
    assert live.tolist() == [50, 50]
    assert chi_squared(live, reference) < 0.01
    assert chi_squared(live[:1], reference[:1]) == 1.0


def test_equal_texts_are_no_drift_and_posts_after_news_are_one() -> None:
    training = texts(NEWS, 400, seed=1)
    assert not any(shift.drifted for shift in judged(compare(texts(NEWS, 300), training, TRAINING, 50), THRESHOLDS))
    shifts = judged(compare(texts(POSTS, 300, score=0.5), training, TRAINING, 50), THRESHOLDS)
    drifted = {shift.measure for shift in shifts if shift.drifted}
    assert {"marks", "score", "initials"} <= drifted
    assert "length" not in drifted, "people send shorter texts than corpora hold"


def test_a_significant_trifle_is_no_drift_and_neither_is_a_large_shift_by_chance() -> None:
    thousands = Sketch(100_000, {("marks", 0): 97_000.0, ("marks", 1): 3_000.0})
    before = Sketch(100_000, {("marks", 0): 98_000.0, ("marks", 1): 2_000.0})
    (shift,) = judged(compare(thousands, before, WEEK_BEFORE, 50), THRESHOLDS)
    assert shift.p < 1e-10
    assert not shift.drifted
    few, others = (Sketch(20, {("marks", 0): 20.0 - n, ("marks", 1): float(n)}) for n in (5, 12))
    (shift,) = judged(compare(few, others, WEEK_BEFORE, 10), THRESHOLDS)
    assert shift.psi > 0.25
    assert not shift.drifted


def test_the_week_is_compared_with_the_training_and_with_the_week_before() -> None:
    traffic = {("en", "2", day(1)): texts(POSTS, 200, 0.5), ("en", "2", day(8)): texts(NEWS, 200)}
    outcome = check("en", "2", traffic, texts(NEWS, 400, seed=1), THRESHOLDS, retrain=True)
    assert {shift.against for shift in outcome.drifted} == {TRAINING, WEEK_BEFORE}
    assert (outcome.retrain, outcome.texts, outcome.notes) == (True, 200, [])
    assert outcome.summary.startswith("drift in ")
    assert outcome.summary.endswith("; it calls for retraining"), "by hand none follows"
    calm = check("en", "2", {("en", "2", day(1)): texts(NEWS, 200)}, texts(NEWS, 400, seed=1), THRESHOLDS, retrain=True)
    assert (calm.drifted, calm.retrain, calm.summary) == ([], False, "no drift in 200 texts")
    assert calm.notes == ["too few texts in the week before: 0 of 50"]


def test_what_depends_on_the_version_is_of_its_answers_alone() -> None:
    traffic = {("en", "1", day(2)): texts(NEWS, 200, 0.4), ("en", "2", day(1)): texts(NEWS, 200, 0.9)}
    outcome = check("en", "2", traffic, texts(NEWS, 400, seed=1), THRESHOLDS, retrain=True)
    numbers = {shift.measure: round(shift.texts) for shift in outcome.shifts}
    assert (numbers["sentence"], numbers["score"]) == (400, 200)
    assert not outcome.drifted


def test_few_texts_are_not_compared_nor_is_an_older_version_with_a_training_it_lacks() -> None:
    few = check("en", "2", {("en", "2", day(1)): texts(POSTS, 30)}, texts(NEWS, 400), THRESHOLDS, retrain=True)
    assert (few.shifts, few.summary) == ([], "too few texts to tell: 30 of 50")
    hasty = {("en", "2", day(1)): Sketch(400, texts(POSTS, 30).counts)}  # more came in a second than are looked at
    outcome = check("en", "2", hasty, texts(NEWS, 400), THRESHOLDS, retrain=True)
    assert (outcome.shifts, outcome.summary) == ([], "too few texts to tell: 30 (of 400 that came) of 50")
    traffic = {("en", "2", day(1)): texts(POSTS, 200, 0.5), ("en", "2", day(8)): texts(NEWS, 200)}
    older = check("en", "2", traffic, None, THRESHOLDS, retrain=False)
    assert {shift.against for shift in older.shifts} == {WEEK_BEFORE}
    assert older.drifted
    assert not older.retrain
    assert older.notes == ["version 2 has no reference of its training texts"]


def test_a_language_that_takes_over_is_a_drift() -> None:
    traffic = {
        (language, "1", day(before)): Sketch(number)
        for language, before, number in (("en", 8, 900), ("ru", 8, 100), ("en", 1, 500), ("ru", 1, 500))
    }
    outcome = check("en", "1", traffic, None, THRESHOLDS, retrain=True)
    assert [(shift.measure, shift.drifted) for shift in outcome.shifts] == [("language", True)]


def test_the_report_has_the_shifts_a_plot_and_the_line_for_the_status(tmp_path: Path) -> None:
    traffic = {("en", "<2>", day(1)): texts(POSTS, 200, 0.5), ("en", "<2>", day(8)): texts(NEWS, 200)}
    outcome = check("en", "<2>", traffic, texts(NEWS, 400, seed=1), THRESHOLDS, retrain=True)
    assert last_summary(tmp_path / "drift") is None
    write_report(tmp_path / "drift", outcome, THRESHOLDS)
    page = (tmp_path / "drift" / "index.html").read_text(encoding="utf-8")
    assert "Hashtags, mentions and URLs in a sentence" in page
    assert "version &lt;2&gt;" in page
    assert "data:image/png;base64,iVBOR" in page
    line = last_summary(tmp_path / "drift")
    assert line == f"{outcome.summary} (checked {day(0)}, version <2>)"
    write_report(tmp_path / "drift", check("en", "3", {}, None, THRESHOLDS, retrain=True), THRESHOLDS)
    assert "img" not in (tmp_path / "drift" / "index.html").read_text(encoding="utf-8").partition("<body>")[2]
