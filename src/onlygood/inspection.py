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


#: What each branch of a method with several maps finds.
REASONS = {"local": "structural", "global": "logical"}


@dataclass(frozen=True)
class Region:
    """A connected area of the anomaly map above the pixel threshold.

    Attributes:
        box: `(left, top, right, bottom)` in pixels of the original image; right and bottom are exclusive.
        area: Pixels of the original image.
        peak: Highest map value inside.
        branch: Of a method with several maps, the one that is furthest here beyond what it reaches in good images
            (`local` or `global`); else empty.
    """

    box: tuple[int, int, int, int]
    area: int
    peak: float
    branch: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types; the branch only where there is one."""
        table = {"box": list(self.box), "area": self.area, "peak": self.peak}
        return {**table, "branch": self.branch} if self.branch else table


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
        maps: Of a method with several maps, what `map` is the mean of, by name and of its size; else empty. ULSAD has
            `local` (the patch itself looks wrong) and `global` (it does not belong there).
        levels: What each of `maps` reaches in good images.
    """

    name: str
    score: float
    p_value: float
    verdict: Verdict
    map: NDArray[np.float32] | None = None
    regions: tuple[Region, ...] = field(default=())
    size: tuple[int, int] = (0, 0)
    maps: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    levels: dict[str, float] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """What kind of anomaly the worst region looks like; empty without regions, or if the method does not tell.

        `structural`: there the local branch is further beyond what it reaches in good images, `logical`: the global
        one is.
        A hint, not a verdict: a scratch also is where none belongs, so the branches often agree.
        """
        return REASONS.get(self.regions[0].branch, "") if self.regions else ""

    def as_dict(self) -> dict[str, Any]:
        """Everything but the maps, as plain JSON types; the reason only where there is one."""
        return {
            "name": self.name,
            "verdict": str(self.verdict),
            "score": self.score,
            "p_value": self.p_value,
            "width": self.size[0],
            "height": self.size[1],
            "regions": [region.as_dict() for region in self.regions],
            **({"reason": self.reason} if self.reason else {}),
        }
