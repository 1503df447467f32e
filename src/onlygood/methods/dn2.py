"""DN2: nearest neighbours of whole-image features (Bergman, Cohen and Hoshen 2020); image level only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from onlygood.methods.knn import KNN


@dataclass(kw_only=True, eq=False)
class DN2(KNN):
    """Mean distance of the image embedding to those of the k nearest good images (BTM, eq. 5).

    The embedding is the global average of the backbone's last feature map (of each of `layers`, if given). There is no
    anomaly map. Its groups of near duplicates are exact copies only: one vector for an image tells no more.
    """

    k: int = 2
    aggregator: str = "pooled"
    image_score: str = "max"

    method: ClassVar[str] = "dn2"
    aggregators: ClassVar[tuple[str, ...]] = ("pooled",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {"paper": {}, "released": {}, "quick": {}}

    @property
    def has_map(self) -> bool:
        """Never: the score is of the whole image."""
        return False
