"""What a report is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onlygood.errors import ParameterError
from onlygood.evaluation import Evaluation
from onlygood.inspection import Inspection


@dataclass(frozen=True)
class ReportItem:
    """One inspected image.

    Attributes:
        inspection: What the detector said; with the map if an overlay is wanted.
        load: Reads the image as uint8 `(H, W, 3)`; called only if the image is shown.
        label: 1 for defective, 0 for good, None if not known.
        type: Type of the defect, or empty.
        mask: `(h, w)`, not zero where the defect is, to be outlined; or None.
    """

    inspection: Inspection
    load: Callable[[], NDArray[np.uint8]]
    label: int | None = None
    type: str = ""
    mask: ArrayLike | None = None


@dataclass(frozen=True)
class ReportData:
    """Everything a report shows. What is None or empty is left out of the page.

    Attributes:
        title: Heading, such as the name of the part.
        items: The inspected images.
        evaluation: The figures, if the images are labelled.
        review_threshold: Image score above which the verdict is REVIEW.
        ng_threshold: Image score above which the verdict is NG.
        pixel_threshold: Map score above which a place is drawn; without it no overlay is.
        map_top: Map score that gets the last colour; chosen from the maps shown if None.
        calibration_scores: Leave-one-image-out scores of the training images.
        n_training: Good images the detector was fitted on; the number of calibration scores if None.
        target_false_reject: Promised share of good images called NG, such as 0.01.
        promise: The promise in the words of the calibration; a sentence is made from the target if empty.
        note: A line of remark under the heading, such as where the images come from.
        fit_seconds: How long fitting took.
        ms_per_image: Milliseconds to inspect one image.
        detector: Method and parameters, shown as they are.
        backbone: Its id, weights hash, input size and the like.
        versions: Of the library and what it runs on.
        created: Date and time of the report, as text; now if empty.
        per_section: Images shown in each gallery at most.
    """

    title: str
    items: Sequence[ReportItem]
    evaluation: Evaluation | None = None
    review_threshold: float | None = None
    ng_threshold: float | None = None
    pixel_threshold: float | None = None
    map_top: float | None = None
    calibration_scores: ArrayLike = ()
    n_training: int | None = None
    target_false_reject: float | None = None
    promise: str = ""
    note: str = ""
    fit_seconds: float | None = None
    ms_per_image: float | None = None
    detector: Mapping[str, Any] = field(default_factory=dict)
    backbone: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    created: str = ""
    per_section: int = 9

    def __post_init__(self) -> None:
        if self.per_section < 1:
            raise ParameterError(f"per_section must be at least 1, not {self.per_section}.")
        for name in ("review_threshold", "ng_threshold", "pixel_threshold", "map_top"):
            value = getattr(self, name)
            if value is not None and not np.isfinite(value):
                raise ParameterError(f"{name} must be a finite number or None, not {value}.")
        if not np.isfinite(np.asarray(self.calibration_scores, dtype=np.float64)).all():
            raise ParameterError("The calibration scores must be finite.")
        for item in self.items:
            if item.label not in (0, 1, None):
                raise ParameterError(f"{item.inspection.name}: the label must be 0, 1 or None, not {item.label}.")
            if not np.isfinite(item.inspection.score):
                raise ParameterError(f"{item.inspection.name}: the score is not finite.")
