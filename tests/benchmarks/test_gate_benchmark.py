"""The simulation of the gate: equal models are equal, and worse ones lose the points asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from multiner.pipeline.evaluation.significance import micro_f1
from tests.benchmarks.test_benchmarks import script

RULES = {"max_possible_loss": 2.0, "max_certain_loss": 0.5, "bootstrap": 200}


def population(gate, documents: int, *, of_gate: bool = True):  # noqa: ANN001, ANN201
    """Two systems that err in other documents."""
    rng = np.random.default_rng(documents)
    right = rng.binomial(10, 0.9, size=(2, documents))
    return gate.Population(np.stack([right, 10 - right, 10 - right], axis=2), documents, gate=of_gate)


def test_a_spoiled_model_loses_the_points_asked_for(root: Path) -> None:
    gate = script(root, "gate")
    counts = population(gate, 2000).counts[0]
    for loss in (0.0, 1.0, 3.0):
        after = gate.spoiled(counts, gate.share_for(counts, loss), np.random.default_rng(1))
        assert micro_f1(counts.sum(0)) - micro_f1(after.sum(0)) == pytest.approx(loss, abs=0.3)
        assert (after[:, [0, 2]].sum(1) == counts[:, [0, 2]].sum(1)).all(), "the gold spans stay"


def test_no_loss_is_no_share_below_zero(root: Path) -> None:
    gate = script(root, "gate")
    shares = [gate.share_for(np.array([[right, 3, wrong]]), 0.0) for right in range(1, 60) for wrong in range(1, 60)]
    assert min(shares) == 0.0
    assert max(shares) == pytest.approx(0.0, abs=1e-12)


def test_equal_models_pass_and_worse_ones_do_not(root: Path) -> None:
    gate = script(root, "gate")
    corpora = {"one": [population(gate, 20), population(gate, 1500, of_gate=False)]}
    equal, worse = (gate.simulate(corpora, {"one": loss}, RULES, 40, 1) for loss in (0.0, 3.0))
    assert equal["refused"] < 10 < 90 < worse["refused"]
    assert equal["refused_before"] > 20, "twenty documents alone refuse equal models"
