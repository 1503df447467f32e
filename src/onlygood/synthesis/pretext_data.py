"""Training batches of the self-supervised task: good images in all their versions."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from onlygood.synthesis.defectmaker import DefectMaker
from onlygood.synthesis.recipes import Recipe

#: Images uint8 (n, size, size, 3) and their labels (n,).
Batch: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.int64]]

#: Length of an epoch: the set is repeated to so many sources, as in the released code.
EPOCH = 2000


class Batches(Iterator[Batch]):
    """Batches of all versions of some sources, made one ahead in a thread of their own.

    Batch i depends on the seed and i alone: (n, size, size, 3) images and (n,) labels.
    """

    def __init__(self, maker: DefectMaker, recipe: Recipe, seed: int, first: int) -> None:
        self.maker, self.sources, self.seed = maker, recipe.sources, seed
        self.epoch = max(EPOCH, recipe.sources)
        self.number = (first - 1) * recipe.passes
        self.last = recipe.updates * recipe.passes - 1
        self.worker = ThreadPoolExecutor(1)
        self.ahead: Future[Batch] | None = None

    def __next__(self) -> Batch:
        ready = self.ahead or self.worker.submit(self.make, self.number)
        batch = ready.result()
        self.number += 1
        self.ahead = self.worker.submit(self.make, self.number) if self.number <= self.last else None
        return batch

    def make(self, number: int) -> Batch:
        """Batch `number`, counted from 0. What is left of an epoch after its last whole batch is dropped."""
        epoch, place = divmod(number, self.epoch // self.sources)
        order = np.random.default_rng((self.seed, 0, epoch)).permutation(self.epoch)
        rng = np.random.default_rng((self.seed, 1, number))
        chosen = order[place * self.sources : (place + 1) * self.sources]
        made = [version for source in chosen for version in self.maker.all_kinds(rng, int(source))]
        return np.stack([m.image for m in made]), np.array([m.label for m in made], np.int64)

    def close(self) -> None:
        """Wait for the batch being made and stop."""
        self.worker.shutdown(wait=True, cancel_futures=True)
