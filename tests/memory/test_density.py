"""Local density of the bank (REB, eq. 2), within the bank and across images."""

from __future__ import annotations

import numpy as np
import pytest
from memory_references import as_kept, bank_of, clustered, line, squared_distances

from onlygood.errors import ParameterError
from onlygood.memory import ExactIndex, build_index, local_density
from onlygood.memory.density import (
    mean_distance,
    neighbours_in_other_groups,
    neighbours_without_self,
    without_rows,
)


def brute_force(vectors: np.ndarray, k: int, distance: str) -> np.ndarray:
    between = squared_distances(vectors, vectors)
    np.fill_diagonal(between, np.inf)
    nearest = np.sort(between, axis=1)[:, : min(k, len(vectors) - 1)]
    return (np.sqrt(nearest) if distance == "euclidean" else nearest).mean(axis=1)


@pytest.mark.parametrize(
    ("distance", "expected"), [("sqeuclidean", [5, 2.5, 6.5, 65]), ("euclidean", [2, 1.5, 2.5, 8])]
)
def test_four_points_on_a_line(distance: str, expected: list[float]) -> None:
    bank = bank_of(line(0, 1, 3, 10))
    np.testing.assert_allclose(local_density(bank, ExactIndex(bank.vectors), 2, distance=distance), expected)


@pytest.mark.parametrize(("positions", "first"), [((0, 0, 2), 0), ((0, 2, 5), 4), ((0, 0, 0, 7), 0)])
def test_a_duplicate_counts_as_a_neighbour_the_vector_itself_does_not(positions: tuple, first: float) -> None:
    bank = bank_of(line(*positions))
    assert local_density(bank, ExactIndex(bank.vectors), 1)[0] == first


@pytest.mark.parametrize("k", [1, 5, 45])
@pytest.mark.parametrize("distance", ["sqeuclidean", "euclidean"])
@pytest.mark.parametrize("kind", ["exact", "graph"])
def test_against_brute_force(rng: np.random.Generator, k: int, distance: str, kind: str) -> None:
    vectors = as_kept(clustered(rng, 700))
    vectors[100:130] = vectors[100]
    bank = bank_of(vectors)
    density = local_density(bank, build_index(vectors, kind), k, distance=distance)
    assert density.dtype == np.float32
    agree = np.isclose(density, brute_force(vectors, k, distance), rtol=1e-3, atol=1e-6)
    assert agree.all() if kind == "exact" else agree.mean() > 0.97


def test_more_than_one_block(rng: np.random.Generator) -> None:
    vectors = as_kept(rng.normal(size=(2100, 3)))
    density = local_density(bank_of(vectors), ExactIndex(vectors), 3)
    np.testing.assert_allclose(density, brute_force(vectors, 3, "sqeuclidean"), rtol=1e-3)


@pytest.mark.parametrize("distance", ["sqeuclidean", "euclidean"])
def test_counting_oneself_is_a_zero_among_the_k(rng: np.random.Generator, distance: str) -> None:
    vectors = as_kept(clustered(rng, 200))
    bank, index = bank_of(vectors), ExactIndex(vectors)
    with_self = local_density(bank, index, 5, distance=distance, self_in_k=True)
    np.testing.assert_allclose(with_self, local_density(bank, index, 4, distance=distance) * 0.8, rtol=1e-5)
    assert (local_density(bank, index, 1, self_in_k=True) == 0).all()


def test_fewer_other_vectors_than_k_are_averaged_over_those_there_are() -> None:
    bank = bank_of(line(0, 1, 3))
    np.testing.assert_allclose(local_density(bank, ExactIndex(bank.vectors), 9), [5, 2.5, 6.5])
    assert local_density(bank_of(line(4)), ExactIndex(line(4)), 3).tolist() == [0]


