"""Plane removal and clustering against scikit-learn and on made-up scans."""

from __future__ import annotations

import numpy as np
import pytest

from made_scans import RADIUS, made_scan
from onlygood.errors import DataError, MissingDependencyError
from onlygood.images import read_points
from onlygood.images.scan_foreground import fit_plane, foreground_of, largest_cluster


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("reach", "core"), [(0.15, 4), (0.3, 10), (0.08, 2)])
def test_largest_cluster_is_that_of_scikit_learn(seed: int, reach: float, core: int) -> None:
    from sklearn.cluster import DBSCAN

    rng = np.random.default_rng(seed)
    blobs = [rng.normal(rng.uniform(-1.5, 1.5, 3), 0.2, (n, 3)) for n in (120, 90, 60)]
    points = np.vstack([*blobs, rng.uniform(-2, 2, (60, 3))])
    found = largest_cluster(points, reach, core)
    known = DBSCAN(eps=reach, min_samples=core).fit(points)
    is_core = np.isin(np.arange(len(points)), known.core_sample_indices_)
    if not is_core.any():
        assert not found.any()
        return
    sizes = np.bincount(known.labels_[is_core])
    best = [label for label in range(len(sizes)) if sizes[label] == sizes.max()]
    cores = [is_core & (known.labels_ == label) for label in best]
    assert any(np.array_equal(found & is_core, one) for one in cores)
    # a point on the border of two clusters belongs to either
    squared = ((points[:, None] - points[found & is_core][None]) ** 2).sum(axis=2)
    np.testing.assert_array_equal(found, squared.min(axis=1) <= reach**2)


def test_a_plane_among_outliers() -> None:
    rng = np.random.default_rng(0)
    normal = np.array([1, 2, 5]) / 30**0.5
    flat = rng.uniform(-1, 1, (400, 3))
    flat += (0.7 - flat @ normal)[:, None] * normal + rng.normal(0, 1e-3, (400, 3))
    points = np.vstack([flat, rng.uniform((-1, -1, 0), (1, 1, 2), (150, 3))])
    found, offset = fit_plane(points, 0.004)
    sign = np.sign(found @ normal)
    np.testing.assert_allclose(sign * found, normal, atol=5e-3)
    assert sign * offset == pytest.approx(0.7, abs=5e-3)
    again = fit_plane(points, 0.004)
    assert np.array_equal(again[0], found) and again[1] == offset


def test_the_part_stands_out_of_its_table() -> None:
    made = made_scan(3, side=96)
    points = read_points(made.xyz, "part")
    mask = foreground_of(points, 0.003, "part")
    from_axis = np.hypot(points[..., 0], points[..., 1])
    seen = np.isfinite(points[..., 0])
    assert not mask[~seen].any() and not mask[seen & (from_axis > RADIUS)].any()
    assert mask[seen & (from_axis < 0.9 * RADIUS)].all()


def test_a_second_thing_on_the_table_is_left_out() -> None:
    points = read_points(made_scan(3, side=96).xyz, "part")
    points[6:14, 6:14, 2] -= 0.02
    mask = foreground_of(points, 0.003, "part")
    assert mask.any() and not mask[6:14, 6:14].any()


def test_without_a_table_the_part_is_kept() -> None:
    points = read_points(made_scan(3, side=96).xyz, "part")
    table = points[..., 2] > 0.297
    points[table] = np.nan
    assert foreground_of(points, 0.003, "part").sum() > 0.95 * np.isfinite(points[..., 0]).sum()


def test_a_bare_table_and_a_wrong_unit_are_named() -> None:
    points = read_points(made_scan(3, side=64).xyz, "the scan")
    for thickness in (0.1, 1e-7):
        with pytest.raises(DataError, match=r"the scan.*unit"):
            foreground_of(points, thickness, "the scan")


def test_without_scipy_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"onlygood\[3d\]"):
        foreground_of(np.ones((9, 9, 3), np.float32), 0.005, "part")
