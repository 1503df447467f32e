from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import convolve1d, gaussian_filter

from onlygood.errors import ParameterError
from onlygood.methods.anomaly_map import MARGIN, anomaly_map, at_size, deciding_patches, find_regions, image_score


@pytest.mark.parametrize(("place", "pooled"), [((0, 0), 1.0), ((31, 31), 0.0), ((29, 29), 1.0)])
def test_pooled_maximum_of_the_released_code(place, pooled):
    """methods.md, oracle 3."""
    patches = np.zeros((32, 32), np.float32)
    patches[place] = 9
    assert image_score(patches, "max") == 9
    assert image_score(patches, "avgpool3_max") == pytest.approx(pooled)


def test_smoothed_maximum_against_scipy():
    patches = np.random.default_rng(0).normal(size=(32, 28)).astype(np.float32)
    expected = gaussian_filter(patches.astype(float), 1.5, mode="reflect")[1:-1, 1:-1].max()
    assert image_score(patches, "smoothed_max") == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("grid", [(1, 1), (2, 5)])
def test_tiny_grids_fall_back_to_the_maximum(grid):
    assert image_score(np.arange(grid[0] * grid[1], dtype=np.float32).reshape(grid)) == grid[0] * grid[1] - 1


def test_maximum_of_the_map(rng):
    patches = rng.normal(size=(32, 32)).astype(np.float32)
    assert image_score(patches, "map_max") == pytest.approx(float(anomaly_map(patches, 256, 4.0).max()), abs=1e-6)


@pytest.mark.parametrize("how", ["max", "smoothed_max", "avgpool3_max", "map_max", "sum"])
@pytest.mark.parametrize("grid", [(1, 1), (2, 7), (28, 32)])
def test_the_image_score_hardly_depends_on_patches_that_do_not_decide(how, grid, rng):
    """What the quick look of a graph makes of the others, a distance about 1 % too long, stays out of the score."""
    for _ in range(20):
        patches = gaussian_filter(rng.gamma(3, size=grid), rng.choice([0, 1, 3])).astype(np.float32)
        deciding = deciding_patches(patches, how, 8 * grid[0], 4.0)
        assert deciding.shape == grid and deciding.dtype == np.bool_ and deciding.flat[patches.argmax()]
        closer = np.where(deciding, patches, patches * np.float32(1 - MARGIN))
        before, after = (image_score(one, how, 8 * grid[0], 4.0) for one in (patches, closer))
        assert after == before if how in ("max", "sum") else after == pytest.approx(before, rel=0.2 * MARGIN)


def test_few_patches_decide():
    patches = np.zeros((32, 32), np.float32)
    patches[10, 20] = 5
    assert deciding_patches(patches, "max", 256, 4.0).sum() == 49
    assert deciding_patches(patches, "sum", 256, 4.0).all()


def test_unknown_image_score():
    with pytest.raises(ParameterError, match="smoothed_max"):
        image_score(np.zeros((8, 8), np.float32), "median")


def test_the_cut_gaussian_of_btm():
    """methods.md, oracle 14: 15 taps of sigma 4; their effective standard deviation is 3.408 pixels."""
    flat = np.eye(1, 28, 14, dtype=np.float32).repeat(28, axis=0)
    sharp, soft = anomaly_map(flat, 28, 0), anomaly_map(flat, 28, 4.0, 15)
    np.testing.assert_allclose(sharp, flat, atol=1e-6)
    taps = soft[10, 14 - 7 : 14 + 8]
    assert not soft[10, : 14 - 7].any() and not soft[10, 14 + 8 :].any()
    assert taps[7] == pytest.approx(0.10612, abs=1e-5) and taps[0] == pytest.approx(0.02295, abs=1e-5)
    assert (taps * np.arange(-7, 8) ** 2).sum() ** 0.5 == pytest.approx(3.408, abs=1e-3)


@pytest.mark.parametrize("taps", [1, 5, 15])
def test_the_cut_gaussian_mirrors_the_border_without_its_edge(taps):
    patches = np.random.default_rng(2).normal(size=(32, 32)).astype(np.float32)
    kernel = np.exp(-0.5 * (np.arange(-(taps // 2), taps // 2 + 1) / 4) ** 2)
    kernel /= kernel.sum()
    big = anomaly_map(patches, 64, 0)
    expected = convolve1d(convolve1d(big.astype(float), kernel, 0, mode="mirror"), kernel, 1, mode="mirror")
    np.testing.assert_allclose(anomaly_map(patches, 64, 4.0, taps), expected, atol=1e-5)


@pytest.mark.parametrize("grid", [(32, 32), (16, 24)])
def test_map_against_torch_and_scipy(grid):
    torch = pytest.importorskip("torch")
    patches = np.random.default_rng(1).normal(size=grid).astype(np.float32)
    big = torch.nn.functional.interpolate(torch.from_numpy(patches)[None, None], size=(256, 256), mode="bilinear")
    expected = gaussian_filter(big[0, 0].numpy().astype(float), 4, mode="reflect")
    assert np.allclose(anomaly_map(patches, 256), expected, atol=1e-4)


def test_regions():
    map_ = np.zeros((64, 64), np.float32)
    map_[10:20, 30:40] = 2
    map_[50:52, 1:4] = 5
    worst, other = find_regions(map_, 1.0, 128, 64)
    assert worst.box == (2, 50, 8, 52) and worst.peak == 5 and worst.area == 12
    assert other.box == (60, 10, 80, 20) and other.area == 200
    assert find_regions(map_, 9.0, 64, 64) == ()


def test_at_size():
    assert at_size(np.ones((8, 8), np.float32), 30, 20).shape == (20, 30)
