"""The k-nearest-neighbour scores against worked examples, loops and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from memory_references import as_kept, bank_of, clustered, line, squared_distances

from onlygood.errors import ParameterError
from onlygood.memory import ExactIndex, local_density
from onlygood.memory.density import neighbours_without_self
from onlygood.memory.scores import (
    knn_score,
    kth_nn_score,
    ldknn_score,
    ldof_score,
    lof_density,
    lof_score,
    pairwise_distances,
    reweighted,
)

BANK = bank_of(line(0, 1, 3, 10))

# query, squared distance, allowed scores (a query between two bank vectors may take either)
TABLE = {
    ("sqeuclidean", "subtract"): {4: [-5.5], 0.5: [-4.75, -2.25], 6.5: [5.75, -52.75], 12: [-61]},
    ("euclidean", "subtract"): {4: [-1.5], 0.5: [-1.5, -1.0], 6.5: [1.0, -4.5], 12: [-6]},
    ("euclidean", "ratio"): {4: [0.4], 0.5: [0.25, 1 / 3], 6.5: [1.4, 0.4375], 12: [0.25]},
    ("sqeuclidean", "ratio"): {4: [1 / 6.5], 0.5: [0.05, 0.1], 6.5: [12.25 / 6.5, 12.25 / 65], 12: [4 / 65]},
}


def scored(query: float, alpha: float, distance: str, form: str) -> float:
    index = ExactIndex(BANK.vectors)
    density = local_density(BANK, index, 2, distance=distance)
    squared, rows = index.search(line(query), 1)
    return float(ldknn_score(squared[:, 0], density[rows[:, 0]], alpha, distance=distance, form=form)[0])


@pytest.mark.parametrize(("distance", "form"), TABLE)
@pytest.mark.parametrize("query", [4, 0.5, 6.5, 12])
def test_ldknn_on_a_line(distance: str, form: str, query: float) -> None:
    score = scored(query, 1.0, distance, form)
    assert any(score == pytest.approx(expected, rel=1e-5) for expected in TABLE[distance, form][query])


@pytest.mark.parametrize("form", ["subtract", "ratio"])
@pytest.mark.parametrize(("query", "squared"), [(4, 1), (0.5, 0.25), (6.5, 12.25), (12, 4)])
def test_ldknn_without_density_is_the_nearest_neighbour(form: str, query: float, squared: float) -> None:
    assert scored(query, 0.0, "sqeuclidean", form) == pytest.approx(squared)
    assert scored(query, 0.0, "euclidean", form) == pytest.approx(np.sqrt(squared))


def test_ldknn_alpha_scales_the_correction() -> None:
    assert scored(4, 0.5, "sqeuclidean", "subtract") == pytest.approx(1 - 3.25)
    assert scored(4, 2.0, "euclidean", "ratio") == pytest.approx(1 / 2.5**2)


def test_ldknn_ratio_stays_finite_among_duplicates() -> None:
    score = ldknn_score(np.array([0, 1e6], np.float32), np.zeros(2, np.float32), 1.0, form="ratio")
    assert score[0] == 0 and np.isfinite(score).all()


def test_unknown_forms_and_distances() -> None:
    one = np.ones(1, np.float32)
    with pytest.raises(ParameterError, match="subtract, ratio"):
        ldknn_score(one, one, form="log")
    with pytest.raises(ParameterError, match="sqeuclidean, euclidean"):
        knn_score(one[None], "cosine")


@pytest.fixture
def bank(rng: np.random.Generator) -> np.ndarray:
    return as_kept(clustered(rng, 400))


@pytest.fixture
def queries(rng: np.random.Generator) -> np.ndarray:
    return clustered(rng, 40) + np.float32(0.3)


@pytest.mark.parametrize("k", [1, 5, 9])
@pytest.mark.parametrize("distance", ["sqeuclidean", "euclidean"])
def test_knn_and_kth_against_loops(bank: np.ndarray, queries: np.ndarray, k: int, distance: str) -> None:
    squared, _ = ExactIndex(bank).search(queries, k)
    for number, query in enumerate(queries):
        nearest = sorted(float(((query - row) ** 2).sum()) for row in bank.astype(float))[:k]
        if distance == "euclidean":
            nearest = [value**0.5 for value in nearest]
        assert knn_score(squared, distance)[number] == pytest.approx(sum(nearest) / k, rel=1e-4)
        assert kth_nn_score(squared, distance)[number] == pytest.approx(nearest[-1], rel=1e-4)


@pytest.mark.parametrize("k", [3, 10])
def test_standard_lof_is_that_of_scikit_learn(bank: np.ndarray, queries: np.ndarray, k: int) -> None:
    neighbors = pytest.importorskip("sklearn.neighbors")
    index = ExactIndex(bank)
    own = neighbours_without_self(bank_of(bank), index, k, None)
    k_distance = np.sqrt(own.squared[:, -1])
    of_bank = lof_density(own.squared, k_distance[own.rows])
    squared, rows = index.search(queries, k)
    score = lof_score(lof_density(squared, k_distance[rows]), of_bank[rows])
    model = neighbors.LocalOutlierFactor(n_neighbors=k, novelty=True).fit(bank)
    np.testing.assert_allclose(score, -model.score_samples(queries), rtol=1e-3)


@pytest.mark.parametrize("k", [2, 7])
def test_lof_as_in_the_released_code_against_a_loop(bank: np.ndarray, queries: np.ndarray, k: int) -> None:
    # reachability is the own k-th squared distance; bank vectors have k - 1 neighbours beside themselves
    between = squared_distances(bank, bank)
    np.fill_diagonal(between, np.inf)
    index = ExactIndex(bank)
    own = neighbours_without_self(bank_of(bank), index, k - 1, None)
    squared, rows = index.search(queries, k)
    score = lof_score(lof_density(squared), lof_density(own.squared)[rows])
    for number, query in enumerate(queries):
        distances = ((query.astype(float) - bank) ** 2).sum(axis=1)
        nearest = np.argsort(distances)[:k]
        densities = [1 / np.sort(between[row])[k - 2] for row in nearest]
        expected = np.mean(densities) * distances[nearest[-1]]
        assert score[number] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("k", [2, 6])
def test_ldof_against_a_loop(bank: np.ndarray, queries: np.ndarray, k: int) -> None:
    squared, rows = ExactIndex(bank).search(queries, k)
    score = ldof_score(squared, pairwise_distances(bank[rows]))
    for number, query in enumerate(queries):
        distances = np.linalg.norm(query.astype(float) - bank, axis=1)
        nearest = bank[np.argsort(distances)[:k]].astype(float)
        inner = [np.linalg.norm(a - b) for i, a in enumerate(nearest) for j, b in enumerate(nearest) if i != j]
        assert score[number] == pytest.approx(np.sort(distances)[:k].mean() / np.mean(inner), rel=1e-3)


def test_ldof_needs_two_neighbours() -> None:
    with pytest.raises(ParameterError, match="at least 2"):
        ldof_score(np.ones((3, 1), np.float32), np.zeros((3, 1, 1), np.float32))


def test_duplicates_give_finite_scores() -> None:
    bank = np.zeros((20, 3), np.float32)
    index = ExactIndex(bank)
    own = neighbours_without_self(bank_of(bank), index, 4, None)
    squared, rows = index.search(np.array([[0, 0, 0], [1, 0, 0]], np.float32), 4)
    lof = lof_score(lof_density(squared), lof_density(own.squared)[rows])
    ldof = ldof_score(squared, pairwise_distances(bank[rows]))
    for score in (lof, ldof):
        assert np.isfinite(score).all() and score[1] > score[0]


# PatchCore's re-weighting, methods.md, oracle 5: m* is (1, 0), s* is 2
CORE = np.array([[0, 0], [1, 0], [0, 2], [5, 5]], float)
HIGHEST = np.array([3.0, 0.0])


def around(b: int, own: bool) -> np.ndarray:
    """Distances of the patch to the b bank vectors nearest to m*, with m* itself among them or left out."""
    nearest = CORE[np.argmin(((CORE - HIGHEST) ** 2).sum(axis=1))]
    order = np.argsort(((CORE - nearest) ** 2).sum(axis=1))[:b]
    return np.linalg.norm(CORE[order if own else order[1:]] - HIGHEST, axis=1)[None].astype(np.float32)


@pytest.mark.parametrize(
    ("b", "own", "scale", "expected"),
    [(1, True, 1, 0.0), (2, True, 1, 1.46212), (3, True, 1, 1.77009), (3, False, 2**0.5, 1.61091)],
)
def test_reweighting_of_the_highest_patch(b: int, own: bool, scale: float, expected: float) -> None:
    score = reweighted(np.array([2], np.float32), around(b, own), scale)
    assert score.dtype == np.float32
    assert score[0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_reweighting_as_it_is_written(seed: int) -> None:
    distances = np.sort(np.random.default_rng(seed).uniform(0.1, 4, (20, 6)), axis=1).astype(np.float32)
    expected = (1 - np.exp(distances[:, 0]) / np.exp(distances).sum(axis=1)) * distances[:, 0]
    np.testing.assert_allclose(reweighted(distances[:, 0], distances), expected, rtol=1e-5)
    assert (reweighted(distances[:, 0], distances) >= (1 - 1 / 6 - 1e-6) * distances[:, 0]).all()


def test_reweighting_stays_finite_and_passes_over_what_is_not_there() -> None:
    nearest = np.array([5, 5, 5, 3000], np.float32)
    near = np.array([[7, np.inf], [7, 6], [np.inf, np.inf], [4000, 5000]], np.float32)
    found = reweighted(nearest, near)
    expected = [5 * (1 - np.exp(-2)), 5 * (1 - 1 / (np.exp(2) + np.exp(1))), 5, 3000]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
