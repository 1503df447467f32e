"""Pixel-level metrics over a whole test set: pixel AUROC and AUPRO, exact and sparing with memory.

Maps and masks are read one image at a time and nothing is binned, resampled or rescaled. `maps` and `masks`
may be lists, or any objects that can be iterated over again (for example ones that read each map from disk),
so that the maps need never be in memory together. Scores are compared as float32.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ParameterError
from onlygood.evaluation.overlap_curve import (
    BINS,
    MOST_PIXELS,
    Part,
    areas,
    coarse,
    fine,
    from_halves,
    joined,
    ranges,
)
from onlygood.images.components import label_components

Maps = Iterable[NDArray[np.float32]]
Masks = Iterable[NDArray[np.bool_]]

_CHUNK = 1 << 20
_MISSING = object()


def pixel_auroc(maps: Maps, masks: Masks, *, most_pixels: int = MOST_PIXELS) -> float:
    """AUROC over all pixels of all images, good images included; ties count half. Exact.

    Memory beyond the maps: about 8 bytes for each pixel held, and a few MB. Where there are more pixels than may be
    held, the maps are read again for each part of the range of scores, so let them come from the disk then.

    Args:
        maps: float32 `(h, w)` anomaly maps; sizes may differ from image to image. Read at least twice, so a generator
            is first made a list.
        masks: bool `(h, w)` of the same sizes, True where defective.
        most_pixels: Pixels held at a time, at most.

    Raises:
        ParameterError: The numbers or sizes of maps and masks differ, a map is not finite, or normal or
            defective pixels are missing altogether.
    """
    maps = list(maps) if isinstance(maps, Iterator) else maps
    masks = list(masks) if isinstance(masks, Iterator) else masks
    counts = _counts(maps, masks)
    n_normal, n_defect = (int(total) for total in counts.sum(axis=1))
    # Python integers: the sums can pass what 64 bits hold.
    wins = below = 0
    for first, last in ranges(counts.sum(axis=0), most_pixels):
        if last - first == 1 and counts[:, first].sum() > most_pixels:
            inside = _wins_in_bin(maps, masks, first)
        else:
            inside = _wins_in_range(maps, masks, first, last)
        wins += inside + 2 * below * int(counts[1, first:last].sum())
        below += int(counts[0, first:last].sum())
    return wins / (2 * n_normal * n_defect)


def _wins_in_range(maps: Maps, masks: Masks, first: int, last: int) -> int:
    """Twice the number of pairs in which the defective pixel scores higher, ties once, of pixels in these bins."""
    parts: tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]] = ([], [])
    for scores, mask in _pairs(maps, masks):
        number = coarse(scores)
        inside = (number >= first) & (number < last)
        parts[0].append(scores[inside & ~mask])
        parts[1].append(scores[inside & mask])
    normal, defect = joined(parts[0]), joined(parts[1])
    normal.sort()
    defect.sort()
    wins = 0
    for start in range(0, defect.size, _CHUNK):
        part = defect[start : start + _CHUNK]
        wins += int(np.searchsorted(normal, part, side="left").sum(dtype=np.int64))
        wins += int(np.searchsorted(normal, part, side="right").sum(dtype=np.int64))
    return wins


def _wins_in_bin(maps: Maps, masks: Masks, number: int) -> int:
    """The same for one bin, whose scores differ in 16 bits only: counted instead of held."""
    counts = np.zeros((2, BINS), np.int64)
    for scores, mask in _pairs(maps, masks):
        inside = coarse(scores) == number
        for row, part in enumerate((scores[inside & ~mask], scores[inside & mask])):
            counts[row] += np.bincount(fine(part), minlength=BINS)
    below = np.cumsum(counts[0]) - counts[0]
    return sum(int(d) * (2 * int(b) + int(n)) for d, b, n in zip(counts[1], below, counts[0]) if d)


def aupro(
    maps: Maps,
    masks: Masks,
    limit: float = 0.3,
    *,
    curve: Literal["exact", "mvtec3d"] = "exact",
    most_pixels: int = MOST_PIXELS,
) -> float:
    """Area under the per-region-overlap curve up to a false-positive rate, divided by that rate.

    The definition of MVTec AD (Bergmann et al., IJCV 2021, section 5): a threshold's overlap (PRO) is the
    mean over all defect components of the data set, 8-connected, of the share of the component that is
    found, small ones weighing as much as large ones; its false-positive rate is the share of the normal
    pixels of all images, good and defective, that are called defective.

    Two curves are in use and they differ most where pixels are few:

    * `"exact"`: every distinct score is a threshold; points are joined by straight lines, and the curve is
      cut exactly at `limit` by linear interpolation. Where no normal and defective pixel tie, each line is
      level or upright, so trapezoids and steps give the same area.
    * `"mvtec3d"`: the thresholds of MVTec 3D-AD's evaluation: the scores of the normal pixels at 100 equally
      spaced ranks, and the point (1, 1); the lines between them cut corners. Use it to compare with
      published 3D-AD figures.

    Memory beyond the maps: for `"exact"` only the pixels that can lie left of the limit are held, found
    exactly by a first pass that counts: about 8 bytes for each normal pixel and 40 for each defective one. Where
    that would be more than may be held, the maps are read again for each part of the range of scores, so let them
    come from the disk then. `"mvtec3d"` counts only, in some 50 MB.

    Args:
        maps: float32 `(h, w)` anomaly maps; read at least twice, so a generator is first made a list.
        masks: bool `(h, w)` of the same sizes, True where defective; already at the size of the maps, for
            components are found in them as they are.
        limit: Highest false-positive rate, in (0, 1].
        curve: See above.
        most_pixels: Normal pixels held at a time, at most; a defective one counts as five.

    Raises:
        ParameterError: As for `pixel_auroc`, or `limit` or `curve` is not one of those allowed.
    """
    if not 0 < limit <= 1:
        raise ParameterError(f"The limit of AUPRO must lie in (0, 1], not {limit}.")
    maps = list(maps) if isinstance(maps, Iterator) else maps
    masks = list(masks) if isinstance(masks, Iterator) else masks
    if curve not in ("exact", "mvtec3d"):
        raise ParameterError(f"The curve of AUPRO must be 'exact' or 'mvtec3d', not {curve!r}.")
    counts = _counts(maps, masks)
    pixels = _Components(maps, masks)
    if curve == "mvtec3d":
        return _area_at_normal_ranks(pixels, counts, limit) / limit
    (area,) = areas(pixels, counts, [limit], most_pixels)
    return area / pixels.count / limit


def _area_at_normal_ranks(pixels: _Components, counts: NDArray[np.int64], limit: float, points: int = 100) -> float:
    n_normal = int(counts[0].sum())
    rank = np.linspace(n_normal - 1, 0, points).astype(np.int64)
    thresholds = _scores_at(pixels, counts[0], rank)
    rising = np.unique(thresholds)
    gains = np.zeros(rising.size + 1)  # by the number of thresholds that a pixel scores above
    for _, defect, gain in pixels.between(0, BINS):
        gains += np.bincount(np.searchsorted(rising, defect, side="left"), gain, minlength=gains.size)
    above = (np.cumsum(gains[::-1])[::-1][1:] / pixels.count)[np.searchsorted(rising, thresholds)]
    fpr = np.append(1 - (rank + 1) / n_normal, 1.0)
    pro = np.append(above, 1.0)
    inside = fpr < limit
    fpr_cut = np.append(fpr[inside], limit)
    pro_cut = np.append(pro[inside], np.interp(limit, fpr, pro))
    return float(np.sum(np.diff(fpr_cut) * (pro_cut[1:] + pro_cut[:-1]) / 2))


def _scores_at(pixels: _Components, histogram: NDArray[np.int64], rank: NDArray[np.int64]) -> NDArray[np.float32]:
    """Scores of the normal pixels at some ranks, 0 being the lowest: their bins are looked into more closely."""
    until = np.cumsum(histogram)
    bins = np.searchsorted(until, rank, side="right")
    wanted = np.unique(bins)
    row_of = np.full(BINS, -1)
    row_of[wanted] = np.arange(wanted.size)
    closely = np.zeros((wanted.size, BINS), np.int64)
    for normal, _, _ in pixels.between(0, BINS):
        row = row_of[coarse(normal)]
        places, times = np.unique(row[row >= 0] * BINS + fine(normal[row >= 0]), return_counts=True)
        closely.ravel()[places] += times
    within = rank - (until[bins] - histogram[bins])
    lower = [int(np.searchsorted(np.cumsum(closely[row]), at, side="right")) for row, at in zip(row_of[bins], within)]
    return from_halves(bins, np.array(lower))


class _Components:
    """The pixels of maps and masks. A defective one adds one by the area of its component, 8-connected.

    Attributes:
        count: Components in all, once the pixels have been gone through.
    """

    def __init__(self, maps: Maps, masks: Masks) -> None:
        self._maps, self._masks = maps, masks
        self.count = 0

    def between(self, first: int, last: int) -> Iterator[Part]:
        """As `overlap_curve.Pixels`; in any order and as often as wanted."""
        self.count = 0
        for scores, mask in _pairs(self._maps, self._masks):
            number = coarse(scores)
            inside = (number >= first) & (number < last)
            normal = scores[inside & ~mask]
            if not mask.any():
                yield normal, np.empty(0, np.float32), np.empty(0)
                continue
            labels, count = label_components(mask)
            self.count += count
            area = np.bincount(labels[mask], minlength=count + 1)
            chosen = inside & mask
            yield normal, scores[chosen], 1 / area[labels[chosen]]


def _counts(maps: Maps, masks: Masks) -> NDArray[np.int64]:
    """Normal and defective pixels by bin, int64 `(2, BINS)`; there are some of both."""
    counts = np.zeros((2, BINS), np.int64)
    for scores, mask in _pairs(maps, masks):
        for row, part in enumerate((scores[~mask], scores[mask])):
            counts[row] += np.bincount(coarse(part), minlength=BINS)
    n_normal, n_defect = (int(total) for total in counts.sum(axis=1))
    if not n_normal or not n_defect:
        raise ParameterError(
            f"Both normal and defective pixels are needed, but there are {n_normal} normal and {n_defect} defective."
        )
    return counts


def _pairs(maps: Maps, masks: Masks) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Map and mask of each image, checked."""
    for number, (scores, mask) in enumerate(zip_longest(maps, masks, fillvalue=_MISSING), 1):
        if scores is _MISSING or mask is _MISSING:
            raise ParameterError("There must be one mask for each map, but their numbers differ.")
        values, truth = np.asarray(scores, dtype=np.float32), np.asarray(mask)
        if values.ndim != 2 or values.shape != truth.shape:
            raise ParameterError(
                f"Map and mask {number} must both be (h, w), but their shapes are {values.shape} and {truth.shape}."
            )
        if truth.dtype != np.bool_:
            raise ParameterError(f"Mask {number} must be of bools, not {truth.dtype}.")
        if not np.isfinite(values).all():
            raise ParameterError(f"Map {number} holds values that are not finite.")
        yield values, truth
