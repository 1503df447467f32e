from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from onlygood.errors import ImageError
from onlygood.images import resize


@pytest.mark.parametrize("shape", [(8, 8), (100, 300), (257, 255), (8, 400), (64, 64)])
@pytest.mark.parametrize("size", [32, 64])
def test_straight_to_a_square_bicubic_with_antialiasing(
    rng: np.random.Generator, shape: tuple[int, int], size: int
) -> None:
    image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    expected = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
    resized = resize(image, size)
    assert resized.shape == (size, size, 3) and resized.dtype == np.uint8
    np.testing.assert_array_equal(resized, np.asarray(expected))


def cubic(length: int, size: int) -> np.ndarray:
    """Antialiased cubic convolution (a = -0.5) from `length` to `size` samples as a matrix, in 22-bit fixed point."""
    stretch = max(length / size, 1)
    centre = (np.arange(size) + 0.5)[:, None] * length / size
    first = np.maximum((centre - 2 * stretch + 0.5).astype(int), 0)
    last = np.minimum((centre + 2 * stretch + 0.5).astype(int), length)
    x = np.abs((np.arange(length) - centre + 0.5) / stretch)
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    taps = np.where(x < 1, near, np.where(x < 2, far, 0)) * (np.arange(length) >= first) * (np.arange(length) < last)
    taps /= taps.sum(axis=1, keepdims=True)
    return np.rint(taps * 2**22)


@pytest.mark.parametrize("shape", [(300, 100), (100, 300), (90, 20), (1000, 37)])
def test_rows_first_with_every_version_of_pillow(rng: np.random.Generator, shape: tuple[int, int]) -> None:
    """The order of the two passes shows, for each rounds to whole levels; Pillow 13 changed it for tall images."""
    image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    rows = np.einsum("sw,hwc->hsc", cubic(shape[1], 64), image.astype(np.float64))
    rows = np.clip((rows + 2**21) // 2**22, 0, 255)
    square = np.clip((np.einsum("sh,hwc->swc", cubic(shape[0], 64), rows) + 2**21) // 2**22, 0, 255)
    np.testing.assert_array_equal(resize(image, 64), square)


def test_antialiasing_keeps_the_mean_of_a_fine_pattern() -> None:
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 200
    assert abs(resize(stripes, 64).mean() - 100) < 2


@pytest.mark.parametrize("shape", [(1, 1), (7, 100), (100, 7)])
def test_too_small(shape: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match="8 x 8") as caught:
        resize(np.zeros((*shape, 3), np.uint8), 64, "tiny.png")
    assert f"tiny.png is only {shape[1]} x {shape[0]}" in str(caught.value)


def test_too_long() -> None:
    with pytest.raises(ImageError, match="20000 x 50") as caught:
        resize(np.zeros((50, 20_000, 3), np.uint8), 64, "strip.png")
    assert "strip.png" in str(caught.value) and "Cut it" in str(caught.value)
