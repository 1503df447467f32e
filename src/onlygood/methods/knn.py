"""Plain nearest neighbours: the distance to the k nearest good patches, or to the k-th."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from onlygood.memory.scores import knn_score, kth_nn_score
from onlygood.methods.bank import BankDetector, check_neighbours

Array = NDArray[np.float32]


@dataclass(kw_only=True, eq=False)
class KNN(BankDetector):
    """Mean squared distance to the k nearest good patches (REB, Table 6; k=1 is PatchCore's full bank).

    Args:
        k: Neighbours.
    """

    k: int = 1

    method: ClassVar[str] = "knn"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {"image_score": "max"},
        "released": {"image_score": "avgpool3_max", "aggregator": "adaptive"},
        "quick": {"coreset": 0.1},
    }
    _monotone = True

    @property
    def _k(self) -> int:
        return self.k

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_neighbours(self.k)

    def _score(self, squared: Array, rows: NDArray[np.int64]) -> Array:
        return knn_score(_without_gaps(squared))


@dataclass(kw_only=True, eq=False)
class KthNN(KNN):
    """Squared distance to the k-th nearest good patch (Byers and Raftery 1998; REB, Table 6)."""

    k: int = 5

    method: ClassVar[str] = "kth_nn"

    def _score(self, squared: Array, rows: NDArray[np.int64]) -> Array:
        return kth_nn_score(_without_gaps(squared))


def _without_gaps(squared: Array) -> Array:
    """Where the bank holds fewer than k vectors, the farthest one found stands for the missing."""
    if np.isfinite(squared).all():
        return squared
    there = np.isfinite(squared)
    farthest = np.where(there, squared, -np.inf).max(axis=1, keepdims=True)
    return np.asarray(np.where(there, squared, farthest), np.float32)
