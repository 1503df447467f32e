from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from onlygood.errors import ParameterError
from onlygood.methods.anomaly_map import anomaly_map, at_size, find_regions, image_score


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


def test_unknown_image_score():
    with pytest.raises(ParameterError, match="smoothed_max"):
        image_score(np.zeros((8, 8), np.float32), "median")


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
