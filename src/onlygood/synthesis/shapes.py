"""Defect shapes: DefectMaker's Bézier, scar and clump, and the shapes of CutPaste and DRAEM.

Every shape is a function of (generator, image height, image width, length scale) that returns a bool mask
of the defect's own box. `scale` multiplies the paper's pixel lengths, which are stated for images of 256
pixels a side.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from PIL import Image

from onlygood.synthesis.arrays import MaskArray
from onlygood.synthesis.bezier import bezier_mask
from onlygood.synthesis.perlin import perlin_mask

Shape = Callable[[np.random.Generator, int, int, float], MaskArray]

TENSIONS = (0.2, 0.3, 0.4)
SCAR_WIDTH = (7, 21)
SCAR_HEIGHT = (15, 30)
SCAR_ANGLE = 45
AREA = (0.02, 0.15)
#: Attempts at a clump before its Bézier shape is taken undivided.
CLUMP_ATTEMPTS = 4


def sample_box(
    rng: np.random.Generator, height: int, width: int, area: tuple[float, float] = AREA, aspect: float = 3.3
) -> tuple[int, int]:
    """Draw the box of a defect.

    Args:
        rng: source of randomness.
        height: of the image, pixels.
        width: of the image, pixels.
        area: smallest and largest share of the image, uniform between.
        aspect: largest ratio of the sides; the logarithm of width / height is uniform in ±log(aspect).

    Returns:
        (box height, box width). A side that would not fit is cut to the image and the other made up for it.
    """
    pixels = rng.uniform(*area) * height * width
    ratio = math.exp(rng.uniform(-math.log(aspect), math.log(aspect)))
    box_width, box_height = math.sqrt(pixels * ratio), math.sqrt(pixels / ratio)
    if box_width > width:
        box_width, box_height = width, pixels / width
    elif box_height > height:
        box_width, box_height = pixels / height, height
    return min(max(round(box_height), 1), height), min(max(round(box_width), 1), width)


def sample_scar_box(rng: np.random.Generator, scale: float = 1.0) -> tuple[int, int]:
    """Draw the (height, width) of a scar before it is turned: 15..30 x 7..21 pixels times `scale`."""
    width = rng.integers(*SCAR_WIDTH, endpoint=True) * scale
    height = rng.integers(*SCAR_HEIGHT, endpoint=True) * scale
    return max(round(height), 2), max(round(width), 2)


def turn_mask(mask: MaskArray, degrees: float) -> MaskArray:
    """Turn a mask counter-clockwise about its centre and cut the result to its bounding box."""
    canvas = Image.fromarray(np.pad(mask, 1)).rotate(degrees, resample=Image.Resampling.NEAREST, expand=True)
    left, top, right, bottom = canvas.getbbox() or (0, 0, *canvas.size)
    return np.asarray(canvas, dtype=bool)[top:bottom, left:right]


def bezier_shape(rng: np.random.Generator, height: int, width: int, scale: float) -> MaskArray:
    """Bézier shape: 2 to 15 % of the image, sides up to 3.3 : 1, 5 or 6 points."""
    box = sample_box(rng, height, width)
    return bezier_mask(rng, *box, points=int(rng.integers(5, 7)), tension=float(rng.choice(TENSIONS)))


def bezier_scar(rng: np.random.Generator, height: int, width: int, scale: float) -> MaskArray:
    """Bézier scar: a Bézier shape in a scar's box, turned by up to 45°."""
    box = sample_scar_box(rng, scale)
    mask = bezier_mask(rng, *box, points=int(rng.integers(5, 7)), tension=float(rng.choice(TENSIONS)))
    return _turn_scar(rng, mask, height, width)


def speckle(rng: np.random.Generator, height: int, width: int, scale: float) -> MaskArray:
    """Blotches that divide a clump: coarse grey noise in [77, 178), enlarged bicubically, above 138.

    Both sides of the coarse noise follow from the box's width, as in the released code.
    """
    grain = rng.uniform(5, 7) * scale
    stretch = 2.0 ** rng.uniform(-1, 1)
    size = max(int(width / grain * stretch), 1), max(int(width / grain / stretch), 1)
    noise = rng.integers(77, 178, size=size[::-1], dtype=np.uint8)
    return np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)) > 138


def bezier_clump(rng: np.random.Generator, height: int, width: int, scale: float) -> MaskArray:
    """Bézier clump: a Bézier shape of 5 to 9 points, sides up to 3 : 1, divided by `speckle`. Never empty."""
    box = sample_box(rng, height, width, aspect=3.0)
    for _ in range(CLUMP_ATTEMPTS):
        whole = bezier_mask(rng, *box, points=int(rng.integers(5, 10)), tension=float(rng.choice(TENSIONS)))
        clump = whole & speckle(rng, *box, scale)
        if clump.any():
            return clump
    return whole


def rectangle(rng: np.random.Generator, height: int, width: int, scale: float) -> MaskArray:
    """CutPaste's patch: a full box, 2 to 15 % of the image, sides up to 3.3 : 1."""
    return np.ones(sample_box(rng, height, width), dtype=bool)


def rectangular_scar(rng: np.random.Generator, height: int, width: int, scale: float) -> MaskArray:
    """CutPaste's scar: a full scar box, turned by up to 45°."""
    return _turn_scar(rng, np.ones(sample_scar_box(rng, scale), dtype=bool), height, width)


def perlin_shape(rng: np.random.Generator, height: int, width: int, scale: float) -> MaskArray:
    """DRAEM's mask, over the whole image."""
    return perlin_mask(rng, height, width)


def _turn_scar(rng: np.random.Generator, mask: MaskArray, height: int, width: int) -> MaskArray:
    angle = int(rng.integers(-SCAR_ANGLE, SCAR_ANGLE, endpoint=True))
    return turn_mask(mask, angle)[:height, :width]


#: Shape by name.
SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "bezier": bezier_shape,
        "scar": bezier_scar,
        "clump": bezier_clump,
        "rectangle": rectangle,
        "rectangular_scar": rectangular_scar,
        "perlin": perlin_shape,
    }
)
