"""Foreground of an object on a plain background, estimated from the image's own border."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from onlygood.errors import require
from onlygood.synthesis.arrays import ImageArray, MaskArray

#: Longer side, in pixels, of the reduced image the estimate is made on.
WORKING_SIDE = 128
#: Gaps up to twice this many working pixels wide are closed: dark spots at an object's rim.
CLOSING = 3


@dataclass(frozen=True)
class Foreground:
    """Estimate for one image.

    Attributes:
        mask: foreground at working size, bool.
        area: share of the image that is foreground.
        on_border: share of the image's border that is foreground.
        parts: number of separate parts.
        kept: share of all that differs from the border which these parts make up.
        sharpness: step across the outline as a share of the step from background to foreground. Near 1 for an
            object that is cut out; small where uneven light or the pattern of a texture was cut somewhere.
    """

    mask: MaskArray
    area: float
    on_border: float
    parts: int
    kept: float
    sharpness: float

    @property
    def is_object(self) -> bool:
        """Whether the image shows an object on a plain background.

        It must cover 2 to 80 % of the image and at most 5 % of its border. It must be at least half of what
        differs from the border, in at most 8 parts, or it is the pattern of a texture. And its outline must
        make at least 45 % of the step to the background, or it is uneven light.
        """
        clear = 0.02 <= self.area <= 0.8 and self.on_border <= 0.05
        return clear and self.kept >= 0.5 and self.parts <= 8 and self.sharpness >= 0.45


def estimate_foreground(image: ImageArray) -> Foreground:
    """Find what differs from the border of the image.

    The border's colours, without their outer quarter, give a Gaussian background; the distance of every
    pixel from it is cut by Otsu's threshold; specks are opened away, holes filled, and parts dropped that
    are small or that only run along the border.

    Args:
        image: uint8 RGB, shape (H, W, 3).
    """
    require("scipy", "fit", "Estimating the foreground")
    from scipy import ndimage

    small = _reduce(image)
    frame = _frame(*small.shape[:2])
    distance = _distance_from(small, small[frame])
    threshold = otsu(distance)
    found = ndimage.binary_opening(distance > threshold, np.ones((3, 3)))
    margin = slice(CLOSING, -CLOSING)
    found = ndimage.binary_closing(np.pad(found, CLOSING), iterations=CLOSING)[margin, margin]
    main = _main_parts(found, frame)
    kept = float(main.sum() / max(found.sum(), 1))
    found = ndimage.binary_fill_holes(main)
    return Foreground(
        mask=found,
        area=float(found.mean()),
        on_border=float(found[frame].mean()),
        parts=ndimage.label(found)[1],
        kept=kept,
        sharpness=_sharpness(distance, found),
    )


def otsu(values: NDArray[np.float64], bins: int = 256) -> float:
    """Otsu's threshold: the cut that leaves the least variance within both sides."""
    counts, edges = np.histogram(values, bins=bins)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1].astype(np.float64)
    above = below[-1] + counts[-1] - below
    total = np.cumsum(counts * centres)
    mean_below = total[:-1] / np.maximum(below, 1)
    mean_above = (total[-1] - total[:-1]) / np.maximum(above, 1)
    return float(edges[1:-1][np.argmax(below * above * (mean_above - mean_below) ** 2)])


def _reduce(image: ImageArray) -> NDArray[np.float64]:
    factor = min(1.0, WORKING_SIDE / max(image.shape[:2]))
    size = max(round(image.shape[1] * factor), 8), max(round(image.shape[0] * factor), 8)
    small = Image.fromarray(image).resize(size, Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(1))
    return np.asarray(small, dtype=np.float64)


def _frame(height: int, width: int) -> MaskArray:
    thickness = max(round(min(height, width) * 0.04), 1)
    frame = np.ones((height, width), dtype=bool)
    frame[thickness:-thickness, thickness:-thickness] = False
    return frame


def _distance_from(image: NDArray[np.float64], background: NDArray[np.float64]) -> NDArray[np.float64]:
    """Square root of the Mahalanobis distance of each pixel from the three quarters nearest the middle."""
    centre = np.median(background, axis=0)
    spread = np.linalg.norm(background - centre, axis=1)
    kept = background[spread <= np.quantile(spread, 0.75)]
    covariance = np.cov(kept.T) + 4.0 * np.eye(3)  # two grey levels of tolerance
    offset = image - kept.mean(axis=0)
    squared = np.einsum("hwi,ij,hwj->hw", offset, np.linalg.inv(covariance), offset)
    return np.asarray(squared**0.25)


def _main_parts(found: MaskArray, frame: MaskArray) -> MaskArray:
    """Keep the largest part and those at least a tenth of it that touch the border nowhere."""
    from scipy import ndimage

    labels, count = ndimage.label(found)
    if not count:
        return found
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    touching = np.bincount(labels[frame], minlength=count + 1)[1:] > 0
    weight = np.where(touching, sizes * 0.5, sizes)
    largest = weight.argmax()
    keep = (sizes >= sizes[largest] / 10) & ~touching
    keep[largest] = True
    return np.concatenate([[False], keep])[labels]


def _sharpness(distance: NDArray[np.float64], found: MaskArray) -> float:
    """Step of the distance across the outline, over the step between the medians of its two sides."""
    from scipy import ndimage

    inside = ndimage.distance_transform_edt(np.pad(found, 1, mode="edge"))[1:-1, 1:-1]
    outside = ndimage.distance_transform_edt(np.pad(~found, 1, mode="edge"))[1:-1, 1:-1]
    inner, outer = (inside > 1) & (inside <= 4), (outside > 1) & (outside <= 4)
    if not (inner.any() and outer.any()):
        return 0.0
    step = np.median(distance[found]) - np.median(distance[~found])
    return float((np.median(distance[inner]) - np.median(distance[outer])) / step) if step > 0 else 0.0
