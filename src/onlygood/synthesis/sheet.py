"""A contact sheet: what a DefectMaker makes, to look at before training on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from onlygood.errors import ParameterError
from onlygood.synthesis.arrays import ImageArray, MaskArray
from onlygood.synthesis.defectmaker import DefectMaker
from onlygood.synthesis.kinds import DEFECT_KINDS

_GAP = 4
_LABEL = 132
_OUTLINE = (0, 255, 80)


def outline_mask(image: ImageArray, mask: MaskArray, size: tuple[int, int]) -> Image.Image:
    """Shrink an image into `size` (width, height) and draw the outline of its mask, one pixel wide."""
    picture = Image.fromarray(image)
    picture.thumbnail(size, Image.Resampling.LANCZOS)
    grey = Image.fromarray(mask.astype(np.uint8) * 255).resize(picture.size, Image.Resampling.BOX)
    hard = grey.point([0] + [255] * 255)
    edge = ImageChops.subtract(hard.filter(ImageFilter.MaxFilter(3)), hard)
    picture.paste(_OUTLINE, mask=edge)
    return picture


def contact_sheet(
    maker: DefectMaker,
    *,
    kinds: Sequence[str] | None = None,
    examples: int = 6,
    tile: int = 160,
    outlines: bool = True,
    seed: int = 0,
) -> Image.Image:
    """Show several examples of each kind, one kind a row under a first row of the good images.

    Args:
        maker: makes the defects; nothing is augmented but the fills.
        kinds: rows; the maker's kinds by default.
        examples: columns; column i shows one good image of the set with each of the defects.
        tile: longer side of each picture, pixels.
        outlines: whether to draw the outline of each mask.
        seed: same seed, same sheet.

    Returns:
        RGB image on white.
    """
    rows = maker.kinds if kinds is None else tuple(kinds)
    if examples < 1 or tile < 16:
        raise ParameterError(f"examples is {examples} and tile {tile}; at least 1 and 16 are needed.")
    order = np.random.default_rng(seed).permutation(len(maker.images))
    pitch = tile + _GAP
    sheet = Image.new("RGB", (_LABEL + examples * pitch, (len(rows) + 1) * pitch), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for row, name in enumerate(("good image", *rows)):
        draw.multiline_text((_GAP, row * pitch + tile // 2 - 14), name.replace("_", "\n"), fill="black", font=font)
        for column in range(examples):
            index = int(order[column % len(order)])
            if name in DEFECT_KINDS:
                made = maker.make(name, np.random.default_rng((seed, row, column)), index)
                image, mask = made.image, made.mask
            else:
                image, mask = maker.images[index], np.zeros(maker.images[index].shape[:2], dtype=bool)
            picture = outline_mask(image, mask & outlines, (tile, tile))
            sheet.paste(picture, (_LABEL + column * pitch, row * pitch))
    return sheet
