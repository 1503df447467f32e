"""The curve of region overlap against pixel false positives: its exact area from sorted scores (AUPRO and sPRO)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Bins of `coarse`.
BINS = 1 << 16
_CHUNK = 1 << 20


def coarse(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """The upper half of each float32's bits as a number from 0 to 65535 that keeps the order."""
    bits = (scores + np.float32(0)).view(np.int32)  # adding zero makes -0 and 0 one number
    return np.where(bits < 0, ~bits >> 16, (bits >> 16) + (BINS >> 1))


def lowest_bin(histogram: NDArray[np.int64], budget: float) -> int:
    """The bin, of normal scores, in which the false positives pass the budget: nothing below it matters."""
    passes = int(np.searchsorted(np.cumsum(histogram[::-1]), budget, side="right"))
    return max(BINS - 1 - passes, 0)


def area_up_to(
    normal: NDArray[np.float32], defect: NDArray[np.float32], overlap: NDArray[np.float64], budget: float
) -> float:
    """Area under overlap against the number of false positives, from 0 to the budget.

    Every distinct score is a threshold; points are joined by straight lines, and the curve is cut at the budget by
    linear interpolation.

    Args:
        normal: Scores of normal pixels, rising; those below `lowest_bin` may be left out.
        defect: Scores of defective pixels, rising; likewise.
        overlap: float64 `(len(defect) + 1,)`: the overlap when the `k` highest defective pixels are found.
        budget: Number of false positives, at most that of all normal pixels.
    """
    # The pixels that tie with the one at the limit: their line is cut where the budget ends.
    left = right = 0
    cut = normal[normal.size - 1 - int(budget)] if int(budget) < normal.size else None
    if cut is not None:
        left, right = (int(np.searchsorted(normal, cut, side=side)) for side in ("left", "right"))
    area = 0.0
    for start in range(right, normal.size, _CHUNK):
        part = normal[start : start + _CHUNK]
        # Each pixel is as wide as any other and as high as the middle of the line through its ties.
        area += float((above(defect, overlap, part) + _from(defect, overlap, part)).sum()) / 2
    if cut is not None:
        width = budget - (normal.size - right)
        low, high = float(above(defect, overlap, cut)), float(_from(defect, overlap, cut))
        area += width * (low + (high - low) * width / (right - left) / 2)
    return area


def above(defect: NDArray[np.float32], overlap: NDArray[np.float64], at: NDArray[np.float32]) -> NDArray[np.float64]:
    """Overlap of the pixels that score above each of `at`."""
    return overlap[defect.size - np.searchsorted(defect, at, side="right")]


def _from(defect: NDArray[np.float32], overlap: NDArray[np.float64], at: NDArray[np.float32]) -> NDArray[np.float64]:
    """Overlap of the pixels that score at or above each of `at`."""
    return overlap[defect.size - np.searchsorted(defect, at, side="left")]


def joined(parts: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The parts as one array; empties the list as it goes, so that both are not held."""
    whole = np.empty(sum(part.size for part in parts), dtype=np.float32)
    end = whole.size
    while parts:
        part = parts.pop()
        whole[end - part.size : end] = part
        end -= part.size
    return whole
