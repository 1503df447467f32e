"""Nearest neighbours in the bank: what every index can do, and the exact one.

All distances are squared Euclidean. Rows can be left out of a search, which is how a training image is
scored against the bank without its own patches.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ParameterError

Vectors = NDArray[np.floating]
Floats = NDArray[np.float32]
Neighbours = tuple[NDArray[np.float32], NDArray[np.int64]]


class NeighbourIndex(Protocol):
    """What both kinds of index can do."""

    kind: str

    def __len__(self) -> int: ...

    def search(self, queries: Vectors, k: int, allowed: NDArray[np.bool_] | None = None) -> Neighbours:
        """The `k` nearest bank vectors of each query.

        Args:
            queries: float32 or float16 `(q, D)`.
            k: Neighbours asked for.
            allowed: bool `(N,)`; rows that may be found; None for all.

        Returns:
            Squared distances float32 `(q, k)`, ascending, and row numbers int64 `(q, k)`. Where fewer than k
            rows may be found the rest is filled with infinity and -1.
        """
        ...


class ExactIndex:
    """Full scan in blocks: one matrix product per block, then the chosen distances by direct subtraction.

    The product form loses digits where distances are small against the vectors' lengths; the subtraction
    brings them back. A few more than k candidates are kept so that the final order is right, too. A bank
    that lies far from the origin is moved there first.
    """

    kind = "exact"
    _spare = 4

    def __init__(self, vectors: Vectors, block: int = 16_384) -> None:
        self.vectors = np.ascontiguousarray(vectors, np.float32)
        self.block = block
        self._centre: Floats | None = None
        self._norms = _squared_norms(self.vectors)
        if len(self) == 0:
            return
        centre = self.vectors.mean(axis=0, dtype=np.float64)
        far = float(centre @ centre)
        # moving costs a copy at each search: only where it saves more than three bits
        if far > 0.9 * float(self._norms.mean(dtype=np.float64)):
            self._centre = centre.astype(np.float32)
            blocks = [self._moved(i, i + self.block) for i in range(0, len(self), self.block)]
            self._norms = np.concatenate([_squared_norms(block) for block in blocks])

    def __len__(self) -> int:
        return len(self.vectors)

    def _moved(self, start: int, stop: int) -> Floats:
        part = self.vectors[start:stop]
        return part if self._centre is None else part - self._centre

    def search(self, queries: Vectors, k: int, allowed: NDArray[np.bool_] | None = None) -> Neighbours:
        """As `NeighbourIndex.search`."""
        check_k(k)
        queries = np.ascontiguousarray(queries, np.float32)
        parts = [self._search(queries[i : i + 2048], k, allowed) for i in range(0, max(len(queries), 1), 2048)]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def _search(self, queries: Floats, k: int, allowed: NDArray[np.bool_] | None) -> Neighbours:
        keep = k + self._spare
        moved = queries if self._centre is None else queries - self._centre
        best = np.full((len(queries), keep), np.inf, np.float32)
        rows = np.full((len(queries), keep), -1, np.int64)
        for start in range(0, len(self), self.block):
            stop = min(start + self.block, len(self))
            rough = moved @ self._moved(start, stop).T
            rough *= -2
            rough += self._norms[start:stop]  # the query's own norm does not change the order
            if allowed is not None:
                rough[:, ~allowed[start:stop]] = np.inf
            if stop - start > keep:
                local = np.argpartition(rough, keep - 1, axis=1)[:, :keep]
            else:
                local = np.broadcast_to(np.arange(stop - start), rough.shape)
            both = np.concatenate([best, np.take_along_axis(rough, local, 1)], axis=1)
            both_rows = np.concatenate([rows, local + start], axis=1)
            order = np.argsort(both, axis=1, kind="stable")[:, :keep]
            best = np.take_along_axis(both, order, 1)
            rows = np.take_along_axis(both_rows, order, 1)
        rows[np.isinf(best)] = -1
        if len(self) == 0:
            return best[:, :k], rows[:, :k]
        return _refined(queries, self.vectors, rows, k)


def _refined(queries: Floats, vectors: Floats, rows: NDArray[np.int64], k: int) -> Neighbours:
    """Distances by direct subtraction, ascending; equal ones by row number."""
    squared = np.empty(rows.shape, np.float32)
    for column in range(rows.shape[1]):
        difference = queries - vectors[rows[:, column]]
        squared[:, column] = np.einsum("qd,qd->q", difference, difference)
    squared[rows < 0] = np.inf
    order = np.lexsort((np.where(rows < 0, len(vectors), rows), squared), axis=1)[:, :k]
    return np.take_along_axis(squared, order, 1), np.take_along_axis(rows, order, 1)


def _squared_norms(vectors: Floats) -> NDArray[np.float32]:
    return np.einsum("nd,nd->n", vectors, vectors)


def check_k(k: int) -> None:
    """Raise `ParameterError` unless at least one neighbour is asked for."""
    if k < 1:
        raise ParameterError(f"k={k}: at least one neighbour is needed.")
