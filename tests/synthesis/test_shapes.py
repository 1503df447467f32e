"""Defect shapes: contours, boxes, scars, clumps, Perlin masks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from onlygood.errors import ParameterError
from onlygood.synthesis.bezier import (
    SAMPLES,
    bezier_contour,
    bezier_mask,
    control_points,
    random_polygon,
    smooth_contour,
)
from onlygood.synthesis.perlin import perlin_mask, perlin_noise
from onlygood.synthesis.shapes import SHAPES, sample_box, sample_scar_box, speckle, turn_mask

seeds = st.integers(0, 2**32 - 1)


def rng_of(seed):
    return np.random.default_rng(seed)


@given(seeds, st.integers(3, 9))
def test_polygon_is_sorted_by_angle_and_lies_on_the_grid(seed, points):
    vertices = random_polygon(rng_of(seed), points)
    assert vertices.shape == (points, 2)
    assert ((vertices >= 0) & (vertices < 100) & (vertices == vertices.round())).all()
    offset = vertices - vertices.mean(axis=0)
    assert (np.diff(np.arctan2(offset[:, 1], offset[:, 0])) >= 0).all()


@given(seeds, st.integers(3, 9), st.floats(0, 1))
def test_contour_passes_through_every_vertex_and_closes(seed, points, tension):
    rng = rng_of(seed)
    vertices = random_polygon(rng, points)
    contour = smooth_contour(vertices, tension, rng.random(points) < 0.5)
    for vertex in vertices:
        assert np.abs(contour - vertex).sum(axis=1).min() < 1e-9
    assert np.array_equal(contour[0], contour[-1])


def reference_contour(vertices, tension, straight):
    """The construction step by step, one vertex and one parameter value at a time."""
    n = len(vertices)
    incoming, outgoing = [], []
    for i in range(n):
        before, v, after = vertices[i - 1], vertices[i], vertices[(i + 1) % n]
        d0, d1 = math.dist(before, v), math.dist(v, after)
        m0, m1 = (before + v) / 2, (v + after) / 2
        shift = v - (m0 + (m1 - m0) * d0 / (d0 + d1))
        incoming.append(m0 + shift + (v - m0 - shift) * tension)
        outgoing.append(m1 + shift + (v - m1 - shift) * tension)
    contour = []
    for i in range(n):
        a, b, c, d = vertices[i], outgoing[i], incoming[(i + 1) % n], vertices[(i + 1) % n]
        for t in [0.0] if straight[i] else np.linspace(0, 1, SAMPLES)[:-1]:
            ab, bc, cd = a + (b - a) * t, b + (c - b) * t, c + (d - c) * t  # de Casteljau
            abc, bcd = ab + (bc - ab) * t, bc + (cd - bc) * t
            contour.append(abc + (bcd - abc) * t)
    return np.array([*contour, vertices[0]])


@given(seeds, st.integers(3, 9), st.sampled_from([0.0, 0.2, 0.3, 0.4]))
def test_contour_agrees_with_de_casteljau(seed, points, tension):
    rng = rng_of(seed)
    vertices = random_polygon(rng, points)
    if len(np.unique(vertices, axis=0)) < points:
        return
    straight = rng.random(points) < 0.5
    expected = reference_contour(vertices, tension, straight)
    np.testing.assert_allclose(smooth_contour(vertices, tension, straight), expected, atol=1e-9)


def test_controls_of_a_square():
    square = np.array([[0.0, 0.0], [2, 0], [2, 2], [0, 2]])
    incoming, outgoing = control_points(square, tension=0.0)
    # At (0, 0) the middles of the sides are (0, 1) and (1, 0); their middle (½, ½) is moved onto the vertex.
    np.testing.assert_allclose(incoming[0], [-0.5, 0.5])
    np.testing.assert_allclose(outgoing[0], [0.5, -0.5])
    for controls in control_points(square, tension=1.0):
        np.testing.assert_allclose(controls, square)


def test_coinciding_vertices_do_no_harm():
    vertices = np.array([[5.0, 5.0], [5, 5], [5, 5], [80, 10], [40, 90]])
    assert np.isfinite(smooth_contour(vertices, 0.3, np.zeros(5, dtype=bool))).all()


def test_about_half_of_the_sides_are_straight():
    rng = rng_of(0)
    lengths = [len(bezier_contour(rng, 6, 0.3)) - 1 for _ in range(400)]
    curved = [(length - 6) / (SAMPLES - 2) for length in lengths]
    assert np.mean(curved) == pytest.approx(3, abs=0.2)


@given(seeds, st.integers(1, 90), st.integers(1, 90), st.integers(3, 9), st.sampled_from([0.2, 0.3, 0.4]))
def test_bezier_mask_fills_its_box(seed, height, width, points, tension):
    mask = bezier_mask(rng_of(seed), height, width, points, tension)
    assert mask.shape == (height, width) and mask.dtype == bool
    assert mask[0].any() and mask[-1].any() and mask[:, 0].any() and mask[:, -1].any()


def test_bezier_mask_refuses_what_cannot_be():
    with pytest.raises(ParameterError, match="at least 3"):
        bezier_mask(rng_of(0), 10, 10, points=2)
    with pytest.raises(ParameterError, match="at least 1"):
        bezier_mask(rng_of(0), 0, 10)


@given(seeds, st.integers(64, 700), st.integers(64, 700), st.sampled_from([3.0, 3.3]))
def test_box_keeps_to_area_and_aspect(seed, height, width, aspect):
    h, w = sample_box(rng_of(seed), height, width, aspect=aspect)
    assert 1 <= h <= height and 1 <= w <= width
    rounding = (h + w) / 2 + 1
    assert 0.02 * height * width - rounding <= h * w <= 0.15 * height * width + rounding
    if h < height and w < width:
        assert (w - 0.5) / (h + 0.5) <= aspect and (h - 0.5) / (w + 0.5) <= aspect


def test_box_that_sticks_out_is_cut_and_made_up_for():
    rng = rng_of(1)
    boxes = [sample_box(rng, 20, 2000, area=(0.15, 0.15)) for _ in range(200)]
    assert any(h == 20 for h, _ in boxes)
    for h, w in boxes:
        assert h * w == pytest.approx(0.15 * 20 * 2000, rel=0.06)


@given(seeds, st.sampled_from([1.0, 2.0, 3.5]))
def test_scar_box_limits(seed, scale):
    h, w = sample_scar_box(rng_of(seed), scale)
    assert round(15 * scale) <= h <= round(30 * scale) and round(7 * scale) <= w <= round(21 * scale)


def test_scar_box_reaches_both_limits():
    rng = rng_of(0)
    boxes = np.array([sample_scar_box(rng) for _ in range(2000)])
    assert boxes.min(axis=0).tolist() == [15, 7] and boxes.max(axis=0).tolist() == [30, 21]


@given(seeds, st.sampled_from(["scar", "rectangular_scar"]))
def test_turned_scar_fits_its_diagonal_and_its_bounding_box(seed, name):
    mask = SHAPES[name](rng_of(seed), 256, 256, 1.0)
    assert max(mask.shape) <= math.hypot(30, 21) + 3
    assert mask[0].any() and mask[-1].any() and mask[:, 0].any() and mask[:, -1].any()


def test_turning_keeps_the_area_and_cuts_to_the_content():
    mask = np.ones((30, 10), dtype=bool)
    assert turn_mask(mask, 0).shape == (30, 10)
    assert turn_mask(mask, 30).sum() == pytest.approx(300, rel=0.06)
    turned = turn_mask(mask, 45)
    assert abs(turned.shape[0] - 40 / math.sqrt(2)) <= 2 and abs(turned.shape[1] - turned.shape[0]) <= 1


@given(seeds, st.integers(8, 300), st.integers(8, 300))
@settings(max_examples=60)
def test_every_shape_fits_the_image_and_is_never_empty(seed, height, width):
    for name, shape in SHAPES.items():
        mask = shape(rng_of(seed), height, width, min(height, width) / 256)
        assert mask.dtype == bool and mask.any(), name
        assert mask.shape[0] <= height and mask.shape[1] <= width, name


def test_clump_is_a_divided_shape():
    """A clump has fewer pixels than its box could hold and usually falls into several parts."""
    from scipy import ndimage

    parts, shares = [], []
    for seed in range(60):
        mask = SHAPES["clump"](rng_of(seed), 256, 256, 1.0)
        parts.append(ndimage.label(mask)[1])
        shares.append(mask.mean())
    assert np.median(parts) >= 5
    assert 0.1 < np.mean(shares) < 0.35


def test_speckle_keeps_about_the_share_of_greys_above_138():
    share = np.mean([speckle(rng_of(seed), 80, 80, 1.0).mean() for seed in range(80)])
    assert share == pytest.approx(39 / 101, abs=0.05)


def test_rectangle_is_full():
    assert SHAPES["rectangle"](rng_of(0), 256, 256, 1.0).all()


@given(seeds, st.integers(0, 5), st.integers(0, 5))
@settings(max_examples=40)
def test_perlin_noise_is_bounded_and_zero_on_its_lattice(seed, down, across):
    rows, columns = 2**down, 2**across
    noise = perlin_noise(rng_of(seed), 64, 96, rows, columns)
    assert noise.shape == (64, 96) and noise.dtype == np.float32
    assert np.abs(noise).max() <= 1 + 1e-5
    np.testing.assert_allclose(noise[:: 64 // rows, :: 96 // columns], 0, atol=1e-5)


def test_perlin_noise_is_finer_with_more_cells():
    coarse, fine = (perlin_noise(rng_of(3), 128, 128, n, n) for n in (2, 16))
    assert np.abs(np.diff(fine)).mean() > 3 * np.abs(np.diff(coarse)).mean()
    assert np.abs(np.diff(coarse)).max() < 0.15  # continuous across the cells' borders


def test_perlin_mask_is_above_the_threshold_and_never_empty():
    shares = []
    for seed in range(200):
        mask = perlin_mask(rng_of(seed), 48, 72)
        assert mask.shape == (48, 72) and mask.dtype == bool and mask.any()
        shares.append(mask.mean())
    assert 0.01 < np.mean(shares) < 0.25
    assert perlin_mask(rng_of(0), 32, 32, threshold=2.0).any()  # no noise is that high


def test_mask_rows_are_rows():
    """A wide box gives a wide mask: no axes are exchanged on the way through Pillow."""
    assert bezier_mask(rng_of(0), 10, 50).shape == (10, 50)
    assert speckle(rng_of(0), 10, 50, 1.0).shape == (10, 50)
    assert np.asarray(Image.fromarray(perlin_mask(rng_of(0), 10, 50))).shape == (10, 50)
