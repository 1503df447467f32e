"""From scans to patch features: pooling, missing points, units."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from made_scans import made_scan
from onlygood.errors import DataError
from onlygood.features.geometry import Geometry, side_seen
from onlygood.features.pooling import mean_and_pool_matrix
from onlygood.images import read_points

SMALL = Geometry(neighbours=20, normal_neighbours=10)


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    return read_points(made_scan(3, side=32).xyz, "part")


def pooled(maps: np.ndarray, grid: int, padded: bool) -> np.ndarray:
    rows, columns = (mean_and_pool_matrix(n, grid, padded) for n in maps.shape)
    return rows @ maps @ columns.T


def test_a_constant_map_stays_constant_inside() -> None:
    """methods.md, oracle 12."""
    whole = pooled(np.full((16, 16), 5.0, np.float32), 16, padded=True)
    np.testing.assert_allclose(whole[1:-1, 1:-1], 5, rtol=1e-6)
    assert whole[0, 0] == pytest.approx(5 * 4 / 9)
    assert whole[0, 5] == pytest.approx(5 * 6 / 9)
    np.testing.assert_allclose(pooled(np.full((16, 16), 5.0, np.float32), 16, padded=False), 5, rtol=1e-6)


@pytest.mark.parametrize(
    ("side", "grid", "padded"), [(224, 28, True), (224, 28, False), (28, 28, False), (30, 7, True)]
)
def test_pooling_is_torchs(rng: np.random.Generator, side: int, grid: int, padded: bool) -> None:
    torch = pytest.importorskip("torch")
    values = rng.normal(size=(side, side)).astype(np.float32)
    means = torch.nn.functional.avg_pool2d(torch.from_numpy(values)[None, None], 3, 1, int(padded))
    expected = torch.nn.functional.adaptive_avg_pool2d(means, grid)[0, 0].numpy()
    np.testing.assert_allclose(pooled(values, grid, padded), expected, atol=1e-5)


def test_patches_are_the_pooled_features_of_the_points(points: np.ndarray) -> None:
    features = SMALL.of_points(points, "part")
    assert features.shape == (32, 32, 33) and features.dtype == np.float32
    missing = np.isnan(points).any(axis=2)
    assert missing.any() and not features[missing].any()
    np.testing.assert_allclose(features[~missing].sum(axis=1), 600, rtol=1e-5)
    patches = SMALL.patches(points, (4, 4), "part")
    assert patches.shape == (4, 4, 33)
    for channel in (0, 16, 27):
        np.testing.assert_allclose(patches[..., channel], pooled(features[..., channel], 4, True), atol=1e-3)


def test_without_a_radius_the_unit_does_not_matter(points: np.ndarray) -> None:
    metres, millimetres = (SMALL.patches(scale * points, (4, 4), "part") for scale in (1, 1024))
    np.testing.assert_allclose(millimetres, metres, atol=0.1)


def test_turning_part_and_sensor_together_changes_nothing(points: np.ndarray) -> None:
    turn = Rotation.random(None, 5).as_matrix()
    turned = (points.astype(np.float64) @ turn.T + [0.2, -0.1, 0.5]).astype(np.float32)
    before, after = (SMALL.patches(one, (4, 4), "part") for one in (points, turned))
    assert np.abs(before - after).max() < 2  # of values to 200; float32 coordinates move a pair over an edge


def test_a_radius_in_another_unit_is_named(points: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"No point of part has another within radius=1e-06"):
        Geometry(radius=1e-6).patches(points, (4, 4), "part")


def test_the_side_seen_is_the_same_wherever_the_scan_stands(points: np.ndarray) -> None:
    turn = Rotation.random(None, 1).as_matrix()
    np.testing.assert_allclose(side_seen(points @ turn.T + 5), turn @ side_seen(points), atol=1e-4)
    np.testing.assert_allclose(np.abs(side_seen(points)), [0, 0, 1], atol=0.05)


def test_hardly_any_points_give_zeros() -> None:
    few = np.full((16, 16, 3), np.nan, np.float32)
    few[3, 4] = [0.1, 0.2, 0.3]
    assert not SMALL.patches(few, (2, 2), "part").any()
    few[8, 8] = [0.1, 0.2, 0.4]
    assert np.isfinite(SMALL.patches(few, (2, 2), "part")).all()
