from __future__ import annotations

from importlib.util import find_spec

import pytest

from onlygood.errors import DataError
from onlygood.images import read_image
from onlygood.images.datasets.elpv import load_elpv

needs_data = pytest.mark.skipif(
    find_spec("elpv_dataset") is None, reason="the data package elpv-dataset is not installed"
)


@needs_data
@pytest.mark.parametrize(("cells", "good", "defective"), [("mono", 588, 313), ("poly", 920, 402)])
def test_counts_are_the_published_ones(cells: str, good: int, defective: int) -> None:
    split = load_elpv(cells)
    held_out = [sample for sample in split.test if sample.label == 0]
    assert len(split.train) + len(held_out) == good
    assert len(split.test) - len(held_out) == defective
    assert 0.12 < len(held_out) / good < 0.28
    assert not {sample.path for sample in split.test} & set(split.train)


@needs_data
def test_the_split_is_always_the_same_and_sorted() -> None:
    first, second = load_elpv("mono"), load_elpv("mono")
    assert first == second
    assert first.train == sorted(first.train)
    assert read_image(first.train[0]).shape == (300, 300, 3)
    assert read_image(first.test[-1].path).shape == (300, 300, 3)


def test_unknown_cells() -> None:
    with pytest.raises(DataError, match="mono"):
        load_elpv("thin-film")
