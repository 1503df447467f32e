"""Gaussians of patch positions against SciPy, and leaving out against fitting again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onlygood.memory.positions import PositionGaussians, fit_positions

distance = pytest.importorskip("scipy.spatial.distance")


def covariance(x: np.ndarray, eps: float) -> np.ndarray:
    """Sample covariance plus eps; of a single vector only eps."""
    sample = np.cov(x, rowvar=False).reshape(x.shape[1], -1) if len(x) > 1 else 0
    return sample + eps * np.eye(x.shape[1])


def mahalanobis(query: np.ndarray, x: np.ndarray, eps: float) -> float:
    return distance.mahalanobis(query, x.mean(axis=0), np.linalg.inv(covariance(x, eps)))


@pytest.mark.parametrize(("n", "d"), [(40, 6), (9, 20), (2, 5), (30, 1)])
def test_distances_are_scipys(rng, n, d):
    vectors = (rng.normal(size=(n, 5, d)) * rng.gamma(1, 2, (5, d))).astype(np.float32)
    queries = rng.normal(size=(5, d)).astype(np.float32) * 3
    found = fit_positions(vectors, 0.01, np.arange(n))[0].distances(queries)
    expected = [mahalanobis(queries[p], vectors[:, p].astype(float), 0.01) for p in range(5)]
    np.testing.assert_allclose(found, expected, rtol=2e-5)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 6), min_size=2, max_size=16),
    st.integers(1, 12),
    st.sampled_from([1e-4, 0.01, 1.0]),
    st.integers(0, 10**6),
)
def test_leaving_a_group_out_equals_fitting_without_it(groups, d, eps, seed):
    groups = np.array(groups)
    vectors = np.random.default_rng(seed).normal(size=(len(groups), 3, d)).astype(np.float32)
    _, left_out = fit_positions(vectors, eps, groups)
    if len(np.unique(groups)) == 1:
        assert left_out.shape == (0, 3)
        return
    for image, group in enumerate(groups):
        for p in range(3):
            rest = vectors[groups != group, p].astype(float)
            assert left_out[image, p] == pytest.approx(mahalanobis(vectors[image, p], rest, eps), rel=1e-4, abs=1e-4)


def test_copies_left_out_together(rng):
    vectors = rng.normal(size=(6, 2, 4)).astype(np.float32)
    vectors[1] = vectors[0]
    _, left_out = fit_positions(vectors, 0.01, np.array([0, 0, 1, 2, 3, 4]))
    expected = mahalanobis(vectors[0, 0], vectors[2:, 0].astype(float), 0.01)
    assert left_out[:2, 0] == pytest.approx(expected, rel=1e-5)


def test_a_single_image_measures_plain_distance(rng):
    vectors = rng.normal(size=(1, 3, 4)).astype(np.float32)
    gaussians, left_out = fit_positions(vectors, 0.25, np.zeros(1, int))
    assert left_out.shape == (0, 3)
    np.testing.assert_allclose(gaussians.distances(vectors[0] + 1), np.full(3, 4.0), rtol=1e-5)


def test_packing_loses_nothing(rng):
    gaussians, _ = fit_positions(rng.normal(size=(9, 4, 7)).astype(np.float32), 0.01, np.arange(9))
    again = PositionGaussians.unpacked(gaussians.mean, gaussians.packed())
    assert gaussians.packed().shape == (4, 28)
    assert np.array_equal(again.whitening, gaussians.whitening) and np.array_equal(again.mean, gaussians.mean)
