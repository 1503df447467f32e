"""The one result type: what a detector says of one image. CLI, reports, metrics and services all speak it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Verdict(StrEnum):
    """The answer at the line."""

    OK = "OK"
    REVIEW = "REVIEW"
    NG = "NG"


@dataclass(frozen=True)
class Region:
    """A connected area of the anomaly map above the pixel threshold.

    Attributes:
        box: `(left, top, right, bottom)` in pixels of the original image; right and bottom are exclusive.
        area: Pixels of the original image.
        peak: Highest map value inside.
    """

    box: tuple[int, int, int, int]
    area: int
    peak: float


@dataclass(frozen=True)
class Inspection:
    """What a detector says of one image.

    Attributes:
        name: The image's path, or `image 3` for the fourth array of a list.
        score: Raw image score; higher is more anomalous; never clamped or rescaled.
        p_value: Conformal p-value in (0, 1]: the share of good images at least this anomalous, counting
            the inspected one. Small means unlike the good images.
        verdict: OK, REVIEW or NG.
        map: float32 `(h, w)` anomaly map in the units of the patch scores, at the detector's input size
            or, if asked for, at the original size; None if not asked for.
        regions: Areas above the detector's pixel threshold, worst first; empty without a map.
        size: `(width, height)` of the original image in pixels.
    """

    name: str
    score: float
    p_value: float
    verdict: Verdict
    map: NDArray[np.float32] | None = None
    regions: tuple[Region, ...] = field(default=())
    size: tuple[int, int] = (0, 0)

    def as_dict(self) -> dict[str, Any]:
        """Everything but the map, as plain JSON types."""
        return {
            "name": self.name,
            "verdict": str(self.verdict),
            "score": self.score,
            "p_value": self.p_value,
            "width": self.size[0],
            "height": self.size[1],
            "regions": [{"box": list(r.box), "area": r.area, "peak": r.peak} for r in self.regions],
        }
