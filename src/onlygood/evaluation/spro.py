"""sPRO of MVTec LOCO AD: overlap of each defect, saturated once enough of it is found.

Bergmann et al., "Beyond Dents and Scratches: Logical Constraints in Unsupervised Anomaly Detection and Localization",
IJCV 130 (2022), section 5. A logical anomaly such as a missing part has no pixels of its own: wherever in its region
enough pixels are marked, it counts as found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import DataError, ParameterError
from onlygood.evaluation.overlap_curve import BINS, MOST_PIXELS, Part, areas, coarse
from onlygood.images.datasets import Category, Saturation
from onlygood.images.datasets.mvtec_loco import read_region
from onlygood.images.layouts import Sample

#: False-positive rates up to which the paper integrates; 0.05 is its headline.
SPRO_LIMITS = (0.01, 0.05, 0.1, 0.3, 1.0)


@dataclass(frozen=True)
class Region:
    """One defect: a mask file of MVTec LOCO AD.

    Attributes:
        mask: bool `(h, w)`, True in the region, one pixel at least. Regions of an image may overlap.
        saturation: Pixels of it that must be found for it to count as found whole, above 0.
    """

    mask: NDArray[np.bool_]
    saturation: float

    def overlap(self, predicted: NDArray[np.bool_]) -> float:
        """Saturated overlap with predicted pixels, bool `(h, w)`: min(|predicted and region| / saturation, 1)."""
        return min(int(np.count_nonzero(predicted & self.mask)) / self.saturation, 1.0)


def spro(
    maps: Iterable[NDArray[np.float32]],
    regions: Iterable[Sequence[Region]],
    limits: Sequence[float] = SPRO_LIMITS,
    *,
    most_pixels: int = MOST_PIXELS,
) -> dict[float, float]:
    """Area under the sPRO curve up to some false-positive rates, each divided by that rate.

    A threshold's sPRO is the mean of `Region.overlap` over all regions of all images; its false-positive rate is the
    share of the pixels outside every region, good images included, that are called defective. Every distinct score
    is a threshold: the released code's adaptive thresholds come near to that. Lines join the points, and the curve is
    cut at the limit by linear interpolation.

    Memory beyond the maps: about 8 bytes for each normal pixel left of the highest limit, found by a first pass that
    counts, and 40 for each pixel of a region, of which only as many are held as saturate it. Where that would be more
    than may be held, maps and regions are read again for each part of the range of scores.

    Args:
        maps: float32 `(h, w)` anomaly maps, at the images' own size if figures are to be compared with published
            ones; gone through at least twice, so a generator is first made a list.
        regions: For each map its regions, of the same size; none for a good image. Gone through as often.
        limits: False-positive rates in (0, 1].
        most_pixels: Normal pixels held at a time, at most; one of a region counts as five.

    Returns:
        One figure for each limit.

    Raises:
        ParameterError: The numbers or sizes differ, a map is not finite, a region is empty or its saturation not above
            0, a limit is out of range, or there is no region or no normal pixel at all.
    """
    if not limits or not all(0 < limit <= 1 for limit in limits):
        raise ParameterError(f"The limits of sPRO must lie in (0, 1], not {list(limits)}.")
    maps = list(maps) if isinstance(maps, Iterator) else maps
    regions = list(regions) if isinstance(regions, Iterator) else regions
    counts = np.zeros((2, BINS), np.int64)
    n_regions = 0
    for scores, outside, found in _pairs(maps, regions):
        counts[0] += np.bincount(coarse(scores[outside]), minlength=BINS)
        for region in found:
            counts[1] += np.bincount(coarse(scores[region.mask]), minlength=BINS)
        n_regions += len(found)
    n_normal = int(counts[0].sum())
    if not n_normal or not n_regions:
        raise ParameterError(
            f"sPRO needs regions and pixels outside them, but there are {n_regions} regions and {n_normal} such pixels."
        )
    under = areas(_Saturated(maps, regions, n_regions), counts, limits, most_pixels)
    return {limit: area / limit for limit, area in zip(limits, under)}


class _Saturated:
    """The pixels of maps and regions, gone through from the top down.

    The k-th highest pixel of a region adds min(k / S, 1) - min((k - 1) / S, 1) to its overlap, so that the sum over
    all above a threshold is the saturated overlap; what comes after saturation adds nothing and is dropped.
    """

    def __init__(
        self, maps: Iterable[NDArray[np.float32]], regions: Iterable[Sequence[Region]], n_regions: int
    ) -> None:
        self._maps, self._regions = maps, regions
        #: Pixels of each region that were gone through already.
        self._above = np.zeros(n_regions, np.int64)

    def between(self, first: int, last: int) -> Iterator[Part]:
        """As `overlap_curve.Pixels`."""
        number = 0
        for scores, outside, found in _pairs(self._maps, self._regions):
            bins = coarse(scores)
            inside = (bins >= first) & (bins < last)
            parts, gains = [np.empty(0, np.float32)], [np.empty(0)]
            for region in found:
                falling = np.sort(scores[inside & region.mask])[::-1]
                places = self._above[number] + np.arange(falling.size + 1)
                gain = np.diff(np.minimum(places / region.saturation, 1.0))
                parts.append(falling[gain > 0])
                gains.append(gain[gain > 0] / self._above.size)
                self._above[number] += falling.size
                number += 1
            yield scores[inside & outside], np.concatenate(parts), np.concatenate(gains)


def _pairs(
    maps: Iterable[NDArray[np.float32]], regions: Iterable[Sequence[Region]]
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_], Sequence[Region]]]:
    """Each map, where it lies outside all regions, and its regions; checked."""
    for number, (scores, found) in enumerate(zip_longest(maps, regions), 1):
        if scores is None or found is None:
            raise ParameterError("There must be a list of regions for each map, but their numbers differ.")
        values = np.asarray(scores, dtype=np.float32)
        if values.ndim != 2 or not np.isfinite(values).all():
            raise ParameterError(f"Map {number} must be (h, w) and finite, not of shape {values.shape} or with NaN.")
        outside = np.ones(values.shape, bool)
        for region in found:
            if region.mask.shape != values.shape or region.mask.dtype != np.bool_:
                raise ParameterError(
                    f"A region of map {number} must be of bools and of the map's shape {values.shape}, but is "
                    f"{region.mask.dtype} {region.mask.shape}. Make the maps at the images' own size "
                    "(inspect with original_size=True)."
                )
            if not region.saturation > 0 or not region.mask.any():
                raise ParameterError(f"A region of map {number} is empty or has the saturation {region.saturation}.")
            outside &= ~region.mask
        yield values, outside, found


@dataclass(frozen=True)
class LocoSpro:
    """sPRO of a category of MVTec LOCO AD: limit -> figure.

    Attributes:
        structural: Of structural anomalies and good images.
        logical: Of logical anomalies and good images.
        mean: The mean of the two, which the paper reports.
    """

    structural: dict[float, float]
    logical: dict[float, float]
    mean: dict[float, float]


def loco_spro(
    maps: Sequence[NDArray[np.float32]], category: Category, limits: Sequence[float] = SPRO_LIMITS
) -> LocoSpro:
    """sPRO of a category, as the paper totals it.

    Args:
        maps: One for each of `category.test`, in that order, at the images' own size. Any sequence: one that reads a
            map from disk when it is asked for keeps the memory small.
        category: Of MVTec LOCO AD; its masks are read from disk, twice.
        limits: As for `spro`.

    Raises:
        ParameterError: As for `spro`.
        DataError: The category has no `defects_config.json`, lacks a kind of anomaly, or a mask is not as it must be.
        ImageError: A mask cannot be read.
    """
    if not category.saturations:
        raise DataError(
            f"{category.name} has no saturation areas, which sPRO needs: they are in the defects_config.json of MVTec "
            "LOCO AD."
        )
    if len(maps) != len(category.test):
        raise ParameterError(f"There must be one map for each of {len(category.test)} test images, not {len(maps)}.")
    figures = {}
    for nature in ("structural", "logical"):
        places = [i for i, sample in enumerate(category.test) if sample.label == 0 or sample.nature == nature]
        samples = [category.test[i] for i in places]
        if all(sample.label == 0 for sample in samples):
            raise DataError(f"{category.name} has no test image with a {nature} anomaly. Unpack the data set again.")
        figures[nature] = spro(_Chosen(maps, places), _RegionsOf(samples, category.saturations), limits)
    mean = {limit: (figures["structural"][limit] + figures["logical"][limit]) / 2 for limit in limits}
    return LocoSpro(figures["structural"], figures["logical"], mean)


def regions_of(sample: Sample, saturations: Sequence[Saturation]) -> list[Region]:
    """The regions of an image, one for each mask file; raises as `loco_spro`."""
    by_value = {one.pixel_value: one for one in saturations}
    regions = []
    for path in sample.masks:
        mask, value = read_region(path)
        if value not in by_value:
            raise DataError(
                f"The mask {path} has the pixel value {value}, which defects_config.json does not name. "
                "Unpack the data set again."
            )
        regions.append(Region(mask, by_value[value].area(int(mask.sum()))))
    return regions


class _Chosen:
    """Some maps of a sequence, taken one by one whenever they are gone through."""

    def __init__(self, maps: Sequence[NDArray[np.float32]], places: Sequence[int]) -> None:
        self._maps, self._places = maps, places

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        return (self._maps[place] for place in self._places)


class _RegionsOf:
    """Regions read from disk whenever they are gone through."""

    def __init__(self, samples: Sequence[Sample], saturations: Sequence[Saturation]) -> None:
        self._samples, self._saturations = samples, saturations

    def __iter__(self) -> Iterator[list[Region]]:
        return (regions_of(sample, self._saturations) if sample.label else [] for sample in self._samples)
