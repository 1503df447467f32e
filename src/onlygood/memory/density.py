"""Local density of the memory bank (REB, eq. 2) and its cross-image form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ParameterError
from onlygood.memory.bank import MemoryBank
from onlygood.memory.index import NeighbourIndex, scouts_of
from onlygood.memory.spill import roomy
from onlygood.progress import Report, track


@dataclass(frozen=True)
class NeighbourTable:
    """The nearest other vectors of some vectors.

    Attributes:
        squared: Squared distances float32 `(n, k)`, ascending; infinite where there is no further one.
        rows: Their bank rows `(n, k)`, int32 to save memory or int64; -1 where there is none.
    """

    squared: NDArray[np.float32]
    rows: NDArray[np.integer]

    def first(self, k: int) -> NeighbourTable:
        """The nearest `k` of each."""
        if k == self.rows.shape[1]:
            return self
        return NeighbourTable(self.squared[:, :k].copy(), self.rows[:, :k].copy())

    def part(self, which: slice) -> NeighbourTable:
        """The lists of some vectors."""
        return NeighbourTable(self.squared[which], self.rows[which])


def neighbours_without_self(bank: MemoryBank, index: NeighbourIndex, k: int, report: Report | None) -> NeighbourTable:
    """The `k` nearest *other* bank vectors of each bank vector, self excluded by row number."""
    squared, rows = _empty_lists(len(bank), k)
    for part in track(_blocks(len(bank)), "density", -(-len(bank) // 2048), report):
        own = np.arange(part.start, min(part.stop, len(bank)))
        found = index.search(bank.vectors[part], k + 1)
        d, r = _dropped(*found, found[1] == own[:, None])
        squared[part], rows[part] = d[:, :k], r[:, :k]
    return NeighbourTable(squared, rows)


def neighbours_in_other_groups(
    bank: MemoryBank,
    index: NeighbourIndex,
    groups: NDArray[np.integer],
    k: int,
    grid: tuple[int, int],
    report: Report | None,
    indexed: MemoryBank | None = None,
) -> NeighbourTable:
    """The `k` nearest vectors that come from other images (or groups of images) than the vector's own.

    Args:
        bank: The vectors asked about.
        index: Index over `indexed`.
        groups: Group number of each training image.
        k: Neighbours asked for.
        grid: Patches `(h, w)` of an image, all of which are in `bank` one after the other.
        report: Progress.
        indexed: The vectors that are searched; the bank itself if not given.
    """
    indexed = bank if indexed is None else indexed
    own, theirs = groups[bank.image_of], groups[indexed.image_of]
    squared, rows = _empty_lists(len(bank), k)
    present = np.unique(own)
    for group in track(present, "leave one out", len(present), report):
        of_group = np.flatnonzero(own == group)
        squared[of_group], rows[of_group] = index.search(
            bank.vectors[of_group], k, theirs != group, scouts_of(grid, len(of_group) // (grid[0] * grid[1]))
        )
    return NeighbourTable(squared, rows)


def mean_distance(table: NeighbourTable, k: int, distance: str = "sqeuclidean") -> NDArray[np.float32]:
    """Local density: mean distance to the first `k` neighbours, over those there are (REB, eq. 2).

    Args:
        table: Neighbours of each vector.
        k: How many count.
        distance: `sqeuclidean` (the released code) or `euclidean` (the paper's words).

    Returns:
        float32 `(n,)`; 0 for a vector without neighbours.
    """
    squared = table.squared[:, :k]
    there = np.isfinite(squared)
    values = np.where(there, squared, 0)
    if distance == "euclidean":
        values = np.sqrt(values)
    elif distance != "sqeuclidean":
        raise ParameterError(f"Unknown distance {distance!r}. Known are: sqeuclidean, euclidean")
    return (values.sum(axis=1) / np.maximum(there.sum(axis=1), 1)).astype(np.float32)


def local_density(
    bank: MemoryBank,
    index: NeighbourIndex,
    k: int,
    *,
    distance: str = "sqeuclidean",
    self_in_k: bool = False,
    report: Report | None = None,
) -> NDArray[np.float32]:
    """Local density LD of every bank vector over the bank (REB, eq. 2).

    Args:
        bank: The full bank.
        index: Index over it.
        k: Neighbours averaged (the paper's K).
        distance: `sqeuclidean` (released code) or `euclidean`.
        self_in_k: Count the vector itself among the K, at distance 0: brackets the published numbers.
        report: Progress.

    Returns:
        float32 `(N,)`: large where the bank is sparse.
    """
    if k < 1:
        raise ParameterError(f"k={k}: at least one neighbour is needed.")
    real = k - 1 if self_in_k else k
    if real == 0:
        return np.zeros(len(bank), np.float32)
    density = mean_distance(neighbours_without_self(bank, index, real, report), real, distance)
    return (density * np.float32(real / k)).astype(np.float32)


def without_rows(table: NeighbourTable, rows: NDArray[np.integer], excluded: NDArray[np.bool_]) -> NeighbourTable:
    """The neighbour lists of some rows with the excluded bank rows taken out.

    Args:
        table: Neighbours of every bank vector.
        rows: Which bank vectors, int64 `(q,)`.
        excluded: bool `(N,)`: bank rows that are left out.
    """
    d, r = table.squared[rows], table.rows[rows]
    return NeighbourTable(*_dropped(d, r, (r >= 0) & excluded[r]))


def _dropped(
    squared: NDArray[np.float32], rows: NDArray[np.integer], drop: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.integer]]:
    """Lists with the marked entries moved out, the rest in order, the end filled with infinity and -1."""
    order = np.argsort(drop, axis=1, kind="stable")
    squared = np.take_along_axis(np.where(drop, np.float32(np.inf), squared), order, 1)
    return squared, np.take_along_axis(np.where(drop, -1, rows), order, 1)


def _empty_lists(count: int, k: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """For the distances and rows of `count` vectors, each of which will be set."""
    what = "nearest neighbours"
    return roomy((count, k), np.float32, what), roomy((count, k), np.int32, what)


def _blocks(total: int, size: int = 2048) -> list[slice]:
    return [slice(low, low + size) for low in range(0, total, size)]
