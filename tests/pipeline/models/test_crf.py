"""Marginals and best path of a linear chain, against the sum over all sequences."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest

from multiner.pipeline.core.iob2 import bio_labels
from multiner.pipeline.models.pretrained.crf import Chain

LABELS = bio_labels(["PER", "LOC"])


def legal(path: tuple[int, ...]) -> bool:
    names = ["O", *(LABELS[index] for index in path)]
    return all(
        not name.startswith("I-") or (before != "O" and before[2:] == name[2:]) for before, name in pairwise(names)
    )


@pytest.mark.parametrize("length", [1, 2, 4])
def test_they_agree_with_the_sum_over_all_legal_sequences(length: int) -> None:
    random = np.random.default_rng(length)
    emissions, transitions = random.normal(size=(length, 5)) * 3, random.normal(size=(5, 5)) * 3
    paths = [path for path in product(range(5), repeat=length) if legal(path)]
    scores = np.array(
        [
            sum(emissions[place, label] for place, label in enumerate(path))
            + sum(transitions[left, right] for left, right in pairwise(path))
            for path in paths
        ]
    )
    weights = np.exp(scores - scores.max())
    weights /= weights.sum()
    expected = np.zeros((length, 5))
    for path, weight in zip(paths, weights, strict=True):
        expected[np.arange(length), list(path)] += weight
    chain = Chain(LABELS, transitions)
    np.testing.assert_allclose(chain.marginals(emissions), expected, atol=1e-12)
    assert tuple(chain.best_path(emissions)) == paths[int(scores.argmax())]


def test_long_and_lopsided_chains_stay_finite() -> None:
    random = np.random.default_rng(1)
    emissions = random.normal(size=(5000, 5)) * 100 + 1e4
    chain = Chain(LABELS, random.normal(size=(5, 5)) * 20)
    rows = chain.marginals(emissions.astype(np.float32))
    assert np.isfinite(rows).all()
    np.testing.assert_allclose(rows.sum(axis=1), 1)
    assert len(chain.best_path(emissions)) == 5000


def test_nothing_gives_nothing() -> None:
    chain = Chain(LABELS, np.zeros((5, 5)))
    assert chain.marginals(np.zeros((0, 5))).shape == (0, 5)
    assert chain.best_path(np.zeros((0, 5))).shape == (0,)
