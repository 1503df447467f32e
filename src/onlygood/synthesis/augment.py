"""Augmentation of the normal image a defect is made in: colour jitter and one of nine turns and flips."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood.synthesis.arrays import ImageArray, MaskArray
from onlygood.synthesis.colour import jitter_colours

#: The nine equally likely operations of the released code; two stand in it twice.
OPERATIONS = (
    "none",
    "rotate_90",
    "rotate_180",
    "rotate_270",
    "transpose",
    "transverse",
    "transverse",
    "flip",
    "flip",
)
#: Those that exchange height and width. An image that is not square would change its shape, could no longer
#: be stacked with the others and, squashed to the network's square, would be distorted the other way round.
EXCHANGING = frozenset({"rotate_90", "rotate_270", "transpose", "transverse"})


def draw_operation(rng: np.random.Generator, square: bool) -> str:
    """Draw one of `OPERATIONS`; for images that are not square only among those that keep the shape."""
    choices = [name for name in OPERATIONS if square or name not in EXCHANGING]
    return choices[rng.integers(len(choices))]


def apply_operation(array: NDArray[Any], name: str) -> NDArray[Any]:
    """Apply one operation to an image (H, W, 3) or a mask (H, W); turns are counter-clockwise."""
    if name.startswith("rotate_"):
        array = np.rot90(array, int(name.removeprefix("rotate_")) // 90)
    elif name == "transpose":
        array = array.swapaxes(0, 1)
    elif name == "transverse":
        array = np.rot90(array, 2).swapaxes(0, 1)
    elif name == "flip":
        array = array[:, ::-1]
    return np.ascontiguousarray(array)


def augment(
    rng: np.random.Generator, image: ImageArray, salient: MaskArray | None
) -> tuple[ImageArray, MaskArray | None]:
    """Jitter the colours of an image; turn or flip it together with its saliency (None: the whole image)."""
    name = draw_operation(rng, square=image.shape[0] == image.shape[1])
    turned = apply_operation(jitter_colours(rng, image), name)
    return turned, None if salient is None else apply_operation(salient, name)
