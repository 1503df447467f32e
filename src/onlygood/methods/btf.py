"""BTF: colour and FPFH in one memory bank (Horwitz and Hoshen, "Back to the Feature", 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ParameterError
from onlygood.memory.bank import Vectors
from onlygood.memory.density import NeighbourTable
from onlygood.memory.scores import knn_score, reweighted
from onlygood.methods.anomaly_map import IMAGE_SCORES
from onlygood.methods.bank import check_neighbours
from onlygood.methods.scan_bank import ScanDetector

Array = NDArray[np.float32]


@dataclass(kw_only=True, eq=False)
class BTF(ScanDetector):
    """PatchCore on patches of colour and geometry.

    A patch's score is its Euclidean distance to the nearest good patch; of the highest patch, re-weighted by how dense
    the bank is there, the image score is made.

    Args:
        image_score: `reweighted` (the paper), or as in the other methods.
        b: Bank vectors nearest to m* that the re-weighting looks at, m* itself counted but left out of the sum.
    """

    image_score: str = "reweighted"
    b: int = 3

    method: ClassVar[str] = "btf"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": ScanDetector._released,
        "released": {**ScanDetector._released, "aggregator": "btf"},
        "quick": {"coreset": 0.01, "neighbours": 40},
    }
    _image_scores: ClassVar[tuple[str, ...]] = (*IMAGE_SCORES, "reweighted")

    @property
    def _k(self) -> int:
        return 1

    def _score(self, squared: Array, rows: NDArray[np.integer]) -> Array:
        return knn_score(squared, "euclidean")

    def _decide(
        self, patches: Array, neighbours: NeighbourTable, queries: Vectors, allowed: NDArray[np.bool_] | None = None
    ) -> float:
        if self.image_score != "reweighted":
            return super()._decide(patches, neighbours, queries, allowed)
        highest = int(patches.argmax())
        nearest = self.bank_.vectors[neighbours.rows[highest, :1]]
        rows = self.index_.search(nearest, self.b, allowed)[1][0, 1:]
        rows = rows[rows >= 0]
        apart = self.bank_.vectors[rows].astype(np.float32) - queries[highest].astype(np.float32)
        around = np.sqrt(np.einsum("bd,bd->b", apart, apart))
        return float(reweighted(patches.reshape(-1)[highest : highest + 1], around[None], apart.shape[1] ** 0.5)[0])

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_neighbours(self.b)
        if self.b < 2:
            raise ParameterError("b=1: m* alone leaves nothing in the sum. Take at least 2.")
