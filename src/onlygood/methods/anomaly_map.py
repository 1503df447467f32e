"""From patch scores to an anomaly map and to the image score."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from onlygood.errors import ParameterError
from onlygood.images.components import label_components
from onlygood.inspection import Region

Array = NDArray[np.float32]

#: Standard deviation of our image score's smoothing, in patches.
SMOOTHING = 1.5
#: Patches around the highest value, and share below it, that are looked at more closely (`deciding_patches`).
REACH, MARGIN = 3, 0.01
#: How image scores can be made of patch scores.
IMAGE_SCORES = ("smoothed_max", "max", "avgpool3_max", "map_max", "sum")


def image_score(patch_scores: Array, how: str = "smoothed_max", size: int = 256, sigma: float = 4.0) -> float:
    """One number for the image from its patch scores.

    Args:
        patch_scores: float32 `(h, w)`.
        how: `max`: the highest patch (REB, eq. 5). `avgpool3_max`: the highest 3x3 mean at stride 3 without
            padding, as REB's released code has it (on a 32x32 grid the last two rows and columns
            do not count). `smoothed_max`, ours: Gaussian of 1.5 patches, then the highest value off the
            outer ring. One noisy patch no longer decides, and patches that see the padded border, which
            vary most between good images, still count in the smoothing but not by themselves.
            `sum`: of all patches, for reconstruction errors (DFM).
            `map_max`: the highest value of `anomaly_map` (ULSAD's released code; PaDiM in anomalib).
        size, sigma: Of the anomaly map, for `map_max`.

    Raises:
        ParameterError: Another name.
    """
    if how == "sum":
        return float(patch_scores.sum(dtype=np.float64))
    return float(_values(patch_scores, how, size, sigma).max())


def deciding_patches(patch_scores: Array, how: str, size: int, sigma: float) -> NDArray[np.bool_]:
    """The patches that decide the image score or are the highest: bool `(h, w)`.

    Those at most `REACH` patches from a value that is the highest or within `MARGIN` of it; all patches for a sum.

    Args:
        patch_scores, how, size, sigma: As of `image_score`.
    """
    if how == "sum":
        return np.ones(patch_scores.shape, np.bool_)
    near = _near_the_highest(patch_scores)
    values = _values(patch_scores, how, size, sigma)
    if values is not patch_scores:
        rows, columns = np.nonzero(_near_the_highest(values))
        down, across = (3, 3) if how == "avgpool3_max" else np.divide(patch_scores.shape, values.shape)
        near[((rows + 0.5) * down).astype(int), ((columns + 0.5) * across).astype(int)] = True
    h, w = near.shape
    return _product(_product(_band(h), near.astype(np.float32)), _band(w)) > 0


def _values(patch_scores: Array, how: str, size: int, sigma: float) -> Array:
    """What the image score is the highest of: the patch scores themselves, a coarser or a finer grid."""
    h, w = patch_scores.shape
    if how == "map_max":
        return anomaly_map(patch_scores, size, sigma)
    if how == "max" or min(h, w) < 3:
        return patch_scores
    if how == "avgpool3_max":
        cells = patch_scores[: h // 3 * 3, : w // 3 * 3].reshape(h // 3, 3, w // 3, 3)
        return np.asarray(cells.mean(axis=(1, 3)))
    if how == "smoothed_max":
        smoothed = _product(_product(blur_matrix(h, SMOOTHING), patch_scores), blur_matrix(w, SMOOTHING).T)
        smoothed[[0, -1]] = -np.inf
        smoothed[:, [0, -1]] = -np.inf
        return smoothed
    raise ParameterError(f"Unknown image_score {how!r}. Known are: {', '.join(IMAGE_SCORES)}")


def _near_the_highest(values: Array) -> NDArray[np.bool_]:
    highest = values.max()
    return values >= highest - MARGIN * abs(highest)


@cache
def _band(size: int) -> Array:
    """1 where row and column are at most `REACH` apart, `(size, size)`."""
    place = np.arange(size)
    return (abs(place[:, None] - place) <= REACH).astype(np.float32)


def anomaly_map(patch_scores: Array, size: int, sigma: float = 4.0, taps: int | None = None) -> Array:
    """Patch scores `(h, w)` -> map float32 `(size, size)`: bilinear resize, then a Gaussian blur.

    Half-pixel-centre bilinear and SciPy's `reflect` border, as in REB's released code. Both are linear
    and separable, so the whole is two small matrix products.

    Args:
        patch_scores: float32 `(h, w)`.
        size: Side of the map.
        sigma: Standard deviation of the blur in pixels; 0 for none.
        taps: Length of the blur's kernel, odd. None cuts it at four sigma, as SciPy does. A given one is applied as
            torchvision does (BTM): the border is mirrored without repeating its edge sample.
    """
    h, w = patch_scores.shape
    rows, columns = (enlarging_matrix(count, size, sigma, taps) for count in (h, w))
    return _product(_product(rows, patch_scores), columns.T)


def at_size(map_: Array, width: int, height: int) -> Array:
    """A map resized bilinearly to `(height, width)`."""
    return np.asarray(Image.fromarray(map_).resize((width, height), Image.Resampling.BILINEAR), np.float32)


def find_regions(
    map_: Array,
    threshold: float,
    width: int,
    height: int,
    maps: Mapping[str, Array] = MappingProxyType({}),
    levels: Mapping[str, float] = MappingProxyType({}),
) -> tuple[Region, ...]:
    """Connected areas of a map above a threshold, worst first, in pixels of the `width` x `height` original.

    Of the maps of single branches, where there are some, the one whose peak inside a region is the highest multiple of
    its level (what it reaches in good images) gives the region its branch.
    """
    above = map_ > threshold
    if not above.any():
        return ()
    labels, count = label_components(above)
    sx, sy = width / map_.shape[1], height / map_.shape[0]
    regions = []
    for label in range(1, count + 1):
        rows, columns = np.nonzero(labels == label)
        box = (
            int(columns.min() * sx),
            int(rows.min() * sy),
            int(np.ceil((columns.max() + 1) * sx)),
            int(np.ceil((rows.max() + 1) * sy)),
        )
        beyond = {name: float(maps[name][rows, columns].max()) / level for name, level in levels.items()}
        branch = max(beyond, key=lambda name: beyond[name], default="")
        peak = float(map_[rows, columns].max())
        regions.append(Region(box, max(1, round(len(rows) * sx * sy)), peak, branch))
    return tuple(sorted(regions, key=lambda region: -region.peak))


def _product(left: Array, right: Array) -> Array:
    """Matrix product in slices, each too small for the BLAS library to share out among threads.

    Its threads go on spinning long after so short a product, and take the cores from the next image's
    backbone and search: on two cores an inspection took nearly twice as long.
    """
    rows = max(1, 2**17 // right.size)
    return np.concatenate([left[i : i + rows] @ right for i in range(0, len(left), rows)], dtype=np.float32)


@cache
def enlarging_matrix(patches: int, size: int, sigma: float, taps: int | None = None) -> Array:
    """Bilinear interpolation from `patches` to `size` samples, followed by the blur: `(size, patches)`."""
    place = np.clip((np.arange(size) + 0.5) * patches / size - 0.5, 0, patches - 1)
    low = np.minimum(place.astype(int), max(patches - 2, 0))
    matrix = np.zeros((size, patches))
    part = place - low
    matrix[np.arange(size), low] += 1 - part
    matrix[np.arange(size), np.minimum(low + 1, patches - 1)] += part
    return np.asarray(blur_matrix(size, sigma, taps) @ matrix, np.float32)


@cache
def blur_matrix(size: int, sigma: float, taps: int | None = None) -> Array:
    """Gaussian blur of `size` samples as a matrix; see `anomaly_map` for its length and borders."""
    if sigma == 0:
        return np.eye(size, dtype=np.float32)
    radius = int(4 * sigma + 0.5) if taps is None else taps // 2
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    period, repeated = (2 * size, 1) if taps is None else (max(2 * size - 2, 1), 0)
    matrix = np.zeros((size, size))
    for offset, tap in zip(range(-radius, radius + 1), kernel):
        place = (np.arange(size) + offset) % period
        matrix[np.arange(size), np.minimum(place, period - repeated - place)] += tap
    return matrix.astype(np.float32)
