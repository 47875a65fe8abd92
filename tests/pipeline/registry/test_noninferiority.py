"""The rule on differences in F1."""

from __future__ import annotations

import numpy as np
import pytest

from multiner.pipeline.registry.gate.noninferiority import MEAN, Difference, differences, refusal_reasons, weights

RULES = {"max_possible_loss": 2.0, "max_certain_loss": 0.5}


def counts(right: int, spurious: int, gold: int = 10, documents: int = 100) -> np.ndarray:
    """The same counts in every document."""
    return np.tile([right, spurious, gold - right], (documents, 1))


def test_the_difference_is_the_one_worked_out_by_hand() -> None:
    # 8 of 10 found, nothing spurious: F1 = 16/18; 9 of 10: F1 = 18/19
    result = differences({"one": counts(8, 0)}, {"one": counts(9, 0)}, resamples=50, seed=13)
    expected = 100 * (18 / 19 - 16 / 18)
    assert result["one"] == result[MEAN]
    assert (result[MEAN].points, result[MEAN].low, result[MEAN].high) == pytest.approx((expected,) * 3)


def test_corpora_weigh_by_the_root_of_their_entities() -> None:
    before = {"large": counts(8, 0, documents=90), "small": counts(8, 0, documents=10)}
    after = {"large": counts(8, 0, documents=90), "small": counts(9, 0, documents=10)}
    assert weights(before) == {"large": pytest.approx(0.75), "small": pytest.approx(0.25)}
    result = differences(before, after, resamples=50, seed=13)
    assert list(result) == ["large", "small", MEAN]
    assert result[MEAN].points == pytest.approx(result["small"].points / 4)


def test_few_documents_have_a_wide_interval() -> None:
    rng = np.random.default_rng(1)

    def varied(documents: int) -> dict[str, np.ndarray]:
        right = rng.binomial(10, 0.8, size=documents)
        return {"one": np.stack([right, np.ones_like(right), 10 - right], axis=1)}

    few, many = (differences(varied(size), varied(size), resamples=500, seed=13)[MEAN] for size in (10, 1000))
    assert few.low < few.points < few.high
    assert few.high - few.low > 5 * (many.high - many.low)


@pytest.mark.parametrize(
    ("mean", "small", "refused"),
    [
        ((0.0, -1.9, 1.9), (0.0, -8.0, 8.0), []),
        ((-0.1, -2.1, 1.9), (0.0, -8.0, 8.0), ["cannot be ruled out"]),
        ((-1.0, -1.4, -0.6), (0.0, -8.0, 8.0), ["is certain"]),
        ((0.0, -1.0, 1.0), (-5.0, -9.0, -1.0), ["small: -5.00"]),
        ((-3.0, -4.0, -2.0), (-5.0, -9.0, -1.0), ["cannot be ruled out", "small: -5.00", "is certain"]),
    ],
)
def test_what_refuses(mean: tuple[float, ...], small: tuple[float, ...], refused: list[str]) -> None:
    reasons = refusal_reasons({"small": Difference(*small), MEAN: Difference(*mean)}, RULES)
    assert len(reasons) == len(refused)
    for reason, part in zip(reasons, refused, strict=True):
        assert part in reason
    assert refusal_reasons({MEAN: Difference(*mean)}, {"max_possible_loss": None, "max_certain_loss": None}) == []
