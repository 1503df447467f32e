"""The array types and checks that the files of this room share."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ImageError

#: An RGB image, uint8, shape (H, W, 3).
ImageArray: TypeAlias = NDArray[np.uint8]
#: A hard mask, bool, shape (H, W).
MaskArray: TypeAlias = NDArray[np.bool_]
#: A soft mask or a noise field, float32, shape (H, W).
FloatArray: TypeAlias = NDArray[np.float32]

#: The image side, in pixels, for which the paper states its pixel lengths.
PAPER_SIDE = 256


def check_image(image: ImageArray, name: str = "image") -> ImageArray:
    """Return `image` if it is uint8 RGB, else raise `ImageError` that calls it `name`."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ImageError(f"{name}: expected a uint8 array of shape (H, W, 3), got {found}. Convert it to RGB.")
    if min(image.shape[:2]) < 8:
        raise ImageError(f"{name}: {image.shape[1]}x{image.shape[0]} pixels is too small; 8 a side is the least.")
    return image


def length_scale(height: int, width: int) -> float:
    """Factor by which the paper's pixel lengths grow for an image: shorter side / 256."""
    return min(height, width) / PAPER_SIDE
