"""The bootstrap and the promotion rule."""

from __future__ import annotations

import numpy as np
import pytest

from multiner.pipeline.evaluation.significance import Verdict, micro_f1, no_worse, paired_bootstrap

LIMITS = {"min_difference": -0.3, "min_difference_corpus": -1.0, "resamples": 1000, "seed": 13}


def counts(right: int, spurious: int, gold: int = 10, documents: int = 100) -> np.ndarray:
    """The same counts in every document."""
    return np.tile([right, spurious, gold - right], (documents, 1))


def varied(rng: np.random.Generator, share: float, documents: int = 200) -> np.ndarray:
    """Ten gold spans a document, found with probability ``share``; one spurious span."""
    right = rng.binomial(10, share, size=documents)
    return np.stack([right, np.ones_like(right), 10 - right], axis=1)


def test_f1_of_counts() -> None:
    assert micro_f1(np.array([6, 2, 4])) == pytest.approx(100 * 12 / 18)
    assert micro_f1(np.array([0, 0, 0])) == 0.0


def test_identical_systems_differ_by_nothing() -> None:
    same = varied(np.random.default_rng(1), 0.8)
    interval = paired_bootstrap(same, same, resamples=500, seed=13)
    assert (interval.difference, interval.low, interval.high, interval.p) == (0.0, 0.0, 0.0, 1.0)


def test_a_much_better_system_is_significant() -> None:
    rng = np.random.default_rng(2)
    interval = paired_bootstrap(varied(rng, 0.6), varied(rng, 0.9), resamples=1000, seed=13)
    assert 0 < interval.low < interval.difference < interval.high
    assert interval.p < 0.05


def test_chance_differences_are_not_significant() -> None:
    rng = np.random.default_rng(3)
    hits = sum(
        paired_bootstrap(varied(rng, 0.8), varied(rng, 0.8), resamples=400, seed=13).p < 0.05 for _ in range(100)
    )
    assert hits <= 12  # about 5 are expected


def test_the_difference_is_the_one_worked_out_by_hand() -> None:
    # a: 8 of 10 found, nothing spurious: F1 = 16/18; b: 9 of 10: F1 = 18/19
    interval = paired_bootstrap(counts(8, 0), counts(9, 0), resamples=50, seed=13)
    assert interval.difference == pytest.approx(100 * (18 / 19 - 16 / 18))
    assert interval.low == pytest.approx(interval.difference)  # every document is alike


def test_the_seed_settles_the_interval() -> None:
    rng = np.random.default_rng(4)
    a, b = varied(rng, 0.8), varied(rng, 0.82)
    assert paired_bootstrap(a, b, resamples=200, seed=5) == paired_bootstrap(a, b, resamples=200, seed=5)
    assert paired_bootstrap(a, b, resamples=200, seed=5) != paired_bootstrap(a, b, resamples=200, seed=6)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.zeros((0, 3), int), np.zeros((0, 3), int)),
        (counts(8, 0), counts(8, 0, documents=99)),
        (counts(8, 0), counts(8, 0, gold=11)),
    ],
    ids=["no documents", "other documents", "other gold"],
)
def test_what_does_not_belong_together_is_refused(a: np.ndarray, b: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"documents|gold"):
        paired_bootstrap(a, b, resamples=10, seed=1)


def verdict(champion: dict[str, np.ndarray], challenger: dict[str, np.ndarray]) -> Verdict:
    return no_worse(champion, challenger, **LIMITS)


def test_the_same_model_passes() -> None:
    same = {"one": counts(8, 1), "two": counts(7, 1)}
    result = verdict(same, same)
    assert result.passed
    assert result.overall.difference == 0.0
    assert set(result.per_corpus) == {"one", "two"}
    assert "no worse" in result.reasons[0]


def test_a_better_model_passes() -> None:
    assert verdict({"one": counts(8, 1)}, {"one": counts(9, 1)}).passed


def test_a_clearly_worse_model_fails_by_its_interval() -> None:
    result = verdict({"one": counts(9, 1)}, {"one": counts(8, 1)})
    assert not result.passed
    assert "lies below 0" in result.reasons[0]


def test_a_loss_within_chance_but_beyond_the_limit_fails() -> None:
    # one document in a hundred loses 5 spans of 1,000, another wins 1: the interval holds 0, the difference is too low
    before, after = counts(8, 0), counts(8, 0)
    after[0] = [0, 0, 10]
    result = verdict({"one": before}, {"one": after})
    assert result.overall.high >= 0
    assert result.overall.difference < -0.3
    assert not result.passed
    assert len(result.reasons) == 2 - (result.overall.difference >= -1.0)


def test_a_small_corpus_may_not_pay_for_a_large_one() -> None:
    champion = {"large": counts(8, 1, documents=400), "small": counts(8, 1, documents=10)}
    challenger = {"large": counts(9, 1, documents=400), "small": counts(7, 1, documents=10)}
    result = verdict(champion, challenger)
    assert result.overall.difference > 0
    assert not result.passed
    assert [reason.split(":")[0] for reason in result.reasons] == ["small"]


def test_a_loss_within_the_limits_passes() -> None:
    before, after = counts(8, 0, documents=1000), counts(8, 0, documents=1000)
    after[:2] = [7, 0, 3]
    result = verdict({"one": before}, {"one": after})
    assert -0.3 < result.overall.difference < 0
    assert result.overall.high >= 0
    assert result.passed


def test_corpora_must_agree() -> None:
    with pytest.raises(ValueError, match="corpora differ"):
        verdict({"one": counts(8, 1)}, {"two": counts(8, 1)})
    with pytest.raises(ValueError, match="no documents"):
        verdict({"one": counts(8, 1, documents=0)}, {"one": counts(8, 1, documents=0)})
