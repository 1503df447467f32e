"""The graph index: nearest neighbours in a large bank without looking at all of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ModelFileError, ParameterError
from onlygood.memory.bank import halved
from onlygood.memory.faiss_module import faiss_module, threads_of_faiss
from onlygood.memory.index import ExactIndex, Floats, NeighbourIndex, Neighbours, Vectors, check_k
from onlygood.memory.torch_index import TorchIndex, torch_has_cuda

#: From this many vectors on the graph answers sooner than the full scan.
GRAPH_FROM = 2_000

#: If a smaller share of the vectors may be found, they are scanned: the beam would meet too few of them.
SCAN_BELOW = 0.1

#: Links of a node (M) and beams (efConstruction, efSearch): with these 99 % or more of the patches sampled from
#: good test images found their true nearest neighbour on every development set (209 images, 256 pixels).
LINKS, BUILD_BEAM, SEARCH_BEAM = 24, 100, 64

#: The first, quick look at an image (`look_twice`): beams of its scouts and of its other patches, which start at one
#: point. Their neighbour is about 1 % too far.
SCOUT_BEAM, GLANCE_BEAM = 16, 4

#: Starting points of a thorough walk that does not begin at the top, and numbers of a vector by which they are chosen.
STARTS, TELLING = 8, 128

#: Vectors worked on at a time where they are needed in a larger type.
_BLOCK = 32_768


class GraphIndex:
    """HNSW graph over the bank (Malkov and Yashunin 2018), by faiss, with its vectors in half precision.

    Built on one thread: several would each time make a slightly different graph, and the same
    training folder must give the same detector.

    Equal vectors (an even black background gives thousands) share one node: as nodes of their own they
    would link only to each other, and the rest of the bank could not be reached past them.

    Args:
        vectors: float16 `(N, D)`; other floats are rounded to half precision.
        threads: Threads of a search; None for all cores. The graph is built on one.
        links: Links of a node (M).
        build_beam: Beam while building (efConstruction).
        search_beam: Beam while searching (efSearch); larger finds more of the true neighbours.
    """

    kind = "graph"
    _bytes: NDArray[np.uint8] | None = None

    def __init__(
        self,
        vectors: Vectors,
        threads: int | None = None,
        *,
        links: int = LINKS,
        build_beam: int = BUILD_BEAM,
        search_beam: int = SEARCH_BEAM,
    ) -> None:
        faiss = faiss_module()
        vectors = halved(vectors)
        first, node_of = _distinct(vectors)
        self._index: Any = faiss.IndexHNSWSQ(vectors.shape[1], faiss.ScalarQuantizer.QT_fp16, links)
        self._index.hnsw.efConstruction = build_beam
        with threads_of_faiss(1):
            for start in range(0, len(first), _BLOCK):
                self._index.add(vectors[first[start : start + _BLOCK]].astype(np.float32))
        self._use(node_of, threads, search_beam)

    def __len__(self) -> int:
        return len(self._node_of)

    def search(
        self,
        queries: Vectors,
        k: int,
        allowed: NDArray[np.bool_] | None = None,
        scouts: NDArray[np.bool_] | None = None,
    ) -> Neighbours:
        """As `NeighbourIndex.search`, nearly exact: of good patches about one true neighbour in 100 is missed.

        A neighbour that is missed is replaced by the next one met, so distances are never too small.
        """
        check_k(k)
        queries = np.ascontiguousarray(queries, np.float32)
        among, beam = None, self.search_beam
        if allowed is not None:
            nodes_there = self._index.ntotal
            among = allowed
            if self.node_of is not None:
                among = np.bincount(self._node_of[allowed], minlength=nodes_there) > 0
            there = int(np.count_nonzero(among))
            if there < SCAN_BELOW * nodes_there:
                return self._rows_of(*self._scan(queries, k, among), allowed)
            # left-out rows crowd the beam: they are walked through, only not reported
            beam = max(beam, 4 * k, 2 * k * nodes_there // max(there, 1))
        if scouts is None:
            found = self._walk(queries, k, beam, among)
        else:
            found = self._spread(queries, k, scouts, (beam, beam), STARTS, among)
        return self._rows_of(*found, allowed)

    @property
    def vectors(self) -> NDArray[np.float16]:
        """The vectors in order of their rows, `(N, D)`, read-only; a view unless some are equal."""
        nodes = self._nodes()
        return nodes if self.node_of is None else nodes[self._node_of]

    @property
    def node_of(self) -> NDArray[np.int32] | None:
        """Node of each row, `(N,)`; None while no two vectors are equal and each row is its own node."""
        return None if self._index.ntotal == len(self) else self._node_of

    def to_bytes(self) -> NDArray[np.uint8]:
        """The graph with its vectors; `node_of` is to be kept beside it."""
        faiss = faiss_module()
        writer = faiss.VectorIOWriter()
        faiss.write_index(self._index, writer)
        return faiss.vector_to_array(writer.data)

    @classmethod
    def from_bytes(
        cls,
        data: NDArray[np.uint8],
        node_of: NDArray[np.int32] | None = None,
        threads: int | None = None,
        *,
        search_beam: int = SEARCH_BEAM,
    ) -> GraphIndex:
        """The inverse of `to_bytes`. Links and vectors stay where they are (in a mapped file): nothing is copied.

        Raises:
            ModelFileError: The bytes are no such graph, or `node_of` is not of this graph.
        """
        faiss = faiss_module()
        self = cls.__new__(cls)
        reader = faiss.ZeroCopyIOReader(faiss.swig_ptr(data), len(data))
        try:
            index = faiss.read_index(reader, faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            raise ModelFileError(f"The graph index cannot be read. Fit anew. (faiss: {error})") from error
        if not isinstance(index, faiss.IndexHNSWSQ):
            raise ModelFileError(f"The graph index is a {type(index).__name__}, which is not used here. Fit anew.")
        if node_of is None:
            node_of = np.arange(index.ntotal, dtype=np.int32)
        elif not np.array_equal(np.unique(node_of), np.arange(index.ntotal)):
            raise ModelFileError(f"The graph index has {index.ntotal} nodes, its rows name others. Fit anew.")
        self._index = index
        self._bytes = data  # kept as long as the graph that lies in it
        self._use(node_of, threads, search_beam)
        return self

    def look_twice(
        self,
        queries: Vectors,
        k: int,
        scouts: NDArray[np.bool_],
        where: Callable[[Floats, NDArray[np.int64]], NDArray[np.bool_]],
    ) -> Neighbours:
        """The patches of an image: a quick look at every one, and a thorough one where the answer depends on it.

        The second look goes on until it has been everywhere that `where` names.

        Args:
            queries: float32 or float16 `(q, D)`, q >= 1.
            k: Neighbours asked for.
            scouts: bool `(q,)`: some that are well spread (`scouts_of`).
            where: Tells from squared distances and rows `(q, k)` which queries matter, bool `(q,)`.
        """
        queries = np.ascontiguousarray(queries, np.float32)
        squared, nodes = self._spread(queries, k, scouts, (SCOUT_BEAM, GLANCE_BEAM), 1)
        known = self._known(nodes)
        looked = np.zeros(len(queries), np.bool_)
        while True:
            found = self._rows_of(squared, nodes)
            again = np.flatnonzero(where(*found) & ~looked)
            if not len(again):
                return found
            # a walk from the top may come to where no other patch has been
            known = self._known(self._walk(queries[again], k, SCOUT_BEAM)[1], known)
            squared[again], nodes[again] = self._walk_from(known, queries[again], k, self.search_beam, STARTS)
            looked[again] = True

    def _walk(self, queries: Floats, k: int, beam: int, among: NDArray[np.bool_] | None = None) -> Neighbours:
        """Squared distances and nodes `(q, k)` that a walk from the top of the graph meets, of the nodes `among`."""
        with threads_of_faiss(self.threads):
            found = self._index.search(queries, k, params=self._parameters(k, beam, among))
        return self._complete(found, queries, among)

    def _spread(
        self,
        queries: Floats,
        k: int,
        scouts: NDArray[np.bool_],
        beams: tuple[int, int],
        starts: int,
        among: NDArray[np.bool_] | None = None,
    ) -> Neighbours:
        """The same of the patches of an image: its scouts walk from the top, all others start at what these found.

        Sooner, for what lies near one patch is a good place to look for the next; and nearer, for a walk from the top
        may end far from a query that is like nothing in the bank, as that of a defect is.
        """
        squared = np.empty((len(queries), k), np.float32)
        nodes = np.empty((len(queries), k), np.int64)
        squared[scouts], nodes[scouts] = self._walk(queries[scouts], k, beams[0], among)
        others = ~scouts
        found = self._walk_from(self._known(nodes[scouts]), queries[others], k, beams[1], starts, among)
        squared[others], nodes[others] = found
        return squared, nodes

    def _walk_from(
        self,
        known: tuple[NDArray[np.int64], Floats],
        queries: Floats,
        k: int,
        beam: int,
        starts: int,
        among: NDArray[np.bool_] | None = None,
    ) -> Neighbours:
        """The same of walks that begin at the foot of the graph, at the nearest of the nodes known."""
        faiss = faiss_module()
        known_nodes, coarse = known
        if not len(known_nodes) or not len(queries):
            return self._walk(queries, k, beam, among)
        squared = np.empty((len(queries), k), np.float32)
        nodes = np.empty((len(queries), k), np.int64)
        with threads_of_faiss(self.threads):
            nearest = faiss.knn(self._coarse(queries), coarse, min(starts, len(known_nodes)))[1]
            begin = known_nodes[nearest]
            needed, which = np.unique(begin, return_inverse=True)  # half precision is slow to widen
            difference = queries[:, None] - self._nodes()[needed].astype(np.float32)[which.reshape(begin.shape)]
            away = np.einsum("qsd,qsd->qs", difference, difference)
            given = (queries, begin.astype(np.int32), away, squared, nodes)
            where, start, distance, *answer = map(faiss.swig_ptr, given)
            self._index.search_level_0(
                len(queries), where, k, start, distance, *answer, nearest.shape[1], 2, self._parameters(k, beam, among)
            )
        return self._complete((squared, nodes), queries, among)

    def _known(
        self, found: NDArray[np.int64], more: tuple[NDArray[np.int64], Floats] | None = None
    ) -> tuple[NDArray[np.int64], Floats]:
        """The nearest nodes of queries `(q, k)`, each once, and some of their numbers; besides those known already."""
        nodes = np.unique(found[:, 0])
        if more is not None:
            nodes = nodes[~np.isin(nodes, more[0])]
        nodes = nodes[nodes >= 0]
        coarse = self._coarse(self._nodes()[nodes])
        return (nodes, coarse) if more is None else (np.append(more[0], nodes), np.concatenate([more[1], coarse]))

    def _coarse(self, vectors: Vectors) -> Floats:
        """Some numbers of each vector, evenly spread: of a long one these tell well enough what is near."""
        step = max(1, vectors.shape[1] // TELLING)
        return np.ascontiguousarray(vectors[:, ::step], np.float32)

    def _complete(self, found: Neighbours, queries: Floats, among: NDArray[np.bool_] | None) -> Neighbours:
        """Exact search for those queries whose walk ended before it met enough nodes."""
        squared, nodes = found
        k = nodes.shape[1]
        there = self._index.ntotal if among is None else int(np.count_nonzero(among))
        short = nodes[:, min(k, there) - 1] < 0
        if short.any():
            among = np.ones(self._index.ntotal, np.bool_) if among is None else among
            squared[short], nodes[short] = self._scan(queries[short], k, among)
        return squared, nodes

    def _parameters(self, k: int, beam: int, among: NDArray[np.bool_] | None) -> Any:
        faiss = faiss_module()
        selector = None
        if among is not None:
            bits = np.packbits(among, bitorder="little")
            selector = faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
            selector.bits = bits  # kept as long as it
        return faiss.SearchParametersHNSW(efSearch=max(beam, 2 * k), sel=selector)

    def _rows_of(
        self, squared: Floats, nodes: NDArray[np.int64], allowed: NDArray[np.bool_] | None = None
    ) -> Neighbours:
        """Rows in place of nodes."""
        squared = np.where(nodes < 0, np.inf, squared).astype(np.float32)
        if self.node_of is None:
            return squared, nodes.astype(np.int64)
        return self._all_rows(squared, nodes, allowed)

    def _use(self, node_of: NDArray[np.int32], threads: int | None, search_beam: int) -> None:
        self._node_of = node_of
        self.threads = threads
        self.search_beam = search_beam

    @cached_property
    def _by_node(self) -> NDArray[np.int64]:
        """The rows in order of their nodes."""
        return np.argsort(self._node_of, kind="stable")

    def _nodes(self) -> NDArray[np.float16]:
        """The vectors of the nodes, a read-only view that keeps the graph alive."""
        if not len(self):
            return np.empty((0, self._index.d), np.float16)
        return np.asarray(_View(self))

    def _scan(self, queries: Vectors, k: int, open_nodes: NDArray[np.bool_]) -> Neighbours:
        """Exact search among some nodes."""
        number = np.flatnonzero(open_nodes)
        squared, found = ExactIndex(self._nodes()[number], self.threads).search(queries, k)
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


def build_index(
    vectors: Vectors, kind: str = "auto", threads: int | None = None, device: str = "cpu"
) -> NeighbourIndex:
    """An index over the bank.

    Args:
        vectors: float32 or float16 `(N, D)`.
        kind: `exact`, `graph`, or `auto`: the graph from 2,000 vectors on; exact on a GPU.
        threads: Threads of a search; None for all cores.
        device: `cuda` searches exactly on the GPU, where torch sees one; elsewhere it is as `cpu`.

    Raises:
        ParameterError: Another kind.
    """
    on_gpu = device == "cuda" and kind != "graph" and torch_has_cuda()
    if kind == "auto":
        kind = "graph" if len(vectors) >= GRAPH_FROM and not on_gpu else "exact"
    if kind == "exact":
        return TorchIndex(vectors, device) if on_gpu else ExactIndex(vectors, threads)
    if kind == "graph":
        return GraphIndex(vectors, threads)
    raise ParameterError(f"Unknown index {kind!r}. Known are: auto, exact, graph")


class _View:
    """The half-precision vectors of a graph for numpy, which holds on to this object and so to the graph."""

    def __init__(self, graph: GraphIndex) -> None:
        self.graph = graph
        index = graph._index
        codes = faiss_module().downcast_index(index.storage).codes
        self.__array_interface__ = {
            "version": 3,
            "typestr": "<f2",
            "shape": (index.ntotal, index.d),
            "data": (int(codes.data()), True),
        }


def _distinct(vectors: NDArray[np.float16]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """First row of each different vector, in order of first appearance, and each row's number among these.

    Compared by a 64-bit hash, for sorting the vectors themselves takes several times their memory; rows with one hash
    are then compared in full.
    """
    digits = np.ascontiguousarray(vectors).view(np.uint16)
    factors = np.random.default_rng(0).integers(0, 2**63, digits.shape[1], np.uint64) * np.uint64(2) + np.uint64(1)
    hashes = np.empty(len(digits), np.uint64)
    for start in range(0, len(digits), _BLOCK):
        hashes[start : start + _BLOCK] = (digits[start : start + _BLOCK] * factors).sum(axis=1)
    _, first, group = np.unique(hashes, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[group] != np.arange(len(digits)))
    if not np.array_equal(digits[again], digits[first[group[again]]]):  # never seen: a hash that two vectors share
        _, first, group = np.unique(digits, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return first[order], rank[group.ravel()]