def test_bad_parameters() -> None:
    bank = bank_of(line(0, 1, 3))
    with pytest.raises(ParameterError, match="k=0"):
        local_density(bank, ExactIndex(bank.vectors), 0)
    with pytest.raises(ParameterError, match="cosine"):
        local_density(bank, ExactIndex(bank.vectors), 1, distance="cosine")


@pytest.mark.parametrize("kind", ["exact", "graph"])
def test_neighbours_of_other_images(rng: np.random.Generator, kind: str) -> None:
    vectors = as_kept(clustered(rng, 600))
    images = np.repeat(np.arange(20), 30)
    vectors[images == 3] = vectors[90]  # one image is all the same
    groups = np.arange(20) // 2  # twins count as one
    bank = bank_of(vectors, images)
    table = neighbours_in_other_groups(bank, build_index(vectors, kind), groups, 4, (5, 6), None)
    between = squared_distances(vectors, vectors)
    own = groups[images]
    between[own[:, None] == own[None]] = np.inf
    close = np.isclose(table.squared, np.sort(between, axis=1)[:, :4], rtol=1e-3, atol=1e-6)
    assert close.all() if kind == "exact" else close.mean() > 0.98
    assert (own[table.rows] != own[:, None]).all()
    np.testing.assert_allclose(np.take_along_axis(between, table.rows, 1), table.squared, rtol=1e-3, atol=1e-6)


def test_neighbours_of_other_images_in_a_coreset(rng: np.random.Generator) -> None:
    vectors, images = as_kept(clustered(rng, 300)), np.repeat(np.arange(10), 30)
    bank = bank_of(vectors, images)
    core = bank.subset(np.arange(0, 300, 7))
    table = neighbours_in_other_groups(bank, ExactIndex(core.vectors), np.arange(10), 2, (5, 6), None, indexed=core)
    between = squared_distances(vectors, core.vectors)
    between[images[:, None] == core.image_of[None]] = np.inf
    np.testing.assert_allclose(table.squared, np.sort(between, axis=1)[:, :2], rtol=1e-3, atol=1e-6)


def test_one_image_alone_has_no_neighbours_elsewhere() -> None:
    bank = bank_of(line(0, 1, 2))
    table = neighbours_in_other_groups(bank, ExactIndex(bank.vectors), np.zeros(1, int), 2, (1, 3), None)
    assert np.isinf(table.squared).all() and (table.rows == -1).all()
    assert mean_distance(table, 2).tolist() == [0, 0, 0]


def test_without_rows_is_the_neighbour_list_of_the_smaller_bank(rng: np.random.Generator) -> None:
    vectors, images = as_kept(clustered(rng, 240)), np.repeat(np.arange(8), 30)
    bank = bank_of(vectors, images)
    table = neighbours_without_self(bank, ExactIndex(vectors), 60, None)
    rows = np.array([40, 41, 200, 100])
    smaller = without_rows(table, rows, images == 5)
    between = squared_distances(vectors[rows], vectors)
    between[np.arange(4), rows] = np.inf
    between[:, images == 5] = np.inf
    np.testing.assert_allclose(smaller.squared[:, :20], np.sort(between, axis=1)[:, :20], rtol=1e-3, atol=1e-6)
    dropped = (images[table.rows[rows]] == 5).sum(axis=1)
    assert (np.isinf(smaller.squared).sum(axis=1) == dropped).all()
    assert ((smaller.rows == -1).sum(axis=1) == dropped).all()
    assert np.isfinite(table.squared).all()  # the whole table is left as it was


def test_the_kept_vectors_of_a_coreset_have_their_full_bank_density() -> None:
    bank = bank_of(line(0, 1, 3, 10))
    full = local_density(bank, ExactIndex(bank.vectors), 2)
    picks = np.array([0, 3])
    between = squared_distances(bank.subset(picks).vectors, bank.vectors)
    nearest = np.sort(between, axis=1)[:, 1:3]
    np.testing.assert_allclose(full[picks], nearest.mean(axis=1))
