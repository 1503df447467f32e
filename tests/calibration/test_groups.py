from __future__ import annotations

import numpy as np

from onlygood.calibration import near_duplicate_groups
from onlygood.calibration.groups import neighbours_needed


def neighbours(nearest: list[int], grid=(6, 6), shift: int = 0) -> np.ndarray:
    """Each patch's nearest patch lies in the given image, at the same place (or `shift` rows away)."""
    h, w = grid
    cells = (np.arange(h * w) + shift * w) % (h * w)
    return np.concatenate([image * h * w + cells for image in nearest])[:, None]


def test_twins_are_found_and_others_are_not():
    assert near_duplicate_groups(neighbours([1, 0, 3, 4, 2]), 5, (6, 6)).tolist() == [0, 0, 1, 2, 3]


def test_it_must_be_mutual():
    assert len(set(near_duplicate_groups(neighbours([1, 2, 0]), 3, (6, 6)))) == 3


def test_the_place_must_agree():
    assert len(set(near_duplicate_groups(neighbours([1, 0], shift=3), 2, (6, 6)))) == 2
    assert len(set(near_duplicate_groups(neighbours([1, 0], shift=1), 2, (6, 6)))) == 1


def test_siblings_join_into_one_group():
    nearest = neighbours([1, 0, 0, 5, 5, 4])
    second = neighbours([2, 2, 1, 4, 3, 3])
    both = np.hstack([nearest, second])
    n = 8  # so few images that two neighbours count
    rest = np.full((36 * (n - 6), 2), -1)
    groups = near_duplicate_groups(np.vstack([both, rest]), n, (6, 6))
    assert neighbours_needed(n) == 2
    assert groups[:6].tolist() == [0, 0, 0, 1, 1, 1] and len(set(groups)) == n - 4


def test_gaps_count_for_nothing():
    assert near_duplicate_groups(np.full((36, 3), -1), 1, (6, 6)).tolist() == [0]
