"""The linear subspace that good features lie in: principal components, and what lies outside (DFM)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onlygood.memory.threads import one_thread

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Subspace:
    """Principal components of training vectors.

    Attributes:
        mean: float32 `(D,)`.
        axes: float32 `(r, D)`, orthonormal rows, in order of falling variance.
        variances: float64 `(r,)`: of the training vectors along each axis, over n.
    """

    mean: Array
    axes: Array
    variances: NDArray[np.float64]

    def coordinates(self, vectors: Array) -> Array:
        """`(q, r)` of vectors `(q, D)`."""
        return np.asarray((vectors - self.mean) @ self.axes.T, np.float32)

    def residual(self, vectors: Array) -> Array:
        """What of vectors `(q, D)` lies outside: their difference from their reconstruction, `(q, D)`."""
        return vectors - self.mean - self.coordinates(vectors) @ self.axes

    def neg_log_likelihood(self, vectors: Array) -> NDArray[np.float64]:
        """float64 `(q,)`: of the coordinates under the Gaussian of the training vectors, without constants.

        Sum of z^2 / variance, plus the log of the determinant: twice the negative logarithm.
        """
        z = self.coordinates(vectors).astype(np.float64)
        return np.asarray((z**2 / self.variances).sum(axis=1) + np.log(self.variances).sum())


def fit_subspace(vectors: Array, components: float) -> Subspace:
    """Principal components of vectors `(n, D)`, by the `(n, n)` matrix of inner products: D may be large.

    Needs threadpoolctl.

    Args:
        vectors: float32 `(n, D)`.
        components: A share of the variance below 1: the fewest components that hold it. Or their number, from 1 on,
            if the vectors span so many dimensions.
    """
    mean = vectors.mean(axis=0, dtype=np.float64)
    off = vectors - mean
    products = off @ off.T
    with one_thread():
        values, left = np.linalg.eigh(products)
    values, left = values[::-1], left[:, ::-1]
    rank = int((values > max(values[0], 0) * len(values) * np.finfo(np.float64).eps).sum())
    count = int(components)
    if components < 1:
        held = np.cumsum(values[:rank]) / max(values[:rank].sum(), np.finfo(np.float64).tiny)
        count = int(np.searchsorted(held, components - 1e-12)) + 1
    count = min(count, rank)
    axes = (left[:, :count] / np.sqrt(values[:count])).T @ off
    return Subspace(mean.astype(np.float32), axes.astype(np.float32), values[:count] / len(vectors))
