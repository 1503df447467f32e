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
from onlygood.memory import MemoryBank, NeighbourIndex, build_index
from onlygood.memory.bank import halved
from onlygood.memory.density import NeighbourTable, neighbours_in_other_groups
from onlygood.methods.feature_cache import FeatureCache
from onlygood.progress import Report

#: With fewer images every other one is among a patch's nearest by chance.
FEWEST_TO_GROUP = 5

#: Folds that stand in for leaving out one image at a time when there are more images.
FOLDS = 20

#: Patches on a side of the grid on which near duplicates are looked for, at least, where there is no bank to be
#: searched anyway; more only cost time.
GRID = 16


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
    images = copies(hashes) if hashes is not None and grid == (1, 1) else np.arange(n)
    if hashes is None or grid == (1, 1):  # of a single vector for an image only exact copies can be told
        return LeftOut(full, index, images, neighbours_in_other_groups(full, index, images, k, grid, report))
    wide = neighbours_in_other_groups(full, index, images, max(k, neighbours_needed(n)), grid, report)
    groups = copies(hashes)
    if n >= FEWEST_TO_GROUP:
        groups = with_near_duplicates(groups, wide.rows, grid, "left out by itself")
    table = wide.first(k)
    again = np.flatnonzero(np.bincount(groups)[groups[full.image_of]] > 1)
    if len(again):  # only images in a group of several need another search
        narrow = neighbours_in_other_groups(full.subset(again), index, groups, k, grid, report, full)
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


def groups_of(
    features: NDArray[np.floating] | FeatureCache, hashes: Sequence[str], near: bool, alone: str, report: Report
) -> NDArray[np.int64]:
    """Group number int64 `(n,)` of each training image, for detectors without a memory bank.

    The rule is that of `leave_out`, on a thinned grid of patches.

    Args:
        features: Patch features `(n, h, w, D)` of all images.
        hashes: Pixel hash of each.
        near: Whether near duplicates share a group, too, as exact copies do.
        alone: As for `with_near_duplicates`.
        report: Progress.
    """
    groups = copies(hashes)
    n, h, w, dim = features.shape
    if not near or n < FEWEST_TO_GROUP:
        return groups
    step = max(1, min(h, w) // GRID)
    thin = features.thinned(step) if isinstance(features, FeatureCache) else halved(features[:, ::step, ::step])
    grid = (thin.shape[1], thin.shape[2])
    bank = MemoryBank(thin.reshape(-1, dim), np.repeat(np.arange(n, dtype=np.int32), grid[0] * grid[1]))
    index = build_index(bank.vectors, "auto")
    table = neighbours_in_other_groups(bank, index, np.arange(n), neighbours_needed(n), grid, report)
    return with_near_duplicates(groups, table.rows, grid, alone)


def folds(groups: NDArray[np.integer], seed: int) -> NDArray[np.int64]:
    """Fold of each image, int64 `(n,)`: groups stay together, every group is its own fold where there are few."""
    numbers = np.unique(groups, return_inverse=True)[1]
    count = int(numbers.max()) + 1
    return np.asarray(np.random.default_rng(seed).permutation(count)[numbers] % min(count, FOLDS), np.int64)


def merged(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Groups of images that share a group in either partition, directly or through others."""
    groups = second.copy()
    for value in np.unique(first):
        members = groups[first == value]
        groups[np.isin(groups, members)] = members.min()
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)
