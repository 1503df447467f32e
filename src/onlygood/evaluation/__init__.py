"""Figures of merit: image-level and pixel-level metrics, rates at the line with their intervals."""

from __future__ import annotations

from onlygood.evaluation.epochs import EpochFigures, TrainingCurve, training_curve
from onlygood.evaluation.evaluate import Evaluation, TypeResult, evaluate, resize_mask
from onlygood.evaluation.metrics import auroc, average_precision, best_f1, roc_curve
from onlygood.evaluation.oracle import VariableK, variable_k
from onlygood.evaluation.pixels import aupro, pixel_auroc
from onlygood.evaluation.rates import Rate, escape_rate, false_reject_rate, wilson
from onlygood.evaluation.spro import SPRO_LIMITS, LocoSpro, Region, loco_spro, spro

__all__ = [
    "SPRO_LIMITS",
    "EpochFigures",
    "Evaluation",
    "LocoSpro",
    "Rate",
    "Region",
    "TrainingCurve",
    "TypeResult",
    "VariableK",
    "aupro",
    "auroc",
    "average_precision",
    "best_f1",
    "escape_rate",
    "evaluate",
    "false_reject_rate",
    "loco_spro",
    "pixel_auroc",
    "resize_mask",
    "roc_curve",
    "spro",
    "training_curve",
    "variable_k",
    "wilson",
]
