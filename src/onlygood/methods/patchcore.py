"""PatchCore (Roth et al. 2022) as REB compares with it: 1-NN distance to a greedy coreset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from onlygood.methods.knn import KNN


@dataclass(kw_only=True, eq=False)
class PatchCore(KNN):
    """1-NN in a coreset of 10 %; the image score is the highest patch, as the official code has it.

    The re-weighting of the paper's eq. 7 is not part of this class.
    """

    coreset: float = 0.1
    image_score: str = "max"

    method: ClassVar[str] = "patchcore"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {},
        "released": {"aggregator": "adaptive"},
        "quick": {"coreset": 0.01},
    }
