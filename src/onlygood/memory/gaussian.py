"""Gaussian density of whole-image features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onlygood.memory.threads import one_thread


def fit_gaussian(vectors: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean `(D,)` and Ledoit-Wolf precision `(D, D)` of L2-normalised vectors `(n, D)` (needs scikit-learn)."""
    from sklearn.covariance import LedoitWolf

    unit = _normalised(vectors)
    if len(unit) == 1:  # a single image has no covariance: plain distance to it
        return unit[0], np.eye(unit.shape[1])
    with one_thread():
        estimate = LedoitWolf().fit(unit)
    return np.asarray(estimate.location_), np.asarray(estimate.precision_)


def mahalanobis(
    vectors: NDArray[np.float32], mean: NDArray[np.float64], precision: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mahalanobis distances `(n,)` of L2-normalised vectors `(n, D)`."""
    difference = _normalised(vectors) - mean
    squared = np.einsum("nd,de,ne->n", difference, precision, difference, optimize=True)
    return np.asarray(np.sqrt(np.maximum(squared, 0)))


def _normalised(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = vectors.astype(np.float64)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12))
