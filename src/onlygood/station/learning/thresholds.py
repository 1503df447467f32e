"""What other thresholds would have done, before they are moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onlygood.calibration import Calibration
from onlygood.errors import ParameterError
from onlygood.station.decisions import Thresholds, finite
from onlygood.station.learning.golden import Golden, counted
from onlygood.station.recipes import Recipe
from onlygood.station.record import Record


def histogram(record: Record, duty: Recipe, last: int) -> dict[str, Any]:
    """Scores of the calibration and of the last parts that the model on duty saw, with its thresholds."""
    calibration = duty.detector.calibration_
    recent = [
        {"seq": one[0], "score": one[1], "verdict": str(one[2]), "answer": one[3]}
        for one in record.scores(duty.name, duty.model, last)
    ]
    return {
        "model": duty.model,
        "thresholds": {"ng": finite(duty.thresholds.ng), "review": finite(duty.thresholds.review)},
        "promise": str(calibration.promise),
        "false_reject": rate_at(calibration, duty.thresholds.ng),
        "calibration": calibration.scores.tolist(),
        "recent": recent,
    }


def preview(record: Record, golden: Golden, duty: Recipe, then: Thresholds, last: int) -> dict[str, Any]:
    """Verdicts now and then of the last parts, of those that operators answered, and of the golden set.

    `now` is by the thresholds on duty, whatever they were when a part came. Only parts that the model on duty scored
    count: scores of another model mean something else.

    Args:
        record: Knows the scores.
        golden: The golden sets.
        duty: The model on duty.
        then: The thresholds tried.
        last: Parts looked at.

    Raises:
        ParameterError: They are no numbers, or `review` is above `ng`.
    """
    if not (np.isfinite(then.ng) and np.isfinite(then.review) and then.review <= then.ng):
        raise ParameterError(f"ng={then.ng}, review={then.review}: two numbers, review at most ng.")
    limits = {"now": duty.thresholds, "then": then}
    rows = record.scores(duty.name, duty.model, last)
    calibration = duty.detector.calibration_

    def both(scores: Sequence[float]) -> dict[str, dict[str, int]]:
        return {name: counted(list(scores), thresholds) for name, thresholds in limits.items()}

    return {
        "last": len(rows),
        **both([row[1] for row in rows]),
        "answered": {said: both([row[1] for row in rows if row[3] == said]) for said in ("OK", "NG")},
        "golden": golden.counts(duty.name, limits),
        "false_reject": {name: rate_at(calibration, thresholds.ng) for name, thresholds in limits.items()},
    }


def rate_at(calibration: Calibration, threshold: float) -> float | None:
    """Rate of good parts that the calibration expects above a threshold, at most; None if nothing was calibrated.

    It is the p-value of a score just above it, so never below 1 / (units + 1), however high the threshold is.
    """
    if not len(calibration.scores):
        return None
    return float(calibration.p_values([np.nextafter(threshold, np.inf)])[0])
