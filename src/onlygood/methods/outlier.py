"""Classic local outlier scores on the memory bank: LOF and LDOF (REB, Table 6).

When a training image is left out for calibration its own patches are not found, but the densities stored with
the other patches still count it: recomputing them for every image would cost a fit each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ParameterError
from onlygood.memory.density import neighbours_without_self
from onlygood.memory.scores import ldof_score, lof_density, lof_score, pairwise_distances
from onlygood.methods.bank import NeighbourDetector, without_gaps
from onlygood.methods.leaving_out import LeftOut
from onlygood.progress import Report

Array = NDArray[np.float32]


@dataclass(kw_only=True, eq=False)
class LOF(NeighbourDetector):
    """Local outlier factor of a patch among the good ones (Breunig et al. 2000).

    Args:
        mode: `standard`; or `reb`, the form in REB's released code, whose density is one over the squared
            distance to the k-th neighbour, with k - 1 neighbours for the bank's own vectors.
    """

    k: int = 20
    mode: str = "standard"

    method: ClassVar[str] = "lof"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        **NeighbourDetector.presets,
        "released": {**NeighbourDetector.presets["released"], "mode": "reb"},
    }

    def _check_parameters(self) -> None:
        super()._check_parameters()
        self._check_known("mode", ("standard", "reb"))
        if self.mode == "reb" and self.k < 2:
            raise ParameterError("k=1: LOF as REB coded it needs at least 2 neighbours.")

    def _fit_stats(self, left_out: LeftOut, report: Report) -> dict[str, Array]:
        k = self.k - 1 if self.mode == "reb" else self.k
        table = neighbours_without_self(left_out.full, left_out.index, k, report)
        squared, rows = without_gaps(table.squared, table.rows)
        if self.mode == "reb":
            return {"reachability": lof_density(squared)}
        k_distance = np.sqrt(squared.max(axis=1))
        return {"reachability": lof_density(squared, k_distance[rows]), "k_distance": k_distance}

    def _score(self, squared: Array, rows: NDArray[np.integer]) -> Array:
        squared, rows = without_gaps(squared, rows)
        k_distance = self.stats_["k_distance"][rows] if self.mode == "standard" else None
        return lof_score(lof_density(squared, k_distance), self.stats_["reachability"][rows])


@dataclass(kw_only=True, eq=False)
class LDOF(NeighbourDetector):
    """Local distance-based outlier factor (Zhang et al. 2009): distance to the neighbours over theirs to each other.

    Needs k of at least 2.
    """

    k: int = 20

    method: ClassVar[str] = "ldof"

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.k < 2:
            raise ParameterError("k=1: LDOF compares neighbours with each other and needs at least 2.")

    def _score(self, squared: Array, rows: NDArray[np.integer]) -> Array:
        squared, rows = without_gaps(squared, rows)
        return ldof_score(squared, pairwise_distances(self.bank_.vectors[rows].astype(np.float32)))
