"""From a detector and its test run to a report."""

from __future__ import annotations

import math
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onlygood
from onlygood.evaluation import Evaluation
from onlygood.evaluation.testset import TestRun
from onlygood.images import ImageSource
from onlygood.reports.data import ReportData, ReportItem

if TYPE_CHECKING:
    from onlygood.methods import Detector

#: Parameters that the report states elsewhere.
_ELSEWHERE = {"backbone", "weights", "size", "layers", "aggregator", "false_reject", "review", "threads"}


def report_of_test(detector: Detector, run: TestRun, result: Evaluation, *, title: str, note: str = "") -> ReportData:
    """Everything the HTML report of a labelled set shows.

    Args:
        detector: Fitted, with the calibration the verdicts of `run` were made with.
        run: Its test run.
        result: The figures of the run.
        title: Heading.
        note: A remark under the heading.
    """
    calibration, training = detector.calibration_, detector.training_
    promise = calibration.promise
    items = [
        ReportItem(
            found,
            ImageSource.of_file(sample.path).read,
            sample.label,
            "" if sample.label == 0 else sample.defect,
            mask,
        )
        for sample, found, mask in zip(run.samples, run.inspections, run.masks)
    ]
    return ReportData(
        title=title,
        items=items,
        evaluation=result,
        review_threshold=_finite(calibration.review_threshold),
        ng_threshold=_finite(calibration.ng_threshold),
        pixel_threshold=_finite(calibration.pixel_threshold),
        calibration_scores=calibration.scores,
        n_training=len(training.names),
        target_false_reject=promise.level if promise.level < 1 else None,
        promise=str(promise),
        note=note,
        fit_seconds=training.seconds,
        ms_per_image=run.ms_per_image,
        detector=_detector(detector),
        backbone=_backbone(detector),
        versions=_versions(),
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _detector(detector: Detector) -> dict[str, Any]:
    chosen = {name: value for name, value in detector.get_params().items() if name not in _ELSEWHERE}
    chosen |= {name: value for name, value in detector.training_.notes.items() if name in chosen}
    return {"method": detector.method, **chosen, "fitted": detector.training_.date}


def _backbone(detector: Detector) -> dict[str, Any]:
    spec = detector.graph_.spec
    patches = f"{spec.grid[0]} x {spec.grid[1]}, {spec.dim} numbers each"
    size = f"{spec.size} x {spec.size} pixels"
    if not spec.backbone:
        return {"id": "none: geometry alone", "input": size, "patches": patches}
    return {
        "id": spec.backbone,
        "weights SHA-256": spec.weights_sha256[:16] or "none (untrained)",
        "licence": spec.weights_license or "not known",
        "fine-tuned": spec.fine_tuned or "no",
        "layers": spec.layers,
        "aggregator": spec.aggregator,
        "input": size,
        "patches": patches,
    }


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    names = ("numpy", "onnxruntime", "faiss-cpu")
    return {"onlygood": onlygood.__version__, "Python": platform.python_version(), **{n: version(n) for n in names}}


def report_title(folder: str | Path) -> str:
    """A heading for a test folder: its name, or its parent's where it is called `test`."""
    path = Path(folder).resolve()
    return path.parent.name if path.name == "test" and path.parent.name else path.name or str(path)
