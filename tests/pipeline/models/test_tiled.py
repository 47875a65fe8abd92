"""Products whose rows do not depend on each other, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from thinc.api import NumpyOps

from multiner.pipeline.models.spacy import tiled
from multiner.pipeline.models.spacy.tiled import TiledOps, tile


@pytest.mark.parametrize("transposed", [True, False])
@pytest.mark.parametrize(("inner", "outer"), [(288, 288), (96, 9), (64, 74), (5, 3)])
def test_a_row_has_the_same_product_wherever_it_stands(inner: int, outer: int, transposed: bool) -> None:
    random, ops = np.random.default_rng(1), TiledOps(use_blis=False)
    matrix = random.standard_normal((outer, inner) if transposed else (inner, outer)).astype(np.float32)
    rows = random.standard_normal((70, inner)).astype(np.float32)
    alone = np.concatenate([ops.gemm(rows[at : at + 1], matrix, trans2=transposed) for at in range(len(rows))])
    for start, end in [(0, 70), (3, 70), (1, 9), (2, 19), (5, 5), (6, 70)]:
        np.testing.assert_array_equal(ops.gemm(rows[start:end], matrix, trans2=transposed), alone[start:end])
    into = np.empty((70, outer), dtype=np.float32)
    assert ops.gemm(rows, matrix, trans2=transposed, out=into) is into
    np.testing.assert_array_equal(into, alone)
    np.testing.assert_allclose(
        alone, NumpyOps(use_blis=False).gemm(rows, matrix, trans2=transposed), rtol=1e-4, atol=1e-4
    )


def test_gradients_are_as_usual() -> None:
    random = np.random.default_rng(2)
    x, y = (random.standard_normal((20, 4)).astype(np.float32) for _ in range(2))
    np.testing.assert_array_equal(
        TiledOps(use_blis=False).gemm(x, y, trans1=True), NumpyOps(use_blis=False).gemm(x, y, trans1=True)
    )


def test_where_the_place_of_a_row_matters_products_have_fewer_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    repeat = np.repeat

    def differing(row: np.ndarray, rows: int, axis: int) -> np.ndarray:
        repeated = repeat(row, rows, axis=axis)
        repeated[4:] *= 2  # as of a library that computes the rows behind the fourth in another way
        return repeated

    tile.cache_clear()
    monkeypatch.setattr(tiled.np, "repeat", differing)
    assert tile(30, 20, True) == 4
    tile.cache_clear()
