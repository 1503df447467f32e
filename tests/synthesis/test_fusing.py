"""Fusing: placement, softening, blending."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onlygood.synthesis.fusing import corner_of, draw_centre, ellipse_element, fuse, soften

seeds = st.integers(0, 2**32 - 1)


def rng_of(seed):
    return np.random.default_rng(seed)


@given(seeds)
def test_centre_is_salient(seed):
    rng = rng_of(seed)
    salient = rng.random((20, 30)) < 0.1
    salient[4, 7] = True
    assert salient[draw_centre(rng, np.zeros((20, 30, 3), np.uint8), salient)]


def test_centres_are_uniform_over_the_salient_pixels():
    salient = np.zeros((10, 12), dtype=bool)
    salient[2, 3] = salient[2, 11] = salient[9, 0] = True
    rng, image = rng_of(0), np.zeros((10, 12, 3), np.uint8)
    drawn = [draw_centre(rng, image, salient) for _ in range(3000)]
    for place in [(2, 3), (2, 11), (9, 0)]:
        assert drawn.count(place) / 3000 == pytest.approx(1 / 3, abs=0.04)
    everywhere = {draw_centre(rng, image, None) for _ in range(3000)}
    assert len(everywhere) == 120
    assert {draw_centre(rng, image, np.zeros((10, 12), bool)) for _ in range(3000)} == everywhere


@given(st.integers(0, 19), st.integers(0, 29), st.integers(1, 20), st.integers(1, 30))
def test_box_lies_inside_and_holds_its_centre(row, column, height, width):
    top, left = corner_of((row, column), (height, width), 20, 30)
    assert 0 <= top <= 20 - height and 0 <= left <= 30 - width
    assert top <= row < top + height and left <= column < left + width
    if height // 2 <= row <= 20 - height + height // 2:
        assert top == row - height // 2


def test_elliptical_elements():
    cross = [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
    five = [[0, 0, 1, 0, 0], [1] * 5, [1] * 5, [1] * 5, [0, 0, 1, 0, 0]]
    seven = [
        [0, 0, 0, 1, 0, 0, 0],
        [0, 1, 1, 1, 1, 1, 0],
        *[[1] * 7] * 3,
        [0, 1, 1, 1, 1, 1, 0],
        [0] * 3 + [1] + [0] * 3,
    ]
    for size, expected in ((3, cross), (5, five), (7, seven)):
        np.testing.assert_array_equal(ellipse_element(size), np.array(expected, dtype=bool))


def soften_slowly(mask, size):
    radius = size // 2
    padded = np.pad(mask, 2 * radius)
    element = ellipse_element(size)
    eroded = np.zeros_like(padded, dtype=float)
    for r in range(radius, padded.shape[0] - radius):
        for c in range(radius, padded.shape[1] - radius):
            window = padded[r - radius : r + radius + 1, c - radius : c + radius + 1]
            eroded[r, c] = window[element].all()
    line = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * size**2))
    kernel = np.outer(line, line) / line.sum() ** 2
    out = np.zeros(mask.shape)
    for r in range(mask.shape[0]):
        for c in range(mask.shape[1]):
            top, left = r + radius, c + radius
            out[r, c] = (eroded[top : top + size, left : left + size] * kernel).sum()
    return out


@given(seeds, st.sampled_from([3, 5]))
@settings(max_examples=20, deadline=None)
def test_softening_agrees_with_a_direct_loop(seed, size):
    mask = rng_of(seed).random((14, 17)) < 0.9
    mask[3:10, 4:12] = True
    np.testing.assert_allclose(soften(mask, size), soften_slowly(mask, size), atol=1e-6)


def test_softening_fades_at_the_edge_and_spares_thin_masks():
    soft = soften(np.ones((21, 21), dtype=bool), 5)
    assert soft.dtype == np.float32
    assert soft[10, 10] == pytest.approx(1) and 0 < soft[0, 10] < 0.4
    assert (np.diff(soft[10, :11]) >= -1e-6).all()
    line = np.zeros((9, 9), dtype=bool)
    line[4] = True
    np.testing.assert_array_equal(soften(line, 3), line)


@given(seeds, st.floats(0.05, 1))
@settings(max_examples=40, deadline=None)
def test_blending_agrees_with_a_direct_loop(seed, weight):
    rng = rng_of(seed)
    image = rng.integers(0, 256, (12, 15, 3), dtype=np.uint8)
    fill = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    mask = (rng.random((5, 6)) * (rng.random((5, 6)) < 0.7)).astype(np.float32)
    before = image.copy()
    fused = fuse(image, fill, mask, (4, 7), weight)
    assert np.array_equal(image, before)
    expected = image.astype(float)
    for r in range(5):
        for c in range(6):
            share = float(mask[r, c]) * weight
            expected[4 + r, 7 + c] = image[4 + r, 7 + c] * (1 - share) + fill[r, c] * share
    assert np.abs(fused - expected).max() <= 0.501
    untouched = np.ones((12, 15), dtype=bool)
    untouched[4:9, 7:13] = mask == 0
    assert np.array_equal(fused[untouched], image[untouched])


@given(seeds)
def test_pasting_puts_the_fill_itself(seed):
    rng = rng_of(seed)
    image = rng.integers(0, 256, (12, 15, 3), dtype=np.uint8)
    fill = rng.integers(0, 256, (12, 15, 3), dtype=np.uint8)
    mask = rng.random((12, 15)) < 0.5
    fused = fuse(image, fill, mask.astype(np.float32), (0, 0))
    assert np.array_equal(fused[mask], fill[mask]) and np.array_equal(fused[~mask], image[~mask])
