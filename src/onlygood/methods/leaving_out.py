"""Training images scored as if they had not been learned: what the calibration is made of."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from onlygood.calibration import near_duplicate_groups
from onlygood.calibration.groups import neighbours_needed
from onlygood.errors import DataWarning
from onlygood.images.fingerprint import copies
from onlygood.memory import MemoryBank, NeighbourIndex
from onlygood.memory.density import NeighbourTable, neighbours_in_other_groups
from onlygood.progress import Report

#: With fewer images every other one is among a patch's nearest by chance.
FEWEST_TO_GROUP = 5


@dataclass(frozen=True)
class LeftOut:
    """What leaving training images out needs, while fitting.

    Attributes:
        full: The bank of all patches.
        index: Index over it.
        groups: Near-duplicate group of each training image.
        table: Neighbours of each patch of `full`, in other groups; rows of `full`.
        kept: Rows of `full` that the detector's bank keeps (a coreset), None for all.
    """

    full: MemoryBank
    index: NeighbourIndex
    groups: NDArray[np.int64]
    table: NeighbourTable
    kept: NDArray[np.integer] | None = None

    def keeping(self, rows: NDArray[np.integer]) -> LeftOut:
        """The same with a coreset."""
        return replace(self, kept=rows)

    def in_full(self, rows: NDArray[np.integer]) -> NDArray[np.integer]:
        """Rows of the detector's bank as rows of `full`."""
        return rows if self.kept is None else self.kept[rows]

    def rows_of(self, group: int) -> NDArray[np.bool_]:
        """bool `(N,)`: rows of `full` that come from a group."""
        return self.groups[self.full.image_of] == group


def leave_out(
    full: MemoryBank,
    index: NeighbourIndex,
    grid: tuple[int, int],
    k: int,
    hashes: Sequence[str] | None,
    report: Report,
) -> LeftOut:
    """Groups of near-duplicate images, and every training patch's neighbours outside its own group.

    Args:
        full: The bank of all patches.
        index: Index over it.
        grid: Patches `(h, w)` of an image.
        k: Neighbours needed.
        hashes: Pixel hash of each image, to find groups; None leaves each image out by itself.
        report: Progress.
    """
    n = int(full.image_of.max()) + 1
    images = np.arange(n)
    if hashes is None:
        return LeftOut(full, index, images, neighbours_in_other_groups(full, index, images, k, report))
    wide = neighbours_in_other_groups(full, index, images, max(k, neighbours_needed(n)), report)
    groups = copies(hashes)
    if n >= FEWEST_TO_GROUP:
        groups = with_near_duplicates(groups, wide.rows, grid, "left out by itself")
    table = wide.first(k)
    again = np.flatnonzero(np.bincount(groups)[groups[full.image_of]] > 1)
    if len(again):  # only images in a group of several need another search
        narrow = neighbours_in_other_groups(full.subset(again), index, groups, k, report, full)
        table.squared[again], table.rows[again] = narrow.squared, narrow.rows
    return LeftOut(full, index, groups, table)


def with_near_duplicates(
    groups: NDArray[np.int64], neighbours: NDArray[np.integer], grid: tuple[int, int], alone: str
) -> NDArray[np.int64]:
    """Groups of exact copies, joined where their images are near duplicates of each other.

    Args:
        groups: Group of each image, copies sharing one.
        neighbours: As `near_duplicate_groups` takes them.
        grid: Patches `(h, w)` of an image.
        alone: What becomes of each image where all would be one group, which would leave nothing to calibrate with: a
            warning says so and the groups of copies stay.
    """
    near = merged(groups, near_duplicate_groups(neighbours, len(groups), grid))
    if near.max() > 0:
        return near
    warnings.warn(
        f"All training images look like near duplicates of each other. Each is {alone}, so the false-reject promise "
        "may be too optimistic. Add good images of other parts.",
        DataWarning,
        stacklevel=7,
    )
    return groups


def merged(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Groups of images that share a group in either partition, directly or through others."""
    groups = second.copy()
    for value in np.unique(first):
        members = groups[first == value]
        groups[np.isin(groups, members)] = members.min()
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)
