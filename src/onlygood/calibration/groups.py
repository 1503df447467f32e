"""Near-duplicate images in the training folder: found, so that they do not vouch for each other.

Several exposures or frames of one part make the leave-one-image-out scores too good to be true: the
left-out image finds its twin. Leaving the whole group out mends it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Two images are near duplicates when each covers this share of the other, patch by patch.
MUTUAL_SHARE = 0.7
#: Grid cells by which the same place may have moved.
TOLERANCE = 2
#: Neighbours looked at grow with the number of images, up to this many.
MOST_NEIGHBOURS = 30


def neighbours_needed(n_images: int) -> int:
    """How many nearest patches of other images the rule looks at, for each patch.

    Three at least, or siblings would crowd each other out; one in 25 images of a large set, where chance
    would cover 4 %; and never more than a quarter of a small one.
    """
    return max(1, min(max(3, round(n_images / 25)), n_images // 4, MOST_NEIGHBOURS))


def near_duplicate_groups(neighbours: NDArray[np.integer], n_images: int, grid: tuple[int, int]) -> NDArray[np.int64]:
    """Group images of which each patch is found, at the same place, in the other, and the other way round.

    Image j covers image i to the share of i's patches that have, among their nearest patches of other
    images, one of j at most two grid cells away. Both shares must reach 70 %; groups are the connected
    components.

    Args:
        neighbours: Full-bank row numbers int `(n_images * h * w, k)` of the patches' neighbours in other
            images, row-major in image, row, column; -1 where there is none.
        n_images: Training images.
        grid: Patches `(h, w)` of an image.

    Returns:
        int64 `(n_images,)` group number of each image, counted from 0 in order of first appearance.
    """
    h, w = grid
    k = min(neighbours_needed(n_images), neighbours.shape[1])
    covered = np.zeros((n_images, n_images), np.float32)
    place = np.arange(h * w)
    for image in range(n_images):
        rows = neighbours[image * h * w : (image + 1) * h * w, :k]
        other, cell = np.divmod(rows, h * w)
        near = (np.abs(cell // w - (place // w)[:, None]) <= TOLERANCE) & (
            np.abs(cell % w - (place % w)[:, None]) <= TOLERANCE
        )
        near &= rows >= 0
        once = np.unique(np.nonzero(near)[0] * n_images + other[near])  # each image once per patch
        covered[image] = np.bincount(once % n_images, minlength=n_images)
    covered /= h * w
    return _components(np.minimum(covered, covered.T) >= MUTUAL_SHARE)


def _components(linked: NDArray[np.bool_]) -> NDArray[np.int64]:
    groups = np.full(len(linked), -1, np.int64)
    count = 0
    for first in range(len(linked)):
        if groups[first] >= 0:
            continue
        waiting = [first]
        groups[first] = count
        while waiting:
            for other in np.flatnonzero(linked[waiting.pop()] & (groups < 0)):
                groups[other] = count
                waiting.append(int(other))
        count += 1
    return groups
