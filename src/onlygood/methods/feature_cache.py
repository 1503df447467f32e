"""Patch features of the training images, computed once and read many times while a head is trained on them."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onlygood.memory.bank import halved
from onlygood.memory.spill import roomy

#: Bytes that the features may take in single precision; more are kept in half precision.
IN_FULL = 2**28
#: Bytes that they may take in half precision in memory; more are kept in a temporary file, mapped into memory.
IN_MEMORY = 2**31


class FeatureCache:
    """Patch features of `n` images.

    Args:
        shape: `(n, h, w, D)`.
        in_full: Bytes in single precision up to which nothing is rounded.
        in_memory: Bytes in half precision up to which memory is used; beyond it a file in the system's folder for
            temporary files (`TMPDIR`).

    Raises:
        DataError: The folder for temporary files has no room.
    """

    def __init__(self, shape: tuple[int, int, int, int], in_full: int = IN_FULL, in_memory: int = IN_MEMORY) -> None:
        self._values: NDArray[np.floating]
        count = int(np.prod(shape, dtype=np.int64))
        if 4 * count <= in_full:
            self._values = np.empty(shape, np.float32)
        else:
            self._values = roomy(shape, np.float16, "features", in_memory)
        self._images = np.arange(shape[0])

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """`(n, h, w, D)`."""
        _, h, w, dim = self._values.shape
        return len(self._images), h, w, dim

    @property
    def rounded(self) -> bool:
        """Whether the features are kept in half precision."""
        return self._values.dtype == np.float16

    def __len__(self) -> int:
        return len(self._images)

    def fill(self, batches: Iterable[NDArray[np.float32]]) -> Self:
        """Take over the features of all images, batch by batch `(b, h, w, D)`, in order."""
        row = 0
        for batch in batches:
            self._values[row : row + len(batch)] = halved(batch) if self.rounded else batch
            row += len(batch)
        return self

    def __getitem__(self, images: Any) -> NDArray[np.float32]:
        """Features float32 `(b, h, w, D)` of some images, by number or slice."""
        return np.asarray(self._values[self._images[images]], np.float32)

    def std(self) -> float:
        """Standard deviation over all patches, the mean over the channels."""
        total, squares, count = np.zeros(self.shape[-1]), np.zeros(self.shape[-1]), 0
        middle = np.asarray(self[:1], np.float64).mean(axis=(0, 1, 2))  # near the mean, so that no digits are lost
        for image in range(len(self)):
            values = np.asarray(self[[image]], np.float64).reshape(-1, self.shape[-1]) - middle
            total += values.sum(axis=0)
            squares += np.einsum("nd,nd->d", values, values)
            count += len(values)
        return float(np.sqrt(np.maximum(squares / count - (total / count) ** 2, 0)).mean())

    def thinned(self, step: int) -> NDArray[np.float16]:
        """Every `step`-th patch in both directions of every image, in half precision."""
        return np.concatenate([halved(self._values[[i], ::step, ::step]) for i in self._images])

    def subset(self, images: ArrayLike) -> FeatureCache:
        """The same features with only some of the images, without a copy."""
        part = copy.copy(self)
        part._images = self._images[np.asarray(images, np.int64)]
        return part
