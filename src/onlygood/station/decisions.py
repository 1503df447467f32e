"""The currency of the station: one decision about one image, as it is recorded, answered and sent on."""

from __future__ import annotations

import datetime
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from onlygood.inspection import Verdict


@dataclass(frozen=True)
class Thresholds:
    """What the verdict is made with. Scores above `ng` are NG, others above `review` are REVIEW.

    Attributes:
        ng: Infinite while nothing is calibrated.
        review: At most `ng`; minus infinity while nothing is calibrated.
    """

    ng: float
    review: float

    def verdict(self, score: float) -> Verdict:
        """OK, REVIEW or NG."""
        if score > self.ng:
            return Verdict.NG
        return Verdict.REVIEW if score > self.review else Verdict.OK


@dataclass(frozen=True)
class Decision:
    """One decision about one image.

    Attributes:
        id: 32 hexadecimal digits that sort by time of making, unique over restarts (`new_id`).
        time: When it was made, UTC.
        recipe: Name of the recipe that was asked.
        model: SHA-256 of the model file that answered, 64 hexadecimal digits.
        source: Where the image came from: `rest`, `folder:NAME` or `camera:NAME`.
        name: What the sender called the image.
        verdict: OK, REVIEW or NG.
        score: Raw image score.
        p_value: Conformal p-value of the score among the good images of the calibration, in (0, 1].
        thresholds: Those the verdict was made with.
        pixel_threshold: Map values above it made the regions; infinite without.
        reason: `structural`, `logical` or empty.
        regions: As `Region.as_dict`, worst first.
        width: Of the image, pixels.
        height: Of the image, pixels.
        digest: SHA-256 of the image file as it was received.
        wait_ms: From the image's arrival to the start of its inspection.
        inspect_ms: From bytes to verdict.
        picture: File of the kept image, relative to the folder of pictures; empty if it was not kept.
        map_picture: File of the kept map (`pictures.py`), likewise.
    """

    id: str
    time: datetime.datetime
    recipe: str
    model: str
    source: str
    name: str
    verdict: Verdict
    score: float
    p_value: float
    thresholds: Thresholds
    pixel_threshold: float
    reason: str
    regions: tuple[Mapping[str, Any], ...]
    width: int
    height: int
    digest: str
    wait_ms: float
    inspect_ms: float
    picture: str = ""
    map_picture: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types; numbers that are not finite become None."""
        table = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            **table,
            "time": self.time.isoformat(timespec="milliseconds"),
            "verdict": str(self.verdict),
            "thresholds": {"ng": finite(self.thresholds.ng), "review": finite(self.thresholds.review)},
            "pixel_threshold": finite(self.pixel_threshold),
            "regions": [dict(region) for region in self.regions],
        }

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Decision:
        """The inverse of `as_dict`; raises KeyError, TypeError or ValueError if it is none."""
        limits = table["thresholds"]
        return cls(
            **{
                **table,
                "time": datetime.datetime.fromisoformat(table["time"]),
                "verdict": Verdict(table["verdict"]),
                "thresholds": Thresholds(
                    float("inf") if limits["ng"] is None else limits["ng"],
                    float("-inf") if limits["review"] is None else limits["review"],
                ),
                "pixel_threshold": float("inf") if table["pixel_threshold"] is None else table["pixel_threshold"],
                "regions": tuple(table["regions"]),
            }
        )


def finite(value: float) -> float | None:
    """The number, or None where JSON has no word for it."""
    return value if value - value == 0 else None


_last = 0
_making = threading.Lock()


def new_id() -> str:
    """32 hexadecimal digits that sort by time of making.

    12 of milliseconds since 1970, 4 of a counter, 16 random. In one process they only ever rise, also when the clock is
    set back: then the last time is kept and the counter goes on.
    """
    global _last
    with _making:
        _last = max(_last + 1, time.time_ns() // 1_000_000 << 16)
        return f"{_last:016x}{os.urandom(8).hex()}"


def now() -> datetime.datetime:
    """The time of the wall clock, UTC."""
    return datetime.datetime.now(datetime.UTC)
