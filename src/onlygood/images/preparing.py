"""From any size to the detector's input size."""

from __future__ import annotations

import numpy as np
from PIL import Image

from onlygood.errors import ImageError
from onlygood.images.reading import RGB

#: Beyond this ratio of the sides a resized image no longer shows what was photographed.
MAX_ASPECT = 50


def resize(image: RGB, size: int, name: str = "image") -> RGB:
    """Resize straight to a square, aspect ratio not kept (REB; bicubic with antialiasing).

    Args:
        image: uint8 `(h, w, 3)`.
        size: Side of the result in pixels.
        name: What to call the image in errors.

    Returns:
        uint8 `(size, size, 3)`.

    Raises:
        ImageError: The image is smaller than 8 pixels on a side, or longer than 50 times its width.
    """
    height, width = image.shape[:2]
    if min(height, width) < 8:
        raise ImageError(f"The image {name} is only {width} x {height} pixels; at least 8 x 8 are needed.")
    if max(height, width) > MAX_ASPECT * min(height, width):
        raise ImageError(
            f"The image {name} is {width} x {height} pixels: sides more than {MAX_ASPECT} : 1 apart. "
            "Cut it into pieces and inspect these."
        )
    if (height, width) == (size, size):
        return image
    # row by row first, each pass rounded to uint8, as Pillow up to 12 has it: Pillow 13 begins with the columns where
    # that is less work, and two orders differ by a few levels
    rows = Image.fromarray(image).resize((size, height), Image.Resampling.BICUBIC)
    return np.asarray(rows.resize((size, size), Image.Resampling.BICUBIC))
