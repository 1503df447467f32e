"""The graph index: nearest neighbours in a large bank without looking at all of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ModelFileError, ParameterError
from onlygood.memory.index import ExactIndex, NeighbourIndex, Neighbours, Vectors, check_k

#: From this many vectors on the graph answers sooner than the full scan.
GRAPH_FROM = 10_000

#: If a smaller share of the vectors may be found, they are scanned: the beam would meet too few of them.
SCAN_BELOW = 0.1

#: Links of a node (M) and beams (efConstruction, efSearch): with these 99 % or more of the patches sampled from
#: good test images found their true nearest neighbour on every development set (209 images, 256 pixels).
LINKS, BUILD_BEAM, SEARCH_BEAM = 24, 100, 64


class GraphIndex:
    """HNSW graph over the bank (Malkov and Yashunin 2018), by faiss.

    Built on one thread: several would each time make a slightly different graph, and the same
    training folder must give the same detector.

    Equal vectors (an even black background gives thousands) share one node: as nodes of their own they
    would link only to each other, and the rest of the bank could not be reached past them.

    Args:
        vectors: float32 `(N, D)`.
        links: Links of a node (M).
        build_beam: Beam while building (efConstruction).
        search_beam: Beam while searching (efSearch); larger finds more of the true neighbours.
    """

    kind = "graph"
    _storage: Any = None

    def __init__(
        self,
        vectors: Vectors,
        links: int = LINKS,
        build_beam: int = BUILD_BEAM,
        search_beam: int = SEARCH_BEAM,
    ) -> None:
        faiss = _faiss()
        self.search_beam = search_beam
        self._index: Any = faiss.IndexHNSWFlat(vectors.shape[1], links)
        self._index.hnsw.efConstruction = build_beam
        self._group(np.empty(0, np.int64))
        self.extend(vectors)

    def __len__(self) -> int:
        return len(self._node_of)

    def extend(self, vectors: Vectors) -> None:
        """Append vectors."""
        faiss = _faiss()
        vectors = np.ascontiguousarray(vectors, np.float32)
        present = self._nodes()
        first, node_of = _distinct(np.concatenate([present, vectors]) if len(present) else vectors)
        new = first[len(present) :] - len(present)
        # levels are drawn anew from here on, so that a graph grows the same whether it was saved before or not
        self._index.hnsw.rng = faiss.RandomGenerator(len(present))
        threads = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)
        try:
            self._index.add(np.ascontiguousarray(vectors[new]))
        finally:
            faiss.omp_set_num_threads(threads)
        self._group(np.concatenate([self._node_of, node_of[len(present) :]]))

    def search(self, queries: Vectors, k: int, allowed: NDArray[np.bool_] | None = None) -> Neighbours:
        """As `NeighbourIndex.search`, nearly exact: of good patches about one true neighbour in 100 is missed."""
        faiss = _faiss()
        check_k(k)
        queries = np.ascontiguousarray(queries, np.float32)
        open_nodes = np.ones(self._index.ntotal, np.bool_)
        parameters = faiss.SearchParametersHNSW(efSearch=max(self.search_beam, 2 * k))
        if allowed is not None:
            open_nodes[:] = False
            open_nodes[self._node_of[allowed]] = True
            bits = np.packbits(open_nodes, bitorder="little")
            selector = faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
            # left-out rows crowd the beam: they are walked through, only not reported
            met = 2 * k * len(open_nodes) // max(int(open_nodes.sum()), 1)
            beam = max(2 * self.search_beam, 4 * k, met)
            parameters = faiss.SearchParametersHNSW(efSearch=beam, sel=selector)
        there = int(open_nodes.sum())
        if there < SCAN_BELOW * len(open_nodes):
            squared, nodes = self._scan(queries, k, open_nodes)
        else:
            squared, nodes = self._index.search(queries, k, params=parameters)
            short = nodes[:, min(k, there) - 1] < 0  # the walk ended before it met enough of them
            if short.any():
                squared[short], nodes[short] = self._scan(queries[short], k, open_nodes)
        squared = np.where(nodes < 0, np.inf, squared).astype(np.float32)
        if len(open_nodes) == len(self):
            return squared, nodes.astype(np.int64)
        return self._all_rows(squared, nodes, allowed)

    def to_bytes(self) -> NDArray[np.uint8]:
        """The graph without the vectors, which the model file holds anyway."""
        faiss = _faiss()
        writer = faiss.VectorIOWriter()
        faiss.write_index(self._index, writer, faiss.IO_FLAG_SKIP_STORAGE)
        return faiss.vector_to_array(writer.data)

    @classmethod
    def from_bytes(cls, data: NDArray[np.uint8], vectors: Vectors, search_beam: int = SEARCH_BEAM) -> GraphIndex:
        """The inverse of `to_bytes`.

        Raises:
            ModelFileError: The graph was not made of these vectors.
        """
        faiss = _faiss()
        reader = faiss.VectorIOReader()
        faiss.copy_array_to_vector(np.ascontiguousarray(data, np.uint8), reader.data)
        self = cls.__new__(cls)
        self.search_beam = search_beam
        self._index = faiss.read_index(reader, faiss.IO_FLAG_SKIP_STORAGE)
        vectors = np.ascontiguousarray(vectors, np.float32)
        first, node_of = _distinct(vectors)
        self._group(node_of)
        if (len(first), vectors.shape[1]) != (self._index.ntotal, self._index.d):
            raise ModelFileError(
                f"The graph index has {self._index.ntotal} nodes of {self._index.d} numbers, the memory bank "
                f"{len(first)} different vectors of {vectors.shape[1]}. They are not of one model; fit again."
            )
        storage = faiss.IndexFlatL2(vectors.shape[1])
        storage.add(vectors if len(first) == len(vectors) else vectors[first])
        self._index.storage = storage
        self._index.own_fields = False
        self._storage = storage  # kept alive as long as the graph that points to it
        return self

    def _group(self, node_of: NDArray[np.int64]) -> None:
        """Remember the node of each row, and the rows in order of their nodes."""
        self._node_of = node_of
        self._by_node = np.argsort(node_of, kind="stable")

    def _nodes(self) -> Vectors:
        """The vectors of the nodes, a view."""
        faiss = _faiss()
        count, width = self._index.ntotal, self._index.d
        if count == 0:
            return np.empty((0, width), np.float32)
        storage = faiss.downcast_index(self._index.storage)
        return faiss.rev_swig_ptr(storage.get_xb(), count * width).reshape(count, width)

    def _scan(self, queries: Vectors, k: int, open_nodes: NDArray[np.bool_]) -> Neighbours:
        """Exact search among some nodes."""
        number = np.flatnonzero(open_nodes)
        squared, found = ExactIndex(self._nodes()[number]).search(queries, k)
        return squared, np.where(found < 0, -1, number[found]) if len(number) else found

    def _all_rows(
        self, squared: NDArray[np.float32], nodes: NDArray[np.int64], allowed: NDArray[np.bool_] | None
    ) -> Neighbours:
        """From the nearest `k` nodes to the nearest `k` rows: equal vectors by row number."""
        k = nodes.shape[1]
        rows = self._by_node if allowed is None else self._by_node[allowed[self._by_node]]
        size = np.bincount(self._node_of[rows], minlength=self._index.ntotal)
        start = np.cumsum(size) - size
        nth = np.arange(min(k, int(size.max(initial=1))))
        there = (nodes[..., None] >= 0) & (nth < size[nodes][..., None])
        where = np.where(there, start[nodes][..., None] + nth, 0).reshape(len(nodes), -1)
        there = there.reshape(len(nodes), -1)
        order = np.argsort(~there, axis=1, kind="stable")[:, :k]
        full = np.take_along_axis(np.repeat(squared, len(nth), axis=1), order, 1)
        found = np.take_along_axis(there, order, 1)
        members = rows[np.take_along_axis(where, order, 1)] if len(rows) else np.full(found.shape, -1)
        return np.where(found, full, np.float32(np.inf)), np.where(found, members, -1)


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


def _faiss() -> Any:
    """The package, imported at first use; its own type hints leave out half of what it has."""
    import faiss

    return faiss


def _distinct(vectors: Vectors) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First row of each different vector, in order of first appearance, and each row's number among these."""
    whole = np.ascontiguousarray(vectors).view(np.dtype((np.void, 4 * vectors.shape[1]))).ravel()
    _, first, group = np.unique(whole, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return first[order], rank[group.ravel()]
