"""Colour jitter: small random changes of brightness, contrast, saturation and hue."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance

from onlygood.synthesis.arrays import ImageArray


def adjust_brightness(image: Image.Image, factor: float) -> Image.Image:
    """Multiply all values by `factor`."""
    return image.point([min(round(v * factor), 255) for v in range(256)] * 3)


def adjust_contrast(image: Image.Image, factor: float) -> Image.Image:
    """Move all values away from the image's mean grey (`factor` > 1) or towards it (`factor` < 1)."""
    histogram = np.asarray(image.convert("L").histogram())
    mean = round(float(histogram @ np.arange(256)) / histogram.sum())
    return image.point([min(max(round(mean + (v - mean) * factor), 0), 255) for v in range(256)] * 3)


def adjust_saturation(image: Image.Image, factor: float) -> Image.Image:
    """Move each pixel away from its own grey (`factor` > 1) or towards it (`factor` < 1)."""
    return ImageEnhance.Color(image).enhance(factor)


def adjust_hue(image: Image.Image, turn: float) -> Image.Image:
    """Turn the hue of every pixel by `turn` (1 = the full circle). Exact to the 8 bits of Pillow's HSV."""
    hue, saturation, value = image.convert("HSV").split()
    step = round(turn * 255)  # Pillow's hue has 255 steps to the turn: 255 is red again
    turned = hue.point([(v + step) % 255 for v in range(256)])
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


_ADJUST: tuple[Callable[[Image.Image, float], Image.Image], ...] = (
    adjust_brightness,
    adjust_contrast,
    adjust_saturation,
    adjust_hue,
)


def jitter_colours(rng: np.random.Generator, image: ImageArray, amount: float = 0.1) -> ImageArray:
    """Change brightness, contrast, saturation and hue a little, in random order (ColorJitter).

    Args:
        rng: source of randomness.
        image: uint8 RGB, shape (H, W, 3).
        amount: the first three factors are uniform in 1 ± amount, the hue's turn in ± amount (full turn = 1).

    Returns:
        A new image of the same shape.
    """
    picture = Image.fromarray(image)
    change = rng.uniform(-amount, amount, size=4)
    for step in rng.permutation(4):
        picture = _ADJUST[step](picture, float(change[step]) + (1.0 if step < 3 else 0.0))
    return np.array(picture)
