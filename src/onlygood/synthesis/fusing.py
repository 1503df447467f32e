"""Fusing: where a defect goes, how its edge is softened, and how its fill is mixed into the image."""

from __future__ import annotations

import numpy as np

from onlygood.errors import require
from onlygood.synthesis.arrays import FloatArray, ImageArray, MaskArray


def draw_centre(rng: np.random.Generator, image: ImageArray, salient: MaskArray | None) -> tuple[int, int]:
    """Draw a pixel (row, column) uniformly among the salient ones; None or an empty mask means all pixels."""
    height, width = image.shape[:2]
    if salient is not None:
        where = np.flatnonzero(salient)
        if where.size:
            row, column = divmod(int(where[rng.integers(where.size)]), width)
            return row, column
    return int(rng.integers(height)), int(rng.integers(width))


def corner_of(centre: tuple[int, int], box: tuple[int, int], height: int, width: int) -> tuple[int, int]:
    """Top and left of a (height, width) box around `centre`, moved inside the image where it sticks out."""
    top, left = centre[0] - box[0] // 2, centre[1] - box[1] // 2
    return min(max(top, 0), height - box[0]), min(max(left, 0), width - box[1])


def ellipse_element(size: int) -> MaskArray:
    """Elliptical element of odd `size`: row dy reaches out by round(√(r² − dy²)), r = size // 2."""
    radius = size // 2
    offset = np.arange(-radius, radius + 1)
    reach = np.rint(np.sqrt(radius**2 - offset**2))
    return np.abs(offset)[None, :] <= reach[:, None]


def soften(mask: MaskArray, size: int) -> FloatArray:
    """Erode a mask by an ellipse of `size`, then blur it with a `size` x `size` Gaussian of sigma = `size`.

    What lies outside the box counts as empty, so the edge fades along the box's sides too. A mask too thin to
    outlive the erosion comes back hard.

    Returns:
        float32 in [0, 1], shape of `mask`.
    """
    require("scipy", "fit", "Softening a defect's edge")
    from scipy import ndimage

    eroded = ndimage.binary_erosion(mask, ellipse_element(size))
    if not eroded.any():
        return mask.astype(np.float32)
    offset = np.arange(size) - size // 2
    kernel = np.exp(-(offset**2) / (2 * size**2))
    kernel /= kernel.sum()
    blurred = eroded.astype(np.float32)
    for axis in (0, 1):
        blurred = ndimage.correlate1d(blurred, kernel, axis=axis, mode="constant")
    return np.clip(blurred, 0, 1)


def fuse(
    image: ImageArray, fill: ImageArray, mask: FloatArray, corner: tuple[int, int], weight: float = 1.0
) -> ImageArray:
    """Mix `fill` into a copy of `image`: image·(1 − mask·weight) + fill·(mask·weight), rounded.

    A hard mask with weight 1 is the paper's pasting, anything else its blending.

    Args:
        image: uint8 RGB, shape (H, W, 3).
        fill: uint8 RGB, shape (h, w, 3).
        mask: in [0, 1], shape (h, w). Pixels where it is 0 are left as they are.
        corner: top and left of the box in the image; the box must lie inside.
        weight: fuse weight in (0, 1].
    """
    fused = image.copy()
    top, left = corner
    box = fused[top : top + mask.shape[0], left : left + mask.shape[1]]
    share = (mask * np.float32(weight))[..., None]
    box[:] = np.rint(box + (fill.astype(np.float32) - box) * share).astype(np.uint8)
    return fused
