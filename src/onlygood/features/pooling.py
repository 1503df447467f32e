"""Average pooling along one side of a map, as matrices; without torch, so that inspecting can use it."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray


def adaptive_pool_matrix(length: int, outputs: int) -> NDArray[np.float32]:
    """One-dimensional adaptive average pooling as a matrix `(outputs, length)`.

    Row i averages the entries from floor(i L / D) up to, but excluding, ceil((i + 1) L / D).
    """
    matrix = np.zeros((outputs, length), np.float32)
    for i in range(outputs):
        start, stop = i * length // outputs, -(-(i + 1) * length // outputs)
        matrix[i, start:stop] = 1 / (stop - start)
    return matrix


@cache
def mean_and_pool_matrix(length: int, outputs: int, padded: bool) -> NDArray[np.float32]:
    """Mean of 3 at stride 1, then adaptive pooling: `(outputs, length)`. Padded, zeros beyond the ends count in."""
    means = np.zeros((length, length), np.float32)
    for offset in (-1, 0, 1):
        means += np.eye(length, k=offset, dtype=np.float32) / 3
    if not padded:
        means = means[1:-1]
    return adaptive_pool_matrix(len(means), outputs) @ means
