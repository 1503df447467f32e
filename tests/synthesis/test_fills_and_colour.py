"""Fills and colour jitter."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from onlygood.errors import DataError
from onlygood.synthesis.augment import EXCHANGING, OPERATIONS, apply_operation, augment, draw_operation
from onlygood.synthesis.colour import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    jitter_colours,
)
from onlygood.synthesis.fills import crop_at, cutpaste_fill, noise_fill, noise_texture, texture_fill

seeds = st.integers(0, 2**32 - 1)


def rng_of(seed):
    return np.random.default_rng(seed)


def picture(seed=0, shape=(40, 50, 3)):
    return rng_of(seed).integers(0, 256, shape, dtype=np.uint8)


@given(seeds, st.integers(5, 19), st.integers(0, 9), st.sampled_from([1, 2, 4]), st.sampled_from([0.25, 1, 4]))
@settings(max_examples=60)
def test_noise_stays_near_its_range(seed, mean, fluctuation, grain, aspect):
    mean, fluctuation = mean * 10, fluctuation * 5
    noise = noise_texture(rng_of(seed), 30, 50, mean, fluctuation, grain, aspect)
    assert noise.shape == (30, 50, 3) and noise.dtype == np.uint8
    overshoot = 1.5625  # (9/8 + 1/8)², the greatest sum of a bicubic kernel's absolute weights
    assert np.abs(noise.astype(int) - mean).max() <= fluctuation * overshoot + 2
    if fluctuation == 0:
        assert (noise == mean).all()


def test_noise_without_resizing_is_exactly_in_range_and_coloured():
    noise = noise_texture(rng_of(0), 60, 60, 120, 30)
    assert noise.min() == 90 and noise.max() == 150
    assert not np.array_equal(noise[..., 0], noise[..., 1])


@given(seeds, st.integers(1, 70), st.integers(1, 70))
@settings(max_examples=40)
def test_noise_fill_has_the_size_of_any_box(seed, height, width):
    assert noise_fill(rng_of(seed), height, width).shape == (height, width, 3)


@given(seeds, st.integers(1, 40), st.integers(1, 50))
def test_crop_is_part_of_the_image_also_at_its_corners(seed, height, width):
    image = np.arange(40 * 50).reshape(40, 50, 1).repeat(3, 2).astype(np.uint8)
    rng = rng_of(seed)
    row, column = int(rng.integers(40)), int(rng.integers(50))
    crop = crop_at(image, (row, column), height, width)
    assert crop.shape == (height, width, 3)
    top, left = min(max(row - height // 2, 0), 40 - height), min(max(column - width // 2, 0), 50 - width)
    assert np.array_equal(crop, image[top : top + height, left : left + width])


def test_crop_of_a_smaller_image_is_enlarged():
    assert crop_at(picture(), (0, 0), 60, 20).shape == (60, 20, 3)


def test_cutpaste_takes_from_the_salient_part():
    """Red marks the salient half of every donor; a small crop centred there is red whatever the turn."""
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    image[:, 20:] = (200, 0, 0)
    salient = np.zeros((64, 64), dtype=bool)
    salient[5:-5, 30:-5] = True
    for seed in range(30):
        fill = cutpaste_fill(rng_of(seed), 6, 4, [image], lambda index: salient)
        assert fill.shape == (6, 4, 3)
        assert fill.max(axis=2).min() > 120


def test_cutpaste_turns_the_crop_in_all_ways():
    """A gradient to the right can point to all four sides in a crop of an augmented square donor."""
    image = np.zeros((64, 64, 3), dtype=np.uint8) + np.arange(0, 256, 4, dtype=np.uint8)[None, :, None]
    ways = set()
    for seed in range(60):
        grey = cutpaste_fill(rng_of(seed), 20, 20, [image], lambda index: None)[..., 1].astype(float)
        across, down = grey[:, -1].mean() - grey[:, 0].mean(), grey[-1].mean() - grey[0].mean()
        ways.add(("x", across > 0) if abs(across) > abs(down) else ("y", down > 0))
    assert len(ways) == 4
    plain = [cutpaste_fill(rng_of(s), 20, 20, [image], lambda i: None, augmented=False) for s in range(10)]
    assert all(fill[:, -1].mean() > fill[:, 0].mean() for fill in plain)


def test_texture_fill_crops_a_texture_or_stands_in():
    texture = np.full((90, 90, 3), 77, dtype=np.uint8)
    assert (texture_fill(rng_of(0), 40, 30, [texture]) == 77).all()
    assert texture_fill(rng_of(0), 40, 30, [], [picture()]).shape == (40, 30, 3)
    with pytest.raises(DataError, match="empty"):
        texture_fill(rng_of(0), 40, 30, [], [])


@given(st.tuples(*[st.integers(0, 255)] * 3), st.floats(-0.1, 0.1))
def test_hue_agrees_with_colorsys(rgb, turn):
    found = np.asarray(adjust_hue(Image.new("RGB", (1, 1), rgb), turn))[0, 0]
    h, s, v = colorsys.rgb_to_hsv(*(c / 255 for c in rgb))
    expected = np.array(colorsys.hsv_to_rgb((h + turn) % 1, s, v)) * 255
    # Eight bits of hue: a step of 1/255 turn moves a channel by up to 6 · 255 · s · v / 255 levels.
    assert np.abs(found - expected).max() <= 12 * s * v + 3


def test_other_adjustments_on_known_values():
    image = Image.fromarray(np.array([[[100, 50, 200], [10, 240, 30]]], dtype=np.uint8))
    np.testing.assert_array_equal(np.asarray(adjust_brightness(image, 1.1))[0], [[110, 55, 220], [11, 255, 33]])
    grey = np.asarray(image.convert("L"), dtype=float)
    mean = round(grey.mean())
    contrast = mean + (np.asarray(image, dtype=float) - mean) * 1.1
    np.testing.assert_allclose(np.asarray(adjust_contrast(image, 1.1)), contrast.clip(0, 255), atol=0.51)
    saturated = grey[..., None] + (np.asarray(image, dtype=float) - grey[..., None]) * 0.9
    np.testing.assert_allclose(np.asarray(adjust_saturation(image, 0.9)), saturated, atol=1.01)


@given(seeds)
@settings(max_examples=30)
def test_jitter_leaves_grey_images_grey_and_the_input_alone(seed):
    image = picture(seed)[..., :1].repeat(3, axis=2)
    before = image.copy()
    jittered = jitter_colours(rng_of(seed), image)
    assert np.array_equal(image, before)
    assert np.ptp(jittered, axis=2).max() <= 1
    assert np.abs(jittered.astype(int) - image).max() <= 0.1 * 255 + 0.1 * 155 + 4


def test_jitter_of_nothing_changes_next_to_nothing():
    image = np.full((8, 8, 3), (200, 100, 50), dtype=np.uint8)
    assert np.abs(jitter_colours(rng_of(0), image, amount=0.0).astype(int) - image).max() <= 3


@pytest.mark.parametrize("name", sorted(set(OPERATIONS)))
def test_operations_agree_with_pillow(name):
    image = picture(shape=(30, 40, 3))
    flip = Image.Transpose
    pillow = {
        "rotate_90": flip.ROTATE_90,
        "rotate_180": flip.ROTATE_180,
        "rotate_270": flip.ROTATE_270,
        "transpose": flip.TRANSPOSE,
        "transverse": flip.TRANSVERSE,
        "flip": flip.FLIP_LEFT_RIGHT,
    }
    source = Image.fromarray(image)
    expected = source if name == "none" else source.transpose(pillow[name])
    assert np.array_equal(apply_operation(image, name), np.asarray(expected))
    assert (apply_operation(image, name).shape != image.shape) == (name in EXCHANGING)


def test_draw_of_operations():
    rng = rng_of(0)
    square = [draw_operation(rng, square=True) for _ in range(3000)]
    for name in set(OPERATIONS):
        assert square.count(name) / 3000 == pytest.approx(OPERATIONS.count(name) / 9, abs=0.03)
    oblong = {draw_operation(rng, square=False) for _ in range(200)}
    assert oblong == {"none", "rotate_180", "flip"}


@given(seeds)
@settings(max_examples=30)
def test_augmentation_keeps_image_and_saliency_together(seed):
    image = np.full((32, 32, 3), 40, dtype=np.uint8)
    image[3:9, 5:25] = 220
    turned, salient = augment(rng_of(seed), image, image[..., 0] > 100)
    assert salient is not None
    assert np.array_equal(turned[..., 0] > 120, salient)
    assert augment(rng_of(seed), image, None)[1] is None
