"""Scores -> p-values, thresholds, verdicts, and what may be promised."""

from onlygood.calibration.conformal import Calibration, Promise
from onlygood.calibration.groups import near_duplicate_groups

__all__ = ["Calibration", "Promise", "near_duplicate_groups"]
