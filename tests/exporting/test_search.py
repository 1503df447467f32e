"""Neighbours found inside the graph, against brute force in float64."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from onlygood.exporting import search
from onlygood.exporting.nodes import Nodes
from onlygood.memory.bank import halved


def neighbours(queries: np.ndarray, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    to = Nodes("test/")
    bank = to.constant(vectors)
    found = search.nearest(to, search.rounded(to, "queries", vectors.dtype), bank, vectors, k, len(queries))
    to.named("squared", found[0])
    to.named("rows", found[1])
    shape = list(queries.shape)
    graph = helper.make_graph(
        to.nodes,
        "test",
        [helper.make_tensor_value_info("queries", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info("squared", TensorProto.FLOAT, [shape[0], k]),
            helper.make_tensor_value_info("rows", TensorProto.INT64, [shape[0], k]),
        ],
        to.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return tuple(onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"queries": queries}))


def brute(queries: np.ndarray, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    squared = ((queries[:, None].astype(np.float64) - vectors[None].astype(np.float64)) ** 2).sum(-1)
    rows = np.argsort(squared, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(squared, rows, 1), rows


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("block", [None, 7])
def test_neighbours_are_the_true_ones(rng, monkeypatch, dtype, k, block) -> None:
    if block:
        monkeypatch.setattr(search, "BLOCK", block * 40)
    vectors = rng.normal(size=(100, 12)).astype(dtype)
    queries = rng.normal(size=(40, 12)).astype(np.float32)
    squared, rows = neighbours(queries, vectors, k)
    seen = halved(queries) if dtype == np.float16 else queries
    expected, expected_rows = brute(seen, vectors, k)
    assert np.array_equal(rows, expected_rows)
    np.testing.assert_allclose(squared, expected, rtol=1e-5)


def test_no_digits_are_lost_far_from_the_origin(rng) -> None:
    """Points a thousandth apart, ten thousand away from the origin."""
    vectors = (1e4 + rng.normal(size=(200, 8)) * 1e-1).astype(np.float32)
    queries = (vectors[:50] + rng.normal(size=(50, 8)).astype(np.float32) * np.float32(1e-2)).astype(np.float32)
    squared, rows = neighbours(queries, vectors, 3)
    expected, expected_rows = brute(queries, vectors, 3)
    assert np.array_equal(rows[:, 0], expected_rows[:, 0])
    np.testing.assert_allclose(squared, expected, rtol=1e-4)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 12), st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**16))
def test_small_banks_with_equal_vectors(count: int, width: int, k: int, seed: int) -> None:
    """Whole numbers, so that distances are exact and ties abound; equal ones come in order of rows."""
    rng = np.random.default_rng(seed)
    vectors = rng.integers(0, 3, (count, width)).astype(np.float16)
    queries = rng.integers(0, 3, (6, width)).astype(np.float32)
    k = min(k, count)
    squared, rows = neighbours(queries, vectors, k)
    expected, _ = brute(queries, vectors, k)
    assert np.array_equal(squared, expected)
    taken = ((queries[:, None] - vectors[rows].astype(np.float32)) ** 2).sum(-1)
    assert np.array_equal(taken, expected)  # each row has the distance named
    assert all(len(set(row)) == k for row in rows)
    ties = np.diff(squared, axis=1) == 0
    assert (np.diff(rows, axis=1)[ties] > 0).all()


def test_queries_beyond_half_precision_are_cut_off_like_the_bank() -> None:
    vectors = halved(np.array([[1e6, 0], [-1e6, 0], [3, 4]], np.float32))
    squared, rows = neighbours(np.array([[2e5, 0], [0, 0]], np.float32), vectors, 1)
    assert rows.ravel().tolist() == [0, 2] and squared.ravel().tolist() == [0, 25]
