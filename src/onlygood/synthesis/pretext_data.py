"""Training batches of the self-supervised task: good images in all their versions."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from onlygood.synthesis.defectmaker import DefectMaker
from onlygood.synthesis.recipes import Recipe

#: Images uint8 (n, size, size, 3) and their labels (n,).
Batch: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.int64]]

#: Length of an epoch: the set is repeated to so many sources, as in the released code.
EPOCH = 2000


@dataclass(frozen=True)
class Making:
    """What batches are made of; called with a number from 0, it makes that batch.

    Attributes:
        maker: Of the defects.
        sources: Images of a batch, each in all its versions.
        seed: Of the order of sources and of the defects.
        epoch: Sources of an epoch. What is left of it after its last whole batch is dropped.
    """

    maker: DefectMaker
    sources: int
    seed: int
    epoch: int

    def __call__(self, number: int) -> Batch:
        """Batch `number`."""
        epoch, place = divmod(number, self.epoch // self.sources)
        order = np.random.default_rng((self.seed, 0, epoch)).permutation(self.epoch)
        rng = np.random.default_rng((self.seed, 1, number))
        chosen = order[place * self.sources : (place + 1) * self.sources]
        made = [version for source in chosen for version in self.maker.all_kinds(rng, int(source))]
        return np.stack([m.image for m in made]), np.array([m.label for m in made], np.int64)


class Batches(Iterator[Batch]):
    """Batches of all versions of some sources, made ahead: one in a thread, or several in processes of their own.

    Batch i depends on the seed and i alone: (n, size, size, 3) images and (n,) labels.

    Args:
        maker: Of the defects.
        recipe: How many sources, passes and updates.
        seed: Of the order of sources and of the defects.
        first: Update to begin with, from 1.
        processes: 0 for the thread: on a CPU the training takes far longer than its batches. A GPU waits for them.
    """

    def __init__(self, maker: DefectMaker, recipe: Recipe, seed: int, first: int, processes: int = 0) -> None:
        self.make: Callable[[int], Batch] = Making(maker, recipe.sources, seed, max(EPOCH, recipe.sources))
        self.worker: Executor = ThreadPoolExecutor(1)
        if processes:  # spawned: a fork would inherit the locks of torch's threads, and a GPU's context
            spawn = multiprocessing.get_context("spawn")
            self.worker = ProcessPoolExecutor(processes, spawn, _remember, (self.make,))
            self.make = _make
        self.numbers = iter(range((first - 1) * recipe.passes, recipe.updates * recipe.passes))
        self.ahead: deque[Future[Batch]] = deque()
        self.most_ahead = max(1, 2 * processes)

    def __next__(self) -> Batch:
        if not self.ahead:
            self._submit(self.most_ahead)
        if not self.ahead:
            raise StopIteration
        batch = self.ahead.popleft().result()
        self._submit(1)
        return batch

    def close(self) -> None:
        """Wait for the batches being made and stop."""
        self.worker.shutdown(wait=True, cancel_futures=True)

    def _submit(self, count: int) -> None:
        self.ahead.extend(self.worker.submit(self.make, number) for number in islice(self.numbers, count))


_remembered: Making | None = None


def _remember(making: Making) -> None:
    """In a worker process: what its batches are made of, sent once and not with each number."""
    global _remembered
    _remembered = making


def _make(number: int) -> Batch:
    assert _remembered is not None
    return _remembered(number)
