"""The report: one HTML file that holds everything it shows and asks nothing of the network."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from onlygood.evaluation import Evaluation
from onlygood.files import replacing
from onlygood.inspection import Verdict
from onlygood.reports import wording
from onlygood.reports.charts import Lane, OperatingPoint, roc_chart, score_lanes
from onlygood.reports.data import ReportData
from onlygood.reports.galleries import build_sections
from onlygood.reports.pages import page_template


@dataclass(frozen=True)
class Tile:
    """One figure at the head of the report."""

    name: str
    value: str
    notes: tuple[str, ...] = ()
    state: str = ""


def write_report(path: str | Path, data: ReportData) -> None:
    """Write the report of an inspected set as one self-contained HTML file.

    The file appears whole or not at all, and replaces one that is there.

    Args:
        path: Of the file; its folder must exist.
        data: What to show.

    Raises:
        MissingDependencyError: Jinja2 is not installed (extra `report`).
        OSError: The file cannot be written.
    """
    page = render_report(data)
    with replacing(path) as temporary:
        # File names may hold bytes that are no text; they become question marks.
        temporary.write_text(page, encoding="utf-8", errors="replace")


def render_report(data: ReportData) -> str:
    """The report as HTML text; see `write_report`."""
    template = page_template("report.html")
    from markupsafe import Markup

    return template.render(
        title=data.title,
        note=data.note,
        created=data.created or datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        summary=wording.summary(data),
        tiles=_tiles(data),
        outcome=_outcome(data),
        promise=wording.judge_promise(data),
        lanes=Markup(_lanes(data)),
        roc=Markup(_roc(data)),
        points=_operating_points(data.evaluation),
        result=data.evaluation,
        sections=build_sections(data),
        has_overlay=data.pixel_threshold is not None,
        has_masks=any(item.mask is not None for item in data.items),
        details=_details(data),
        verdicts=list(Verdict),
    )


def _tiles(data: ReportData) -> list[Tile]:
    result = data.evaluation
    tiles = []
    if result is not None:
        pixel = []
        if result.pixel_auroc is not None:
            pixel.append(f"pixel AUROC {wording.area(result.pixel_auroc)}")
        if result.aupro is not None:
            pixel.append(f"AUPRO {wording.area(result.aupro)} (to {wording.percent(result.aupro_limit)})")
        if result.image_auroc is None:
            pixel.append("needs good and defective images")
        if result.image_auroc_interval is not None:
            pixel.insert(0, wording.between(result.image_auroc_interval))
        promise = wording.judge_promise(data)
        promised = f"promised: at most {wording.percent(data.target_false_reject)}" if promise else ""
        rate = result.false_reject_rate
        tiles.append(
            Tile(
                "False-reject rate",
                wording.percent(rate.value if rate else None),
                _kept(f"{wording.counted(rate)} good called NG" if rate else "no good images", promised)
                + _kept(wording.interval(rate)),
                promise.state if promise else "",
            )
        )
        rate, passed = result.escape_rate, result.escape_rate_if_review_passes
        unsure = passed is not None and rate is not None and passed.count > rate.count
        tiles.append(
            Tile(
                "Escape rate",
                wording.percent(rate.value if rate else None),
                _kept(
                    f"{wording.counted(rate)} defects called OK" if rate else "no defects",
                    wording.interval(rate),
                    f"{wording.percent(passed.value)} if review passes them" if unsure and passed else "",
                ),
            )
        )
        tiles.append(Tile("Image AUROC", wording.area(result.image_auroc), tuple(pixel)))
        rate = result.review_rate
        tiles.append(
            Tile(
                "Sent to review",
                wording.percent(rate.value if rate else None),
                _kept(f"{wording.counted(rate)} images" if rate else ""),
            )
        )
    labelled = f"{result.n_good} good, {result.n_defect} defective" if result is not None else ""
    n = wording.n_training(data)
    tiles.append(
        Tile(
            "Images inspected",
            str(len(data.items)),
            _kept(labelled, f"fitted on {n} good images" if n else ""),
        )
    )
    fitted = f"fitted in {wording.seconds(data.fit_seconds)}" if data.fit_seconds is not None else ""
    if data.ms_per_image is not None:
        per_minute = f"{60_000 / data.ms_per_image:,.0f} images a minute" if data.ms_per_image > 0 else ""
        tiles.append(Tile("Time per image", f"{data.ms_per_image:.3g} ms", _kept(per_minute, fitted)))
    elif data.fit_seconds is not None:
        tiles.append(Tile("Time to fit", wording.seconds(data.fit_seconds)))
    return tiles


def _kept(*notes: str) -> tuple[str, ...]:
    return tuple(note for note in notes if note)


def _outcome(data: ReportData) -> list[dict[str, Any]]:
    """The bars of verdicts, one for each kind of image there is."""
    rows = []
    for label, name in ((0, "Good"), (1, "Defective"), (None, "Unlabelled")):
        called = [str(item.inspection.verdict) for item in data.items if item.label == label]
        if called:
            rows.append({"name": name, "counts": {str(verdict): called.count(verdict) for verdict in Verdict}})
    return rows


def _lanes(data: ReportData) -> str:
    def scores(label: int | None) -> np.ndarray:
        return np.array([i.inspection.score for i in data.items if i.label == label], dtype=np.float64)

    lanes = [
        Lane("Training images, each left out in turn", "training", _flat(data.calibration_scores)),
        Lane("Good images", "good", scores(0)),
        Lane("Defective images", "defect", scores(1)),
        Lane("Unlabelled images", "good", scores(None)),
    ]
    return score_lanes(lanes, data.review_threshold, data.ng_threshold)


def _flat(scores: Any) -> np.ndarray:
    return np.asarray(scores, dtype=np.float64).ravel()


def _roc(data: ReportData) -> str:
    labelled = [item for item in data.items if item.label is not None]
    if len({item.label for item in labelled}) < 2:
        return ""
    return roc_chart(
        [int(item.label or 0) for item in labelled],
        [item.inspection.score for item in labelled],
        _operating_points(data.evaluation),
    )


def _operating_points(result: Evaluation | None) -> list[OperatingPoint]:
    if result is None or not result.n_good or not result.n_defect:
        return []
    good, defect = (
        {str(verdict): count for verdict, count in result.verdicts[key].items()} for key in ("good", "defect")
    )
    ng = OperatingPoint("NG", "ng", good["NG"] / result.n_good, defect["NG"] / result.n_defect)
    if not good["REVIEW"] + defect["REVIEW"]:
        return [ng]
    both = OperatingPoint(
        "REVIEW or NG",
        "review",
        1 - good["OK"] / result.n_good,
        1 - defect["OK"] / result.n_defect,
    )
    return [both, ng]


def _details(data: ReportData) -> list[tuple[str, list[tuple[str, str]]]]:
    thresholds = {
        "REVIEW above score": data.review_threshold,
        "NG above score": data.ng_threshold,
        "drawn from map score": data.pixel_threshold,
        "promised false-reject rate": data.target_false_reject,
    }
    groups = [
        ("Detector", data.detector),
        ("Backbone", data.backbone),
        ("Thresholds", {name: value for name, value in thresholds.items() if value is not None}),
        ("Versions", data.versions),
    ]
    return [
        (name, [(str(key), wording.plain(value)) for key, value in pairs.items()]) for name, pairs in groups if pairs
    ]
