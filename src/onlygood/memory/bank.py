"""The memory bank: the patch vectors of the good images, and which image each came from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onlygood.memory.spill import roomy

Vectors = NDArray[np.float16]

#: Largest number that half precision holds.
_MOST = float(np.finfo(np.float16).max)


def halved(features: NDArray[np.floating]) -> Vectors:
    """Features in half precision, as the bank keeps them and as queries are put to it.

    It halves memory and model file. Both sides of every distance are rounded alike, so that a patch of the
    bank is at distance 0 from itself. What half precision cannot hold is cut off at 65504.
    """
    if features.dtype == np.float16:
        return features
    return np.clip(features, -_MOST, _MOST).astype(np.float16)


@dataclass(frozen=True)
class MemoryBank:
    """Patch features of good images.

    Attributes:
        vectors: float16 `(N, D)`.
        image_of: int32 `(N,)`: number of the training image a vector came from.
    """

    vectors: Vectors
    image_of: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def n_images(self) -> int:
        """Images that have at least one vector in the bank."""
        return len(np.unique(self.image_of))

    def subset(self, rows: NDArray[np.integer]) -> MemoryBank:
        """The bank of the given rows (a coreset)."""
        return MemoryBank(np.ascontiguousarray(self.vectors[rows]), self.image_of[rows])

    def extended(self, other: MemoryBank) -> MemoryBank:
        """Both banks, image numbers of `other` moved behind this one's."""
        first = int(self.image_of.max()) + 1 if len(self) else 0
        return MemoryBank(
            np.concatenate([self.vectors, other.vectors]),
            np.concatenate([self.image_of, other.image_of + np.int32(first)]),
        )

    @classmethod
    def from_stream(cls, batches: Iterable[NDArray[np.float32]], n_images: int) -> MemoryBank:
        """Collect feature maps `(n, h, w, D)`, batch by batch, into one preallocated bank; a large one is spilled."""
        vectors: Vectors | None = None
        row = 0
        per_image = 0
        for batch in batches:
            flat = batch.reshape(-1, batch.shape[-1])
            if vectors is None:
                per_image = batch.shape[1] * batch.shape[2]
                vectors = roomy((n_images * per_image, batch.shape[-1]), np.float16, "patch vectors")
            vectors[row : row + len(flat)] = halved(flat)
            row += len(flat)
        if vectors is None:
            raise ValueError("no features: the stream of images is empty")
        image_of = np.repeat(np.arange(row // per_image, dtype=np.int32), per_image)
        return cls(vectors[:row], image_of)
