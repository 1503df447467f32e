"""Nearest neighbours in the bank: exact search and a graph index (HNSW) behind one interface.

All distances are squared Euclidean. Rows can be left out of a search, which is how a training image is
scored against the bank without its own patches.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ParameterError

Vectors = NDArray[np.float32]
Neighbours = tuple[NDArray[np.float32], NDArray[np.int64]]

#: From this many vectors on the graph answers sooner than the full scan.
GRAPH_FROM = 10_000


class NeighbourIndex(Protocol):
    """What both kinds of index can do."""

    kind: str

    def __len__(self) -> int: ...

    def search(self, queries: Vectors, k: int, allowed: NDArray[np.bool_] | None = None) -> Neighbours:
        """The `k` nearest bank vectors of each query.

        Args:
            queries: float32 `(q, D)`.
            k: Neighbours asked for.
            allowed: bool `(N,)`; rows that may be found; None for all.

        Returns:
            Squared distances float32 `(q, k)`, ascending, and row numbers int64 `(q, k)`. Where fewer than k
            rows may be found the rest is filled with infinity and -1.
        """
        ...

    def extend(self, vectors: Vectors) -> None:
        """Append vectors `(n, D)` behind the present ones."""
        ...


class ExactIndex:
    """Full scan in blocks: one matrix product per block, then the chosen distances by direct subtraction.

    The product form loses digits where distances are small against the vectors' lengths; the subtraction
    brings them back. A few more than k candidates are kept so that the final order is right, too.
    """

    kind = "exact"
    _spare = 4

    def __init__(self, vectors: Vectors, block: int = 16_384) -> None:
        self.vectors = np.ascontiguousarray(vectors, np.float32)
        self.block = block
        self._norms = _squared_norms(self.vectors)

    def __len__(self) -> int:
        return len(self.vectors)

    def extend(self, vectors: Vectors) -> None:
        """Append vectors."""
        self.vectors = np.concatenate([self.vectors, np.asarray(vectors, np.float32)])
        self._norms = _squared_norms(self.vectors)

    def search(self, queries: Vectors, k: int, allowed: NDArray[np.bool_] | None = None) -> Neighbours:
        """As `NeighbourIndex.search`."""
        _check(k)
        queries = np.ascontiguousarray(queries, np.float32)
        parts = [
            self._search(queries[i : i + 2048], k, allowed) for i in range(0, max(len(queries), 1), 2048)
        ]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def _search(self, queries: Vectors, k: int, allowed: NDArray[np.bool_] | None) -> Neighbours:
        keep = k + self._spare
        best = np.full((len(queries), keep), np.inf, np.float32)
        rows = np.full((len(queries), keep), -1, np.int64)
        for start in range(0, len(self), self.block):
            stop = min(start + self.block, len(self))
            rough = queries @ self.vectors[start:stop].T
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
        return _refined(queries, self.vectors, rows, k)


class GraphIndex:
    """HNSW graph over the bank (Malkov and Yashunin 2018), by faiss.

    Built on one thread: several would each time make a slightly different graph, and the same
    training folder must give the same detector.

    Args:
        vectors: float32 `(N, D)`.
        links: Links of a node (M).
        build_beam: Beam while building (efConstruction).
        search_beam: Beam while searching (efSearch); larger finds more of the true neighbours.
    """

    kind = "graph"

    def __init__(
        self, vectors: Vectors, links: int = 16, build_beam: int = 64, search_beam: int = 64
    ) -> None:
        import faiss

        self.search_beam = search_beam
        self._index = faiss.IndexHNSWFlat(vectors.shape[1], links)
        self._index.hnsw.efConstruction = build_beam
        self.extend(vectors)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def extend(self, vectors: Vectors) -> None:
        """Append vectors."""
        import faiss

        threads = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)
        try:
            self._index.add(np.ascontiguousarray(vectors, np.float32))
        finally:
            faiss.omp_set_num_threads(threads)

    def search(self, queries: Vectors, k: int, allowed: NDArray[np.bool_] | None = None) -> Neighbours:
        """As `NeighbourIndex.search`, nearly exact: about one true nearest neighbour in 500 is missed."""
        import faiss

        _check(k)
        beam = max(self.search_beam, 2 * k)
        queries = np.ascontiguousarray(queries, np.float32)
        if allowed is None:
            parameters = faiss.SearchParametersHNSW(efSearch=beam)
        else:
            # left-out rows crowd the beam: they are walked through, only not reported
            bits = np.packbits(allowed, bitorder="little")
            selector = faiss.IDSelectorBitmap(len(allowed), faiss.swig_ptr(bits))
            parameters = faiss.SearchParametersHNSW(efSearch=2 * beam, sel=selector)
        squared, rows = self._index.search(queries, k, params=parameters)
        return np.where(rows < 0, np.inf, squared).astype(np.float32), rows.astype(np.int64)

    def to_bytes(self) -> NDArray[np.uint8]:
        """The graph without the vectors, which the model file holds anyway."""
        import faiss

        writer = faiss.VectorIOWriter()
        faiss.write_index(self._index, writer, faiss.IO_FLAG_SKIP_STORAGE)
        return faiss.vector_to_array(writer.data)

    @classmethod
    def from_bytes(cls, data: NDArray[np.uint8], vectors: Vectors, search_beam: int = 64) -> GraphIndex:
        """The inverse of `to_bytes`."""
        import faiss

        reader = faiss.VectorIOReader()
        faiss.copy_array_to_vector(np.ascontiguousarray(data, np.uint8), reader.data)
        self = cls.__new__(cls)
        self.search_beam = search_beam
        self._index = faiss.read_index(reader, faiss.IO_FLAG_SKIP_STORAGE)
        storage = faiss.IndexFlatL2(vectors.shape[1])
        storage.add(np.ascontiguousarray(vectors, np.float32))
        self._index.storage = storage
        self._index.own_fields = False
        self._storage = storage  # kept alive as long as the graph that points to it
        return self


def build_index(vectors: Vectors, kind: str = "auto") -> NeighbourIndex:
    """An index over the bank.

    Args:
        vectors: float32 `(N, D)`.
        kind: `exact`, `graph`, or `auto`: the graph from 10,000 vectors on.

    Raises:
        ParameterError: Another kind.
    """
    if kind == "auto":
        kind = "graph" if len(vectors) >= GRAPH_FROM else "exact"
    if kind == "exact":
        return ExactIndex(vectors)
    if kind == "graph":
        return GraphIndex(vectors)
    raise ParameterError(f"Unknown index {kind!r}. Known are: auto, exact, graph")


def _refined(queries: Vectors, vectors: Vectors, rows: NDArray[np.int64], k: int) -> Neighbours:
    """Distances by direct subtraction, ascending; equal ones by row number."""
    squared = np.empty(rows.shape, np.float32)
    for column in range(rows.shape[1]):
        difference = queries - vectors[rows[:, column]]
        squared[:, column] = np.einsum("qd,qd->q", difference, difference)
    squared[rows < 0] = np.inf
    order = np.lexsort((np.where(rows < 0, len(vectors), rows), squared), axis=1)[:, :k]
    return np.take_along_axis(squared, order, 1), np.take_along_axis(rows, order, 1)


def _squared_norms(vectors: Vectors) -> NDArray[np.float32]:
    return np.einsum("nd,nd->n", vectors, vectors)


def _check(k: int) -> None:
    if k < 1:
        raise ParameterError(f"k={k}: at least one neighbour is needed.")
