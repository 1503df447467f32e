"""Connected components of binary masks, 8-connected, with numpy alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onlygood.errors import ParameterError


def label_components(mask: ArrayLike) -> tuple[NDArray[np.int32], int]:
    """Number the 8-connected components of a mask.

    Pixels that touch by a side or a corner belong together. The mask is cut into horizontal runs, runs of
    neighbouring rows that touch are joined, and each run gets the number of its group.

    Args:
        mask: `(h, w)`; everything that is not zero is foreground.

    Returns:
        `labels`, int32 `(h, w)`, 0 for background and 1..count in the order in which the components are
        first met row by row; and `count`.

    Raises:
        ParameterError: The mask does not have two dimensions.
    """
    foreground = np.asarray(mask).astype(bool)
    if foreground.ndim != 2:
        raise ParameterError(f"A mask must have two dimensions (h, w), not shape {foreground.shape}.")
    labels = np.zeros(foreground.shape, dtype=np.int32)
    start, end = _runs(foreground)
    if start.size == 0:
        return labels, 0
    first_met, group = np.unique(
        _roots(start.size, *_touching(start, end, foreground.shape[1] + 2)), return_inverse=True
    )
    labels[foreground] = np.repeat(group.astype(np.int32) + 1, end - start)
    return labels, int(first_met.size)


def _runs(foreground: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Start and end (exclusive) of each horizontal run, as positions in rows padded by one on both sides."""
    height, width = foreground.shape
    padded = np.zeros((height, width + 2), dtype=np.int8)
    padded[:, 1:-1] = foreground
    change = np.flatnonzero(np.diff(padded.ravel())) + 1
    return change[0::2], change[1::2]


def _touching(
    start: NDArray[np.int64], end: NDArray[np.int64], stride: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs (run, run of the row above) that touch by a side or a corner."""
    # The runs above that touch one run lie side by side in the list: from the first that ends at or after
    # its start to the last that begins at or before its end. The padding keeps rows from touching.
    first = np.searchsorted(end, start - stride, side="left")
    last = np.searchsorted(start, end - stride, side="right")
    count = last - first
    below = np.repeat(np.arange(start.size), count)
    offset = np.arange(below.size) - np.repeat(np.cumsum(count) - count, count)
    return below, np.repeat(first, count) + offset


def _roots(size: int, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    """Lowest member of the group of each of `size` things, given the pairs that belong together."""
    parent = np.arange(size)
    while left.size:
        low, high = np.minimum(left, right), np.maximum(left, right)
        np.minimum.at(parent, high, low)
        while True:  # point everything straight at its root
            shorter = parent[parent]
            if np.array_equal(shorter, parent):
                break
            parent = shorter
        left, right = parent[left], parent[right]
        apart = left != right
        left, right = left[apart], right[apart]
    return parent
