from __future__ import annotations

import numpy as np
import pytest

from onlygood.memory import MemoryBank
from onlygood.memory.bank import halved


def maps(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.random((n, 2, 3, 5), dtype=np.float32)


def test_from_stream_keeps_order_and_image_numbers(rng: np.random.Generator) -> None:
    batches = [maps(rng, 4), maps(rng, 4), maps(rng, 1)]
    bank = MemoryBank.from_stream(iter(batches), n_images=9)
    np.testing.assert_array_equal(bank.vectors, halved(np.concatenate(batches).reshape(-1, 5)))
    np.testing.assert_array_equal(bank.image_of, np.repeat(np.arange(9), 6))
    assert bank.vectors.dtype == np.float16 and bank.image_of.dtype == np.int32
    assert len(bank) == 54 and bank.n_images == 9


def test_from_stream_that_ends_early(rng: np.random.Generator) -> None:
    bank = MemoryBank.from_stream([maps(rng, 2)], n_images=5)
    assert len(bank) == 12 and bank.n_images == 2


def test_an_empty_stream() -> None:
    with pytest.raises(ValueError, match="empty"):
        MemoryBank.from_stream([], n_images=3)


def test_extended_numbers_new_images_behind_the_old(rng: np.random.Generator) -> None:
    old = MemoryBank.from_stream([maps(rng, 3)], 3)
    new = MemoryBank.from_stream([maps(rng, 2)], 2)
    both = old.extended(new)
    np.testing.assert_array_equal(both.vectors, np.concatenate([old.vectors, new.vectors]))
    np.testing.assert_array_equal(both.image_of, np.repeat(np.arange(5), 6))
    assert len(old) == 18  # a new bank, the old one unchanged


def test_extending_an_empty_bank(rng: np.random.Generator) -> None:
    new = MemoryBank.from_stream([maps(rng, 2)], 2)
    empty = MemoryBank(np.empty((0, 5), np.float16), np.empty(0, np.int32))
    np.testing.assert_array_equal(empty.extended(new).image_of, new.image_of)


def test_subset_keeps_the_order_asked_for(rng: np.random.Generator) -> None:
    bank = MemoryBank.from_stream([maps(rng, 3)], 3)
    part = bank.subset(np.array([17, 0, 6]))
    np.testing.assert_array_equal(part.vectors, bank.vectors[[17, 0, 6]])
    np.testing.assert_array_equal(part.image_of, [2, 0, 1])
    assert part.n_images == 3
