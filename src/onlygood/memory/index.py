"""Nearest neighbours in the bank: what every index can do, and the exact one.

All distances are squared Euclidean. Rows can be left out of a search, which is how a training image is
scored against the bank without its own patches.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ParameterError
from onlygood.memory.faiss_module import faiss_module, threads_of_faiss

Vectors = NDArray[np.floating]
Floats = NDArray[np.float32]
Neighbours = tuple[NDArray[np.float32], NDArray[np.int64]]


#: Candidates kept beyond k, so that rounding in the product form of distances cannot lose one.
SPARE = 4


class NeighbourIndex(Protocol):
    """What both kinds of index can do."""

    kind: str

    def __len__(self) -> int: ...

    def search(
        self,
        queries: Vectors,
        k: int,
        allowed: NDArray[np.bool_] | None = None,
        scouts: NDArray[np.bool_] | None = None,
    ) -> Neighbours:
        """The `k` nearest bank vectors of each query.

        Args:
            queries: float32 or float16 `(q, D)`.
            k: Neighbours asked for.
            allowed: bool `(N,)`; rows that may be found; None for all.
            scouts: bool `(q,)`: of queries that are patches of the same images some that are well spread (`scouts_of`),
                near whose neighbours the others' lie; None where nothing is known. Exact search does not need them.

        Returns:
            Squared distances float32 `(q, k)`, ascending, and row numbers int64 `(q, k)`. Where fewer than k
            rows may be found the rest is filled with infinity and -1.
        """
        ...


class ExactIndex:
    """Full scan by faiss: one matrix product finds the candidates, direct subtraction gives the distances.

    The product form loses digits where distances are small against the vectors' lengths. So all are moved to the
    bank's centre first, and a few more than k candidates are kept, so that the final order is right, too.

    Args:
        vectors: float32 or float16 `(N, D)`.
        threads: Threads of a search; None for all cores.
    """

    kind = "exact"

    def __init__(self, vectors: Vectors, threads: int | None = None) -> None:
        self.threads = threads
        vectors = np.asarray(vectors, np.float32)
        self._centre = centre_of(vectors)
        self._vectors = np.ascontiguousarray(vectors - self._centre)

    def __len__(self) -> int:
        return len(self._vectors)

    def search(
        self,
        queries: Vectors,
        k: int,
        allowed: NDArray[np.bool_] | None = None,
        scouts: NDArray[np.bool_] | None = None,
    ) -> Neighbours:
        """As `NeighbourIndex.search`."""
        check_k(k)
        queries = np.ascontiguousarray(np.asarray(queries, np.float32) - self._centre)
        number = np.arange(len(self)) if allowed is None else np.flatnonzero(allowed)
        vectors = self._vectors if allowed is None else self._vectors[number]
        squared = np.full((len(queries), k), np.inf, np.float32)
        rows = np.full((len(queries), k), -1, np.int64)
        there = min(k, len(vectors))
        if there and len(queries):
            with threads_of_faiss(self.threads):
                _, found = faiss_module().knn(queries, vectors, min(k + SPARE, len(vectors)))
            squared[:, :there], found = _refined(queries, vectors, found, there)
            rows[:, :there] = number[found]
        return squared, rows


def scouts_of(grid: tuple[int, ...], images: int = 1) -> NDArray[np.bool_]:
    """Every other patch of every other row of `(h, w)` patches, image after image: bool `(images * h * w,)`."""
    chosen = np.zeros(grid, np.bool_)
    chosen[::2, ::2] = True
    return np.tile(chosen.ravel(), images)


def centre_of(vectors: Vectors) -> Floats:
    """Mean of the vectors `(1, D)`, from which the product form of distances is taken; zeros where there are none."""
    if not len(vectors):
        return np.zeros((1, vectors.shape[1]), np.float32)
    return vectors.mean(axis=0, dtype=np.float64, keepdims=True).astype(np.float32)


def _refined(queries: Floats, vectors: Floats, rows: NDArray[np.int64], k: int) -> Neighbours:
    """Distances by direct subtraction, ascending; equal ones by row number."""
    squared = np.empty(rows.shape, np.float32)
    for column in range(rows.shape[1]):
        difference = queries - vectors[rows[:, column]]
        squared[:, column] = np.einsum("qd,qd->q", difference, difference)
    order = np.lexsort((rows, squared), axis=1)[:, :k]
    return np.take_along_axis(squared, order, 1), np.take_along_axis(rows, order, 1)


def check_k(k: int) -> None:
    """Raise `ParameterError` unless at least one neighbour is asked for."""
    if k < 1:
        raise ParameterError(f"k={k}: at least one neighbour is needed.")
