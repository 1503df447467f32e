"""Defect fills: random noise, CutPaste, and the texture crops of DRAEM."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from onlygood.errors import DataError
from onlygood.synthesis.arrays import ImageArray, MaskArray
from onlygood.synthesis.augment import EXCHANGING, apply_operation, draw_operation
from onlygood.synthesis.colour import jitter_colours
from onlygood.synthesis.fusing import corner_of, draw_centre

#: Gives the saliency of image i of the set; None means the whole image.
SaliencyOf = Callable[[int], MaskArray | None]


def noise_texture(
    rng: np.random.Generator,
    height: int,
    width: int,
    mean: int,
    fluctuation: int,
    grain: float = 1.0,
    aspect: float = 1.0,
) -> ImageArray:
    """RGB noise, uniform in mean ± fluctuation for each channel.

    It is drawn coarsely and resized bicubically to the box. The coarse size is (width / grain · aspect) x
    (width / grain / aspect), both from the width as in the released code. Bicubic resizing can pass the
    range by up to 57 % of the fluctuation. A fluctuation of 0 is a flat grey.
    """
    size = max(int(width / grain * aspect), 1), max(int(width / grain / aspect), 1)
    low, high = max(mean - fluctuation, 0), min(mean + fluctuation + 1, 255)
    noise = rng.integers(low, high, size=(size[1], size[0], 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))


def noise_fill(rng: np.random.Generator, height: int, width: int, scale: float = 1.0) -> ImageArray:
    """Random noise, then colour jitter: mean 50..190, fluctuation 0..45, grain 1, 2 or 4 times `scale`."""
    texture = noise_texture(
        rng,
        height,
        width,
        mean=int(rng.integers(5, 20)) * 10,
        fluctuation=int(rng.integers(0, 10)) * 5,
        grain=float(rng.choice((1, 2, 4))) * max(scale, 1.0),
        aspect=float(rng.choice((0.25, 0.5, 1, 2, 4))),
    )
    return jitter_colours(rng, texture)


def crop_at(image: ImageArray, centre: tuple[int, int], height: int, width: int) -> ImageArray:
    """Crop a box around `centre`, moved inside the image; from a smaller image the crop is enlarged."""
    rows, columns = min(height, image.shape[0]), min(width, image.shape[1])
    top, left = corner_of(centre, (rows, columns), *image.shape[:2])
    crop = image[top : top + rows, left : left + columns]
    if (rows, columns) != (height, width):
        crop = np.asarray(Image.fromarray(crop).resize((width, height), Image.Resampling.BICUBIC))
    return crop


def cutpaste_fill(
    rng: np.random.Generator,
    height: int,
    width: int,
    images: Sequence[ImageArray],
    saliency_of: SaliencyOf,
    augmented: bool = True,
) -> ImageArray:
    """CutPaste fill: a crop of a random image, centred at a random salient pixel; then colour jitter.

    With `augmented` the donor is turned, flipped and jittered first, as every image of the training set is.
    For speed that is done to the crop and not to the whole donor: the same, but that contrast turns about
    the crop's mean grey.
    """
    index = int(rng.integers(len(images)))
    donor = images[index]
    operation = draw_operation(rng, donor.shape[0] == donor.shape[1]) if augmented else "none"
    box = (width, height) if operation in EXCHANGING else (height, width)
    centre = draw_centre(rng, donor, saliency_of(index))
    crop = apply_operation(crop_at(donor, centre, *box), operation)
    return jitter_colours(rng, jitter_colours(rng, crop) if augmented else crop)


def texture_fill(
    rng: np.random.Generator,
    height: int,
    width: int,
    textures: Sequence[ImageArray],
    images: Sequence[ImageArray] = (),
) -> ImageArray:
    """Texture fill of the DRAEM variant: a random crop of a random texture, for example of the DTD set.

    Without textures, a window of a random image of the set, a quarter to three quarters of its sides, is
    turned or flipped and enlarged to the box: strange in scale and place, so that it differs from what it
    covers. That is a stand-in and no longer DRAEM's source of anomalies.
    """
    if len(textures):
        texture = textures[int(rng.integers(len(textures)))]
        return crop_at(texture, draw_centre(rng, texture, None), height, width)
    if not len(images):
        raise DataError("A texture fill needs textures or images to crop from; both lists are empty.")
    image = images[int(rng.integers(len(images)))]
    share = rng.uniform(0.25, 0.75)
    window = crop_at(
        image,
        draw_centre(rng, image, None),
        max(int(image.shape[0] * share), 1),
        max(int(image.shape[1] * share), 1),
    )
    window = apply_operation(window, draw_operation(rng, square=True))
    return np.asarray(Image.fromarray(window).resize((width, height), Image.Resampling.BICUBIC))
