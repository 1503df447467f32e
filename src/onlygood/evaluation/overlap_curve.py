"""The curve of region overlap against pixel false positives: its exact area in bounded memory (AUPRO and sPRO)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

#: Bins of `coarse`.
BINS = 1 << 16
#: Pixels that are held at a time, at most: 1 GiB with the copies that sorting takes.
MOST_PIXELS = 1 << 27
#: As many normal pixels as a defective one takes the memory of: its gain and its place are kept, too.
_DEFECT = 5
_CHUNK = 1 << 20
#: Scores of normal pixels, scores of defective ones, and what each of these adds to the overlap once it is found.
Part = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]


class Pixels(Protocol):
    """All pixels of a test set, gone through image by image and more than once."""

    def between(self, first: int, last: int) -> Iterable[Part]:
        """Of each image the pixels in the bins `[first, last)`; asked for from the top down, no bin twice."""
        ...


def coarse(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """The upper half of each float32's bits as a number from 0 to 65535 that keeps the order."""
    bits = (scores + np.float32(0)).view(np.int32)  # adding zero makes -0 and 0 one number
    return np.where(bits < 0, ~bits >> 16, (bits >> 16) + (BINS >> 1))


def fine(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """The lower half, as a number that keeps the order among scores of one `coarse` bin."""
    bits = (scores + np.float32(0)).view(np.int32)
    return (np.where(bits < 0, ~bits, bits) & (BINS - 1)).astype(np.int64)


def from_halves(upper: NDArray[np.int64], lower: NDArray[np.int64]) -> NDArray[np.float32]:
    """The scores of which these are `coarse` and `fine`."""
    whole = (upper << 16) | lower
    bits = np.where(upper < BINS >> 1, ~whole, whole - (1 << 31))
    return bits.astype(np.int32).view(np.float32)


def lowest_bin(histogram: NDArray[np.int64], budget: float) -> int:
    """The bin, of normal scores, in which the false positives pass the budget: nothing below it matters."""
    passes = int(np.searchsorted(np.cumsum(histogram[::-1]), budget, side="right"))
    return max(BINS - 1 - passes, 0)


def ranges(sizes: NDArray[np.int64], most: int) -> Iterator[tuple[int, int]]:
    """Consecutive bins `[first, last)` that together hold at most so much; a fuller bin is one by itself."""
    first = last = held = 0
    for number in np.flatnonzero(sizes).tolist():
        size = int(sizes[number])
        if held and held + size > most:
            yield first, last
            held = 0
        if not held:
            first = number
        last, held = number + 1, held + size
    if held:
        yield first, last


def areas(pixels: Pixels, counts: NDArray[np.int64], limits: Sequence[float], most: int) -> list[float]:
    """Area under overlap against the false-positive rate, from 0 to each limit.

    The pixels above the highest limit are taken range by range from the top down, so that no more than `most` are held;
    a bin that is fuller is counted by its distinct scores instead.

    Args:
        pixels: Of the test set. Overlap is the sum of the gains of the pixels found.
        counts: int64 `(2, BINS)`: its normal and its defective pixels by bin; one normal pixel at least.
        limits: Rates in (0, 1].
        most: Pixels held at a time.
    """
    n_normal = int(counts[0].sum())
    budgets = np.array(limits) * n_normal
    lowest = lowest_bin(counts[0], float(budgets.max()))
    sizes = counts[0] + _DEFECT * counts[1]
    sizes[:lowest] = 0
    total = np.zeros(len(budgets))
    overlap = 0.0
    for first, last in reversed(list(ranges(sizes, most))):
        left = [float(budget) for budget in np.maximum(budgets, 0)]
        parts = pixels.between(first, last)
        if last - first == 1 and sizes[first] > most:
            found, overlap = _of_counted(parts, overlap, left)
        else:
            found, overlap = _of_held(parts, overlap, left)
        total += found
        budgets = budgets - int(counts[0, first:last].sum())
    return [float(area) for area in total / n_normal]


def _of_held(parts: Iterable[Part], overlap: float, budgets: Sequence[float]) -> tuple[list[float], float]:
    """Area of a range up to each budget, and the overlap at its end."""
    normals, defects, gains = [], [], []
    for normal_part, defect_part, gain_part in parts:
        normals.append(normal_part)
        defects.append(defect_part)
        gains.append(gain_part)
    normal = joined(normals)
    normal.sort()
    defect = joined(defects)
    order = np.argsort(defect, kind="stable")
    steps = np.empty(defect.size + 1)
    steps[0] = overlap
    steps[1:] = np.concatenate([*gains, []])[order[::-1]]
    np.cumsum(steps, out=steps)
    rising = defect[order]
    return [area_up_to(normal, rising, steps, min(budget, normal.size)) for budget in budgets], float(steps[-1])


def _of_counted(parts: Iterable[Part], overlap: float, budgets: Sequence[float]) -> tuple[list[float], float]:
    """The same of one bin, whose scores differ in 16 bits only."""
    normal, gain = np.zeros(BINS), np.zeros(BINS)
    for normal_part, defect_part, gain_part in parts:
        normal += np.bincount(fine(normal_part), minlength=BINS)
        gain += np.bincount(fine(defect_part), gain_part, minlength=BINS)
    normal, gain = normal[::-1], gain[::-1]
    reached = overlap + np.cumsum(gain)
    false = np.cumsum(normal)
    found = []
    for budget in budgets:
        width = np.clip(budget - (false - normal), 0, normal)
        # a straight line through the ties of a score, cut where the budget ends
        height = reached - gain + gain * width / np.maximum(normal, 1) / 2
        found.append(float((width * height).sum()))
    return found, float(reached[-1])


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
