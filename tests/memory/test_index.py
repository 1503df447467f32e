"""Both indexes give the true nearest neighbours: the exact one always, the graph nearly always."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_references import as_kept, clustered, squared_distances

from onlygood.errors import ModelFileError, ParameterError
from onlygood.memory import ExactIndex, GraphIndex, NeighbourIndex, build_index, scouts_of
from onlygood.memory import graph as graph_module
from onlygood.memory.bank import halved
from onlygood.memory.graph import GRAPH_FROM
from onlygood.memory.torch_index import TorchIndex


def check_against_brute_force(
    index: NeighbourIndex, bank: np.ndarray, queries: np.ndarray, k: int, allowed: np.ndarray | None = None
) -> None:
    """Right distances in ascending order, and rows that have them: equal ones in any order."""
    squared, rows = index.search(queries, k, allowed)
    assert squared.shape == rows.shape == (len(queries), k)
    assert squared.dtype == np.float32 and rows.dtype == np.int64
    truth = squared_distances(queries, bank)
    if allowed is not None:
        truth[:, ~allowed] = np.inf
    there = min(k, int(np.isfinite(truth[0]).sum()) if len(queries) else 0)
    np.testing.assert_allclose(squared[:, :there], np.sort(truth, axis=1)[:, :there], rtol=1e-4, atol=1e-9)
    assert np.isinf(squared[:, there:]).all() and (rows[:, there:] == -1).all()
    found = np.take_along_axis(truth, rows[:, :there], 1)
    np.testing.assert_allclose(found, squared[:, :there], rtol=1e-4, atol=1e-9)
    assert all(len(set(row[:there])) == there for row in rows.tolist())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 90), st.integers(1, 12), st.integers(1, 100), st.booleans())
def test_exact_search_is_brute_force(seed: int, n: int, dim: int, k: int, masked: bool) -> None:
    rng = np.random.default_rng(seed)
    bank = rng.normal(size=(n, dim)).astype(np.float32)
    queries = rng.normal(size=(7, dim)).astype(np.float32)
    allowed = rng.random(n) < 0.5 if masked else None
    for index in (ExactIndex(bank), TorchIndex(bank, "cpu", tile=(64, 3))):
        check_against_brute_force(index, bank, queries, k, allowed)


def test_exact_search_agrees_with_scikit_learn(rng: np.random.Generator) -> None:
    neighbors = pytest.importorskip("sklearn.neighbors")
    bank, queries = clustered(rng, 3000), clustered(rng, 2500)
    squared, rows = ExactIndex(bank).search(queries, 6)
    model = neighbors.NearestNeighbors(n_neighbors=6, algorithm="kd_tree").fit(bank)
    distances, expected = model.kneighbors(queries)
    np.testing.assert_allclose(np.sqrt(squared), distances, rtol=1e-4, atol=1e-6)
    assert (rows == expected).mean() > 0.999


@pytest.mark.parametrize("kind", ["exact", "graph"])
def test_small_banks_duplicates_and_bans(rng: np.random.Generator, kind: str) -> None:
    bank = as_kept(rng.normal(size=(12, 4)))
    bank[3:9] = bank[3]
    queries = np.concatenate([bank[3:4], rng.normal(size=(3, 4)).astype(np.float32)])
    index = build_index(bank, kind)
    assert index.kind == kind and len(index) == 12
    for k in (1, 5, 12, 20):
        check_against_brute_force(index, bank, queries, k)
        for allowed in (np.arange(12) < 5, np.arange(12) == 4, np.zeros(12, bool), np.ones(12, bool)):
            check_against_brute_force(index, bank, queries, k, allowed)


@pytest.mark.parametrize("kind", ["exact", "graph"])
def test_no_queries(rng: np.random.Generator, kind: str) -> None:
    squared, rows = build_index(rng.random((9, 4), np.float32), kind).search(np.empty((0, 4), np.float32), 3)
    assert squared.shape == rows.shape == (0, 3)


def test_tiny_distances_far_from_the_origin(rng: np.random.Generator) -> None:
    # |v|^2 is 16 million, the distances a hundred thousandth: the product form alone loses them all
    bank = (1000 + 1e-3 * rng.normal(size=(2000, 16))).astype(np.float32)
    for index in (ExactIndex(bank), TorchIndex(bank, "cpu")):
        check_against_brute_force(index, bank, bank[:60], 8)


def test_own_distance_is_exactly_zero(rng: np.random.Generator) -> None:
    bank = as_kept(clustered(rng, 800) * 50)
    for index in (ExactIndex(bank), GraphIndex(bank)):
        squared, _ = index.search(bank, 1)
        assert (squared == 0).mean() > 0.99


@pytest.fixture(scope="module")
def large() -> tuple[np.ndarray, np.ndarray, GraphIndex, ExactIndex]:
    rng = np.random.default_rng(5)
    everything = as_kept(clustered(rng, 8600))
    bank, queries = everything[:8000].copy(), everything[8000:]
    return bank, queries, GraphIndex(bank), ExactIndex(bank)


def recall(found: np.ndarray, truth: np.ndarray) -> float:
    """Share of the true neighbours that were found."""
    there = truth >= 0
    hits = sum(len(set(a[b >= 0]) & set(b[b >= 0])) for a, b in zip(found, truth, strict=True))
    return float(hits / there.sum())


@pytest.mark.parametrize("k", [1, 9, 46])
@pytest.mark.parametrize("mask", ["all", "without one image", "half", "a tenth", "an image", "three"])
def test_graph_recall(large: tuple, k: int, mask: str) -> None:
    bank, queries, graph, exact = large
    number = np.arange(len(bank))
    allowed = {
        "all": None,
        "without one image": number >= 200,
        "half": number % 2 == 0,
        "a tenth": number % 10 == 3,
        "an image": number < 200,
        "three": number < 3,
    }[mask]
    queries = np.concatenate([bank[:100], queries])  # the left-out image's own patches, too
    squared, rows = graph.search(queries, k, allowed)
    expected, truth = exact.search(queries, k, allowed)
    assert recall(rows, truth) >= 0.98
    assert (squared[:, 0] <= expected[:, 0] * 1.0001).mean() >= 0.98
    if allowed is not None:
        assert allowed[rows[rows >= 0]].all()


def test_graph_recall_where_most_vectors_are_equal(rng: np.random.Generator) -> None:
    # a black background: thousands of patches that are the same to the last bit
    bank = as_kept(clustered(rng, 6000))
    bank[rng.permutation(6000)[:4000]] = bank[0]
    queries = as_kept(clustered(rng, 200))
    graph, exact = GraphIndex(bank), ExactIndex(bank)
    assert np.isclose(graph.search(queries, 1)[0], exact.search(queries, 1)[0], rtol=1e-4).mean() >= 0.98
    for allowed in (None, np.arange(6000) % 3 > 0):
        squared, rows = graph.search(bank[:50], 30, allowed)
        expected, _ = exact.search(bank[:50], 30, allowed)
        assert np.isclose(squared, expected, rtol=1e-3, atol=1e-9).mean() > 0.98
        assert all(len(set(row)) == 30 for row in rows.tolist())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 3))
def test_equal_vectors_share_a_node_in_order_of_first_appearance(seed: int, n: int, dim: int) -> None:
    bank = np.random.default_rng(seed).integers(-2, 3, (n, dim)).astype(np.float16)
    numbers: dict[bytes, int] = {}
    expected = [numbers.setdefault(row.tobytes(), len(numbers)) for row in bank]
    node_of = GraphIndex(bank).node_of
    assert (list(range(n)) if node_of is None else node_of.tolist()) == expected


def test_two_graphs_of_one_bank_are_equal(large: tuple) -> None:
    bank, queries, graph, _ = large
    again = GraphIndex(bank)
    np.testing.assert_array_equal(again.to_bytes(), graph.to_bytes())
    for mine, other in zip(again.search(queries, 5), graph.search(queries, 5), strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("duplicates", [False, True])
def test_graph_to_bytes_and_back_is_bit_equal(rng: np.random.Generator, duplicates: bool) -> None:
    bank, queries = as_kept(clustered(rng, 2000)), clustered(rng, 100)
    if duplicates:
        bank[500:900] = bank[3]
    graph = GraphIndex(bank)
    assert (graph.node_of is not None) == duplicates
    back = GraphIndex.from_bytes(graph.to_bytes(), graph.node_of)
    allowed = np.arange(2000) % 7 > 0
    for choice in (None, allowed):
        for mine, other in zip(back.search(queries, 4, choice), graph.search(queries, 4, choice), strict=True):
            np.testing.assert_array_equal(mine, other)
    np.testing.assert_array_equal(back.to_bytes(), graph.to_bytes())
    for one in (graph, back):
        assert one.vectors.dtype == np.float16
        np.testing.assert_array_equal(one.vectors, bank)


def test_vectors_outlive_their_graph(rng: np.random.Generator) -> None:
    bank = as_kept(clustered(rng, 2000))
    views = [GraphIndex(bank).vectors, GraphIndex.from_bytes(GraphIndex(bank).to_bytes()).vectors]
    gc.collect()
    GraphIndex(bank + 1)  # would take the memory, were it free
    for view in views:
        np.testing.assert_array_equal(view, bank)
        assert not view.flags.writeable


def test_damaged_graphs_are_refused(rng: np.random.Generator) -> None:
    bank = clustered(rng, 300)
    bank[7] = bank[8]
    graph = GraphIndex(bank)
    data = graph.to_bytes()
    assert graph.node_of is not None
    with pytest.raises(ModelFileError, match="cannot be read"):
        GraphIndex.from_bytes(data[:200])
    for wrong in (graph.node_of + 1, graph.node_of[:-5], np.empty(0, np.int32)):
        with pytest.raises(ModelFileError, match="rows name others"):
            GraphIndex.from_bytes(data, wrong)


def test_the_graph_rounds_to_half_precision(rng: np.random.Generator) -> None:
    bank = clustered(rng, 500)
    bank[3, 0] = 1e6
    kept = GraphIndex(bank).vectors
    np.testing.assert_array_equal(kept, halved(bank))
    assert kept[3, 0] == 65504
    np.testing.assert_allclose(kept[4:], bank[4:], rtol=1e-3, atol=1e-7)


def test_auto_takes_the_graph_for_large_banks(rng: np.random.Generator) -> None:
    vectors = rng.random((GRAPH_FROM, 2), np.float32)
    assert build_index(vectors).kind == "graph"
    assert build_index(vectors[:-1]).kind == "exact"
    with pytest.raises(ParameterError, match="auto, exact, graph"):
        build_index(vectors, "tree")


def test_a_gpu_that_is_not_there_changes_nothing(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = rng.random((GRAPH_FROM, 2), np.float32)
    monkeypatch.setattr(graph_module, "torch_has_cuda", lambda: False)
    assert build_index(vectors, "auto", device="cuda").kind == "graph"
    assert type(build_index(vectors, "exact", device="cuda")) is ExactIndex


def test_a_gpu_searches_exactly(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = rng.random((GRAPH_FROM, 2), np.float32)
    monkeypatch.setattr(graph_module, "torch_has_cuda", lambda: True)
    monkeypatch.setattr(graph_module, "TorchIndex", lambda vectors, device: TorchIndex(vectors, "cpu"))
    assert type(build_index(vectors, "auto", device="cuda")) is TorchIndex
    assert type(build_index(vectors, "graph", device="cuda")) is GraphIndex


@pytest.mark.parametrize("kind", ["exact", "graph"])
def test_no_neighbour_asked_for(rng: np.random.Generator, kind: str) -> None:
    with pytest.raises(ParameterError, match="k=0"):
        build_index(rng.random((9, 4), np.float32), kind).search(np.zeros((1, 4), np.float32), 0)


@pytest.fixture(scope="module")
def searched() -> tuple[GraphIndex, np.ndarray]:
    rng = np.random.default_rng(3)
    return GraphIndex(rng.standard_normal((4000, 12))), rng.standard_normal((100, 12)).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(share=st.floats(0, 1), seed=st.integers(0, 9))
def test_the_second_look_goes_where_it_is_sent(searched, share: float, seed: int) -> None:
    index, queries = searched
    chosen = np.random.default_rng(seed).random(len(queries)) < share
    glance = index.look_twice(queries, 2, scouts_of((10, 10)), lambda *found: np.zeros(len(queries), bool))
    squared, rows = index.look_twice(queries, 2, scouts_of((10, 10)), lambda *found: chosen)
    assert np.array_equal(squared[~chosen], glance[0][~chosen]) and np.array_equal(rows[~chosen], glance[1][~chosen])
    np.testing.assert_allclose(squared[chosen], ExactIndex(index.vectors).search(queries[chosen], 2)[0], rtol=1e-3)
    between = np.stack([squared_distances(queries, index.vectors.astype(np.float32))[i, rows[i]] for i in range(100)])
    np.testing.assert_allclose(squared, between, rtol=1e-3)


def test_the_second_look_goes_on_until_nothing_changes(searched) -> None:
    """Of the farthest query only the true distance counts, whichever looked farthest at first."""
    index, queries = searched
    asked = []

    def farthest(squared, rows):
        asked.append(int(squared[:, 0].argmax()))
        return np.arange(len(squared)) == asked[-1]

    squared, _ = index.look_twice(queries, 1, scouts_of((10, 10)), farthest)
    assert asked[-1] in asked[:-1] and len(set(asked)) == len(asked) - 1
    assert np.isclose(squared.max(), ExactIndex(index.vectors).search(queries, 1)[0].max(), rtol=1e-3)


@pytest.fixture(scope="module")
def islands() -> tuple[GraphIndex, np.ndarray]:
    """A bank of far-apart heaps, and an image whose patches lie outside of all, neighbours near each other."""
    rng = np.random.default_rng(11)
    heaps = rng.standard_normal((150, 24)) * 6
    bank = as_kept(np.repeat(heaps, 60, axis=0) + 0.3 * rng.standard_normal((9000, 24)))
    corners = heaps[rng.permutation(150)[:4]] * 1.3
    across = np.linspace(0, 1, 24)
    weights = np.stack([np.outer(a, b).ravel() for a in (across, 1 - across) for b in (across, 1 - across)], axis=1)
    return GraphIndex(bank), as_kept(weights @ corners + 0.5 * rng.standard_normal((576, 24)))


@pytest.mark.parametrize("masked", [False, True])
def test_patches_far_from_the_bank_find_it_with_the_help_of_their_neighbours(islands: tuple, masked: bool) -> None:
    index, queries = islands
    allowed = np.arange(9000) % 5 > 0 if masked else None
    truth = ExactIndex(index.vectors).search(queries, 1, allowed)[0][:, 0]
    alone = index.search(queries, 1, allowed)[0][:, 0] / truth
    together = index.search(queries, 1, allowed, scouts_of((24, 24)))[0][:, 0] / truth
    assert together.mean() < 1 + (alone.mean() - 1) / 2
    assert (together >= 0.999).all()
    if not masked:
        everywhere = index.look_twice(queries, 1, scouts_of((24, 24)), lambda *found: np.ones(576, bool))
        twice = everywhere[0][:, 0] / truth
        assert twice.mean() <= together.mean() and (twice < 1.001).mean() > 0.95


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 7), st.integers(1, 7), st.integers(1, 5), st.booleans())
def test_scouts_change_nothing_that_must_hold(seed: int, h: int, w: int, k: int, masked: bool) -> None:
    """Whatever their number, and in banks of very few vectors."""
    rng = np.random.default_rng(seed)
    bank = as_kept(rng.normal(size=(int(rng.integers(1, 60)), 3)))
    queries = rng.normal(size=(h * w, 3)).astype(np.float32)
    allowed = rng.random(len(bank)) < 0.5 if masked else None
    index = GraphIndex(bank)
    squared, rows = index.search(queries, k, allowed, scouts_of((h, w)))
    between = squared_distances(queries, bank)
    if allowed is not None:
        between[:, ~allowed] = np.inf
    np.testing.assert_allclose(
        squared, np.pad(np.sort(between, axis=1), ((0, 0), (0, k)), constant_values=np.inf)[:, :k], rtol=1e-3
    )
    assert ((rows >= 0) == np.isfinite(squared)).all()


def test_scouts_are_spread() -> None:
    assert scouts_of((3, 4)).reshape(3, 4).tolist() == [[True, False] * 2, [False] * 4, [True, False] * 2]
    assert scouts_of((1, 1)).tolist() == [True]
    assert scouts_of((1, 3), images=2).tolist() == [True, False, True] * 2
