"""Plain nearest neighbours: the distance to the k nearest good patches, or to the k-th."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from onlygood.memory.scores import knn_score, kth_nn_score
from onlygood.methods.bank import NeighbourDetector, without_gaps

Array = NDArray[np.float32]


@dataclass(kw_only=True, eq=False)
class KNN(NeighbourDetector):
    """Mean distance to the k nearest good patches (REB, Table 6; k=1 is PatchCore's full bank).

    Args:
        distance: `sqeuclidean` (released codes) or `euclidean` (papers).
    """

    distance: str = "sqeuclidean"

    method: ClassVar[str] = "knn"

    @property
    def _monotone(self) -> bool:
        return True

    def _score(self, squared: Array, rows: NDArray[np.integer]) -> Array:
        return knn_score(without_gaps(squared, rows)[0], self.distance)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        self._check_known("distance", ("sqeuclidean", "euclidean"))


@dataclass(kw_only=True, eq=False)
class KthNN(KNN):
    """Distance to the k-th nearest good patch (Byers and Raftery 1998; REB, Table 6)."""

    k: int = 5

    method: ClassVar[str] = "kth_nn"

    def _score(self, squared: Array, rows: NDArray[np.integer]) -> Array:
        return kth_nn_score(without_gaps(squared, rows)[0], self.distance)
