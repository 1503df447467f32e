"""PatchCore: nearest neighbours in a greedy coreset, and an image score re-weighted by the bank (Roth et al. 2022)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ParameterError, ParameterWarning
from onlygood.images import ImageSource
from onlygood.memory.bank import Vectors
from onlygood.memory.density import NeighbourTable
from onlygood.memory.scores import reweighted
from onlygood.methods.knn import KNN
from onlygood.progress import Report

if TYPE_CHECKING:
    from onlygood.features import FeatureGraph

Array = NDArray[np.float32]


@dataclass(kw_only=True, eq=False)
class PatchCore(KNN):
    """Distance to the nearest patch of a coreset of 10 %.

    Args:
        b: Neighbours of the re-weighting (the paper's eq. 7, which does not name b; anomalib has 9): the highest patch
            distance is multiplied by w = 1 - exp|f* - m*| / sum of exp|f* - m| over the b bank vectors m nearest to m*,
            with f* the highest patch, m* its nearest bank vector and m* among the b. 0: none, as in the official code;
            1: w is 0 for every image, which is warned of. Needs k=1, distance="euclidean" and image_score="max".
        patch_size: Side p of the neighbourhood whose features are averaged, in cells of each feature map; odd.
    """

    coreset: float = 0.1
    b: int = 0
    patch_size: int = 3

    method: ClassVar[str] = "patchcore"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {"b": 9, "distance": "euclidean", "image_score": "max"},
        "released": {"aggregator": "adaptive", "image_score": "max"},
        "quick": {"coreset": 0.01},
    }

    @property
    def _monotone(self) -> bool:
        return self.b == 0  # a weight may rise when the bank grows

    def _make_graph(self, sources: list[ImageSource], report: Report) -> FeatureGraph:
        return self._feature_graph(self.patch_size)

    def _decide(
        self, patches: Array, neighbours: NeighbourTable, queries: Vectors, allowed: NDArray[np.bool_] | None = None
    ) -> float:
        if not self.b:
            return super()._decide(patches, neighbours, queries, allowed)
        highest = int(patches.argmax())
        nearest = int(neighbours.rows[highest, 0])
        rows = self.index_.search(self.bank_.vectors[[nearest]], self.b, allowed)[1][0]
        others = rows[(rows >= 0) & (rows != nearest)]  # equal vectors may come before m* itself
        support = self.bank_.vectors[[nearest, *others[: self.b - 1]]]
        distances = np.sqrt(((support.astype(np.float32) - queries[highest].astype(np.float32)) ** 2).sum(axis=1))
        return float(reweighted(distances[:1], distances[None])[0])

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if not isinstance(self.b, int) or isinstance(self.b, bool) or self.b < 0:
            raise ParameterError(f"b={self.b!r}: a whole number, 0 for no re-weighting.")
        if self.b and (self.k, self.distance, self.image_score) != (1, "euclidean", "max"):
            raise ParameterError(
                f"b={self.b} re-weights the Euclidean distance of the highest patch: it needs k=1, "
                "distance='euclidean' and image_score='max', as the preset paper has them. Or take b=0."
            )
        if self.b == 1:
            warnings.warn(
                "b=1: the only neighbour of m* is m* itself, so the weight and every image score are 0. Take b of at "
                "least 2, or 0 for no re-weighting.",
                ParameterWarning,
                stacklevel=3,
            )
