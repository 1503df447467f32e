"""Principal components against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

from onlygood.memory.subspace import fit_subspace

decomposition = pytest.importorskip("sklearn.decomposition")
stats = pytest.importorskip("scipy.stats")


def low_rank(rng: np.random.Generator, n: int, width: int) -> np.ndarray:
    """Vectors whose variance falls off, far from the origin."""
    scales = 10 / (1 + np.arange(width))
    basis = np.linalg.qr(rng.normal(size=(width, width)))[0]
    return ((rng.normal(size=(n, width)) * scales) @ basis + 30).astype(np.float32)


@pytest.mark.parametrize("shape", [(40, 12), (12, 40), (20, 300)])
@pytest.mark.parametrize("components", [0.5, 0.9, 0.97, 3])
def test_residual_and_coordinates_are_scikit_learns(rng, shape, components):
    train, queries = low_rank(rng, *shape), low_rank(rng, 5, shape[1])
    pca = decomposition.PCA(components, svd_solver="full").fit(train.astype(float))
    found = fit_subspace(train, components)
    assert len(found.axes) == pca.n_components_
    z = pca.transform(queries.astype(float))
    expected = queries - pca.inverse_transform(z)
    np.testing.assert_allclose(found.residual(queries), expected, atol=1e-4)
    np.testing.assert_allclose(np.abs(found.coordinates(queries)), np.abs(z), atol=1e-4)
    np.testing.assert_allclose(found.variances * shape[0] / (shape[0] - 1), pca.explained_variance_, rtol=1e-6)


def test_likelihood_is_scipys(rng):
    train, queries = low_rank(rng, 30, 12), low_rank(rng, 5, 12)
    found = fit_subspace(train, 4)
    z = found.coordinates(np.concatenate([train, queries])).astype(float)
    normal = stats.multivariate_normal(z[:30].mean(axis=0), np.cov(z[:30], rowvar=False, bias=True))
    expected = -2 * normal.logpdf(z[30:]) - 4 * np.log(2 * np.pi)
    np.testing.assert_allclose(found.neg_log_likelihood(queries), expected, rtol=1e-4)


def test_no_more_components_than_the_vectors_span(rng):
    train = low_rank(rng, 6, 50)
    found = fit_subspace(train, 100)
    assert len(found.axes) == 5
    np.testing.assert_allclose(found.residual(train), 0, atol=1e-4)


def test_equal_vectors_span_nothing(rng):
    train = np.repeat(low_rank(rng, 1, 9), 4, axis=0)
    found = fit_subspace(train, 0.97)
    assert found.axes.shape == (0, 9)
    np.testing.assert_allclose(found.residual(train + 1), 1, atol=1e-5)
    assert (found.neg_log_likelihood(train) == 0).all()
