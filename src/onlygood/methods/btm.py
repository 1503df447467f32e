"""BTM: other distances for detecting than for localising (Lin and Li, "Back to the Metrics", 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ParameterError
from onlygood.memory.bank import Vectors
from onlygood.memory.density import NeighbourTable
from onlygood.memory.scores import knn_score
from onlygood.methods.anomaly_map import image_score
from onlygood.methods.bank import check_neighbours, without_gaps
from onlygood.methods.scan_bank import ScanDetector

Array = NDArray[np.float32]


@dataclass(kw_only=True, eq=False)
class BTM(ScanDetector):
    """BTF with two metrics.

    To detect, the distance to the nearest good patch counts (eq. 7); to localise, the mean squared distance to the k
    nearest (eq. 6), which evens out single odd vectors of the bank.

    Args:
        k: Neighbours of the map.
        k_image: Neighbours of the image score; of their Euclidean distances the mean is taken (eq. 5).
        distance: Of the map: `sqeuclidean` (the text) or `euclidean` (eq. 6 as it is printed).
        map_taps: Length of the map's Gaussian kernel in pixels, odd; None for one cut at four `map_sigma`.
    """

    k: int = 3
    k_image: int = 1
    distance: str = "sqeuclidean"
    map_taps: int | None = 15

    method: ClassVar[str] = "btm"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {**ScanDetector._released, "image_score": "max"},
        "released": {**ScanDetector._released, "image_score": "max", "aggregator": "btm"},
        "quick": {"coreset": 0.01, "neighbours": 40},
    }

    @property
    def _k(self) -> int:
        return max(self.k, self.k_image)

    def _score(self, squared: Array, rows: NDArray[np.integer]) -> Array:
        return knn_score(without_gaps(squared[:, : self.k], rows[:, : self.k])[0], self.distance)

    def _decide(
        self, patches: Array, neighbours: NeighbourTable, queries: Vectors, allowed: NDArray[np.bool_] | None = None
    ) -> float:
        nearest = neighbours.squared[:, : self.k_image], neighbours.rows[:, : self.k_image]
        distances = knn_score(without_gaps(*nearest)[0], "euclidean")
        return image_score(distances.reshape(patches.shape), self.image_score)

    @property
    def _taps(self) -> int | None:
        return self.map_taps

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_neighbours(self.k)
        check_neighbours(self.k_image)
        knn_score(np.zeros((1, 1), np.float32), self.distance)  # raises for an unknown one
        taps = self.map_taps
        if taps is not None and (not isinstance(taps, int) or isinstance(taps, bool) or taps < 1 or taps % 2 == 0):
            raise ParameterError(f"map_taps={taps!r}: an odd whole number, or none.")
