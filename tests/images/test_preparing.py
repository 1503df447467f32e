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
