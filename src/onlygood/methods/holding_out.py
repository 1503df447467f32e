"""Good images that are held out of a training: what the calibration of a trained network is made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from onlygood.calibration.groups import neighbours_needed
from onlygood.images.fingerprint import copies
from onlygood.memory import MemoryBank, build_index
from onlygood.memory.density import neighbours_in_other_groups
from onlygood.methods.feature_cache import FeatureCache
from onlygood.methods.leaving_out import FEWEST_TO_GROUP, with_near_duplicates
from onlygood.progress import Report

#: Patches on a side of the grid on which near duplicates are looked for, at least; more only cost time.
GRID = 16


def find_groups(features: FeatureCache, hashes: Sequence[str], near: bool, report: Report) -> NDArray[np.int64]:
    """Group number of each image: exact copies and, if asked for, near duplicates share one.

    The rule is that of the bank methods (`calibration.groups`), on a thinned grid of patches.

    Args:
        features: Of all images.
        hashes: Pixel hash of each.
        near: Whether near duplicates are looked for, too.
        report: Progress.
    """
    groups = copies(hashes)
    n, h, w, dim = features.shape
    if not near or n < FEWEST_TO_GROUP:
        return groups
    thin = features.thinned(max(1, min(h, w) // GRID))
    grid = (thin.shape[1], thin.shape[2])
    bank = MemoryBank(thin.reshape(-1, dim), np.repeat(np.arange(n, dtype=np.int32), grid[0] * grid[1]))
    index = build_index(bank.vectors, "auto")
    table = neighbours_in_other_groups(bank, index, np.arange(n), neighbours_needed(n), report)
    return with_near_duplicates(groups, table.rows, grid, "taken for a part of its own")


def hold_out(groups: NDArray[np.int64], share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split images into those to learn from and those to calibrate with, group by group.

    The share of the groups is drawn at random, at least one and never all. Of each group drawn one image, drawn
    at random, is calibrated with; the others of it are neither learned nor calibrated with, so that the held-out
    images are draws of different parts.

    Args:
        groups: Group number of each image `(n,)`.
        share: Of the groups, above 0 and below 1.
        seed: Of both draws.

    Returns:
        Numbers of the images learned from and of those held out, ascending. With a single group all are learned
        from and none is held out.
    """
    rng = np.random.default_rng(seed)
    names = groups[np.sort(np.unique(groups, return_index=True)[1])]  # in order of appearance, whatever their numbers
    if len(names) < 2:
        return np.arange(len(groups)), np.empty(0, np.int64)
    count = min(max(1, round(share * len(names))), len(names) - 1)
    drawn = rng.permutation(names)[:count]
    held_out = [int(rng.choice(np.flatnonzero(groups == name))) for name in drawn]
    return np.flatnonzero(~np.isin(groups, drawn)), np.sort(np.asarray(held_out, np.int64))
