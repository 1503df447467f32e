"""The fast greedy coreset makes the picks of the plain loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_references import clustered, line, squared_distances

from onlygood.errors import ParameterError
from onlygood.memory.coreset import coverage_radius, greedy_coreset, johnson_lindenstrauss


def plain_greedy(vectors: np.ndarray, count: int, start: int) -> list[int]:
    """Farthest-first traversal, as in a textbook."""
    between = np.sqrt(squared_distances(vectors, vectors))
    picks, nearest = [start], between[start].copy()
    while len(picks) < count:
        nearest[picks] = -1
        best = int(nearest.argmax())
        picks.append(best)
        nearest = np.minimum(nearest, between[best])
    return picks


def true_radius(vectors: np.ndarray, picks: np.ndarray) -> float:
    return float(np.sqrt(squared_distances(vectors, vectors[picks])).min(axis=1).max())


def test_on_a_line() -> None:
    assert sorted(greedy_coreset(line(0, 1, 10, 11), 2, start=0)) == [0, 3]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 120), st.integers(1, 10), st.sampled_from([1, 3, 17, 2048]))
def test_same_picks_as_the_plain_loop(seed: int, n: int, dim: int, candidates: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, dim)).astype(np.float32)
    count, start = int(rng.integers(1, n + 1)), int(rng.integers(n))
    picks = greedy_coreset(vectors, count, start=start, candidates=candidates)
    expected = plain_greedy(vectors, count, start)
    if picks.tolist() != expected:  # only where float32 cannot tell two distances apart
        step = next(i for i, (a, b) in enumerate(zip(picks, expected, strict=True)) if a != b)
        nearest = np.sqrt(squared_distances(vectors, vectors[expected[:step]])).min(axis=1)
        assert abs(nearest[picks[step]] - nearest[expected[step]]) < 1e-3


def test_same_picks_on_a_lattice_of_ties() -> None:
    grid = np.stack(np.meshgrid(np.arange(9.0), np.arange(9.0)), axis=-1).reshape(-1, 2).astype(np.float32)
    for candidates in (1, 5, 20, 81):
        picks = greedy_coreset(grid - 4, 40, start=0, candidates=candidates)
        assert picks.tolist() == plain_greedy(grid, 40, 0)


@pytest.mark.parametrize("projection", [None, 8])
@pytest.mark.parametrize("start", [None, 3])
def test_the_size_of_a_round_changes_nothing(
    rng: np.random.Generator, projection: int | None, start: int | None
) -> None:
    vectors = clustered(rng, 1500)
    picks = [
        greedy_coreset(vectors, 300, seed=4, start=start, projection=projection, candidates=size)
        for size in (40, 512, 5000)
    ]
    np.testing.assert_array_equal(picks[0], picks[2])
    np.testing.assert_array_equal(picks[1], picks[2])


def test_projected_search_covers_as_well_as_the_plain_loop_and_better_than_chance(rng: np.random.Generator) -> None:
    vectors = clustered(rng, 1500, dim=160)
    plain = true_radius(vectors, np.array(plain_greedy(vectors, 150, 0)))
    assert true_radius(vectors, greedy_coreset(vectors, 150, start=0, projection=None)) == pytest.approx(
        plain, rel=0.01
    )
    chance = np.mean([true_radius(vectors, rng.choice(1500, 150, replace=False)) for _ in range(5)])
    for start in (0, None):
        radius = true_radius(vectors, greedy_coreset(vectors, 150, start=start, projection=128))
        assert radius < 1.12 * plain
        assert radius < 0.8 * chance


def test_coverage_radius_is_the_largest_distance_to_a_pick(rng: np.random.Generator) -> None:
    vectors = clustered(rng, 700)
    picks = rng.choice(700, 50, replace=False)
    assert coverage_radius(vectors, picks) == pytest.approx(true_radius(vectors, picks), rel=1e-3)
    assert coverage_radius(vectors + 300, picks) == pytest.approx(true_radius(vectors, picks), rel=1e-2)


@pytest.mark.parametrize("proportion", [1.0, 0.5, 0.1, 0.01, 0.001])
@pytest.mark.parametrize("start", [None, 0])
def test_proportions_give_that_many_different_picks(
    rng: np.random.Generator, proportion: float, start: int | None
) -> None:
    vectors = clustered(rng, 2345)
    count = int(proportion * len(vectors))
    picks = greedy_coreset(vectors, count, start=start)
    assert picks.dtype == np.int64 and len(picks) == count == len(set(picks.tolist()))
    assert picks.min() >= 0 and picks.max() < 2345


def test_coverage_only_gets_better_with_more_picks(rng: np.random.Generator) -> None:
    vectors = clustered(rng, 900)
    picks = greedy_coreset(vectors, 200, start=0)
    radii = [true_radius(vectors, picks[:count]) for count in (1, 10, 50, 200)]
    assert radii == sorted(radii, reverse=True)


def test_duplicates_are_picked_once_each_and_last(rng: np.random.Generator) -> None:
    vectors = np.repeat(clustered(rng, 60), 40, axis=0)
    picks = greedy_coreset(vectors, len(vectors), start=5)
    assert sorted(picks.tolist()) == list(range(2400))
    assert len({int(pick) // 40 for pick in picks[:60]}) == 60
    assert len(set(greedy_coreset(np.ones((50, 3), np.float32), 20).tolist())) == 20


def test_far_from_the_origin_the_picks_are_the_same(rng: np.random.Generator) -> None:
    steps = rng.integers(-512, 512, (400, 6)).astype(np.float32) / 1024
    near = greedy_coreset(steps, 60, start=0)
    np.testing.assert_array_equal(greedy_coreset(steps + 4096, 60, start=0)[:40], near[:40])


def test_the_seed_decides(rng: np.random.Generator) -> None:
    vectors = clustered(rng, 500)
    first = greedy_coreset(vectors, 40, seed=1)
    np.testing.assert_array_equal(first, greedy_coreset(vectors, 40, seed=1))
    assert first.tolist() != greedy_coreset(vectors, 40, seed=2).tolist()


def test_progress_ends_at_the_count(rng: np.random.Generator) -> None:
    calls: list[tuple[str, int, int]] = []
    greedy_coreset(clustered(rng, 300), 50, report=lambda *call: calls.append(call))
    assert calls[-1] == ("coreset", 50, 50)


@pytest.mark.parametrize(("count", "start"), [(0, None), (11, None), (3, 10), (3, -1)])
def test_out_of_range(count: int, start: int | None) -> None:
    with pytest.raises(ParameterError):
        greedy_coreset(np.zeros((10, 2), np.float32), count, start=start)


@pytest.mark.parametrize(("count", "dimensions"), [(191_296, 300), (235_200, 305), (306_544, 311)])
def test_johnson_lindenstrauss_dimension(count: int, dimensions: int) -> None:
    """methods.md, oracle 15."""
    from sklearn.random_projection import johnson_lindenstrauss_min_dim

    assert johnson_lindenstrauss(count) == dimensions == johnson_lindenstrauss_min_dim(count, eps=0.9)
    assert johnson_lindenstrauss(count, 0.5) == johnson_lindenstrauss_min_dim(count, eps=0.5)
