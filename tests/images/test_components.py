from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from onlygood.errors import ParameterError
from onlygood.images.components import label_components

ndimage = pytest.importorskip("scipy.ndimage")


def reference(mask: np.ndarray) -> tuple[np.ndarray, int]:
    return ndimage.label(mask, structure=np.ones((3, 3)))


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=14)))
def test_random_masks_agree_with_scipy(mask: np.ndarray) -> None:
    labels, count = label_components(mask)
    assert labels.dtype == np.int32
    expected, expected_count = reference(mask) if mask.size else (np.zeros(mask.shape), 0)
    assert count == expected_count
    np.testing.assert_array_equal(labels, expected)


@given(st.integers(0, 2**32 - 1), st.floats(0.02, 0.98))
def test_larger_masks_agree_with_scipy(seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((61, 83)) < share
    labels, count = label_components(mask)
    expected, expected_count = reference(mask)
    assert count == expected_count
    np.testing.assert_array_equal(labels, expected)


def test_corners_connect() -> None:
    assert label_components(np.eye(5, dtype=bool))[1] == 1
    assert label_components(np.fliplr(np.eye(5, dtype=bool)))[1] == 1


def test_the_end_of_a_row_does_not_touch_the_start_of_the_next() -> None:
    mask = np.zeros((2, 4), dtype=bool)
    mask[0, 3] = mask[1, 0] = True
    assert label_components(mask)[1] == 2


def test_a_spiral_and_a_comb_are_one_component() -> None:
    comb = np.zeros((40, 41), dtype=bool)
    comb[:, ::2] = True
    comb[-1] = True
    assert label_components(comb)[1] == 1
    spiral = np.zeros((31, 31), dtype=bool)
    y = x = 0
    dy, dx, leg = 0, 1, 30
    for turn in range(15):
        for _ in range(leg):
            spiral[y, x] = True
            y, x = y + dy, x + dx
        dy, dx = dx, -dy
        if turn % 2 == 0 and turn:
            leg -= 2
    assert label_components(spiral)[1] == reference(spiral)[1]


def test_components_are_numbered_in_reading_order() -> None:
    mask = np.array([[0, 0, 0, 1], [1, 0, 0, 0], [0, 0, 1, 0]])
    labels, count = label_components(mask)
    assert count == 3
    assert [labels[0, 3], labels[1, 0], labels[2, 2]] == [1, 2, 3]


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (1, 1)])
def test_empty_masks_have_no_component(shape: tuple[int, int]) -> None:
    labels, count = label_components(np.zeros(shape, dtype=bool))
    assert count == 0
    assert labels.shape == shape


def test_a_mask_with_channels_is_refused() -> None:
    with pytest.raises(ParameterError, match="two dimensions"):
        label_components(np.zeros((4, 4, 3)))
