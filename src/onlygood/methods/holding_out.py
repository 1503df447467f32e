"""Good images that are held out of a training: what the calibration of a trained network is made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


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
