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
from onlygood.evaluation.overlap_curve import BINS, above, area_up_to, coarse, joined, lowest_bin
from onlygood.images.components import label_components

Maps = Iterable[NDArray[np.float32]]
Masks = Iterable[NDArray[np.bool_]]

_CHUNK = 1 << 20
_MISSING = object()


def pixel_auroc(maps: Maps, masks: Masks) -> float:
    """AUROC over all pixels of all images, good images included; ties count half.

    Memory beyond the maps: 4 bytes per pixel and a few MB; time: one sort of the normal pixels.

    Args:
        maps: float32 `(h, w)` anomaly maps; sizes may differ from image to image.
        masks: bool `(h, w)` of the same sizes, True where defective.

    Raises:
        ParameterError: The numbers or sizes of maps and masks differ, a map is not finite, or normal or
            defective pixels are missing altogether.
    """
    normal_parts, defect_parts = [], []
    for scores, mask in _pairs(maps, masks):
        normal_parts.append(scores[~mask])
        defect_parts.append(scores[mask])
    defect = joined(defect_parts)
    normal = joined(normal_parts)
    _need_pixels(normal.size, defect.size)
    normal.sort()
    defect.sort()
    # Python integers: the sums can pass what 64 bits hold.
    wins = 0
    for start in range(0, defect.size, _CHUNK):
        part = defect[start : start + _CHUNK]
        wins += int(np.searchsorted(normal, part, side="left").sum(dtype=np.int64))
        wins += int(np.searchsorted(normal, part, side="right").sum(dtype=np.int64))
    return wins / (2 * normal.size * defect.size)


def aupro(maps: Maps, masks: Masks, limit: float = 0.3, *, curve: Literal["exact", "mvtec3d"] = "exact") -> float:
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

    Memory beyond the maps: for `"exact"` only the pixels that can lie left of the limit are kept, found
    exactly by a first pass that counts: usually `4 * limit` bytes per normal pixel, 4 at worst, and about 40
    per defective pixel kept. `"mvtec3d"` keeps all pixels.

    Args:
        maps: float32 `(h, w)` anomaly maps; read twice, so a generator is first made a list.
        masks: bool `(h, w)` of the same sizes, True where defective; already at the size of the maps, for
            components are found in them as they are.
        limit: Highest false-positive rate, in (0, 1].
        curve: See above.

    Raises:
        ParameterError: As for `pixel_auroc`, or `limit` or `curve` is not one of those allowed.
    """
    if not 0 < limit <= 1:
        raise ParameterError(f"The limit of AUPRO must lie in (0, 1], not {limit}.")
    maps = list(maps) if isinstance(maps, Iterator) else maps
    masks = list(masks) if isinstance(masks, Iterator) else masks
    if curve == "exact":
        return _exact_area(maps, masks, limit) / limit
    if curve == "mvtec3d":
        return _area_at_normal_ranks(maps, masks, limit) / limit
    raise ParameterError(f"The curve of AUPRO must be 'exact' or 'mvtec3d', not {curve!r}.")


def _exact_area(maps: Maps, masks: Masks, limit: float) -> float:
    histogram = np.zeros(BINS, dtype=np.int64)
    n_defect = 0
    for scores, mask in _pairs(maps, masks):
        histogram += np.bincount(coarse(scores[~mask]), minlength=BINS)
        n_defect += int(mask.sum())
    n_normal = int(histogram.sum())
    _need_pixels(n_normal, n_defect)
    budget = limit * n_normal
    normal, defect, overlap = _collect(maps, masks, lowest=lowest_bin(histogram, budget))
    return area_up_to(normal, defect, overlap, budget) / n_normal


def _area_at_normal_ranks(maps: Maps, masks: Masks, limit: float, points: int = 100) -> float:
    normal, defect, overlap = _collect(maps, masks, lowest=0)
    _need_pixels(normal.size, defect.size)
    rank = np.linspace(normal.size - 1, 0, points).astype(np.int64)
    fpr = np.append(1 - (rank + 1) / normal.size, 1.0)
    pro = np.append(above(defect, overlap, normal[rank]), 1.0)
    inside = fpr < limit
    fpr_cut = np.append(fpr[inside], limit)
    pro_cut = np.append(pro[inside], np.interp(limit, fpr, pro))
    return float(np.sum(np.diff(fpr_cut) * (pro_cut[1:] + pro_cut[:-1]) / 2))


def _collect(
    maps: Maps, masks: Masks, lowest: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
    """The pixels in bin `lowest` or above: normal scores and defect scores, both rising, and the overlap.

    `overlap[k]` is the mean over all components of the share found when the `k` highest defect pixels are.
    """
    normal_parts, defect_parts, owner_parts, areas = [], [], [], []
    n_components = 0
    for scores, mask in _pairs(maps, masks):
        normal = scores[~mask]
        normal_parts.append(normal[coarse(normal) >= lowest])
        if mask.any():
            labels, count = label_components(mask)
            defect, owner = scores[mask], labels[mask]
            areas.append(np.bincount(owner, minlength=count + 1)[1:])
            high = coarse(defect) >= lowest
            defect_parts.append(defect[high])
            owner_parts.append(owner[high] + np.int32(n_components - 1))
            n_components += count
    normal = joined(normal_parts)
    normal.sort()
    defect = joined(defect_parts)
    order = np.argsort(defect, kind="stable")
    overlap = np.zeros(defect.size + 1)
    if defect.size:
        share = 1 / (n_components * np.concatenate(areas))
        np.cumsum(share[np.concatenate(owner_parts)[order[::-1]]], out=overlap[1:])
    return normal, defect[order], overlap


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


def _need_pixels(n_normal: int, n_defect: int) -> None:
    if not n_normal or not n_defect:
        raise ParameterError(
            f"Both normal and defective pixels are needed, but there are {n_normal} normal and {n_defect} defective."
        )
