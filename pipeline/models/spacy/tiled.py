"""Products of matrices whose result for a row does not depend, to the last bit, on the rows beside it.

BLAS adds in an order that depends on the number of rows, and on some CPUs on the place of a row among them. Here all
products have the same small number of rows, in which the place makes no difference.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from thinc.api import NumpyOps


class TiledOps(NumpyOps):
    """numpy's operations, with products of as many rows as :func:`tile` allows."""

    def gemm(self, x, y, *, out=None, trans1=False, trans2=False):  # noqa: ANN001, ANN201 (as the class above)
        """The product of two matrices; ``trans1`` and ``trans2``: of the transposed ones."""
        if trans1:
            return super().gemm(x, y, out=out, trans1=trans1, trans2=trans2)
        y = y.T if trans2 else y
        count, rows = len(x), tile(*y.shape, trans2)
        if count % rows:
            x = np.concatenate([x, np.zeros((rows - count % rows, x.shape[1]), dtype=x.dtype)])
        product = np.matmul(x.reshape(len(x) // rows, rows, x.shape[1]), y).reshape(len(x), y.shape[1])[:count]
        if out is None:
            return product
        out[...] = product
        return out


@cache
def tile(inner: int, outer: int, transposed: bool) -> int:
    """The most rows of a product with a matrix ``[inner, outer]`` that this CPU's library computes all alike."""
    random = np.random.default_rng(0)
    shape = (outer, inner) if transposed else (inner, outer)
    matrix, row = random.random(shape, dtype=np.float32), random.random((1, inner), dtype=np.float32)
    for rows in (8, 4, 2):
        products = np.repeat(row, rows, axis=0) @ (matrix.T if transposed else matrix)
        if (products == products[0]).all():
            return rows
    return 1
