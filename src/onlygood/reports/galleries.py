"""Which images a report shows, and their pictures."""

from __future__ import annotations

import base64
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from onlygood.errors import OnlyGoodError
from onlygood.evaluation import resize_mask
from onlygood.inspection import Verdict
from onlygood.reports.data import ReportData, ReportItem
from onlygood.reports.overlay import draw_outline, fit_size, overlay

_SIDE = 380
_MAX_BYTES = 40_000
_TRUTH_LINE = (64, 190, 255)


@dataclass(frozen=True)
class Card:
    """One image as the page shows it; `image` and `overlay` are data addresses, empty if there is none."""

    name: str
    full_name: str
    verdict: Verdict
    truth: str
    score: float
    p_value: float
    image: str
    overlay: str
    width: int
    height: int


@dataclass(frozen=True)
class Section:
    """A gallery: its heading, what it shows, the cards, and what to say when there are none."""

    key: str
    title: str
    text: str
    cards: tuple[Card, ...]
    total: int
    empty: str


def build_sections(data: ReportData) -> list[Section]:
    """The galleries of a report, in the order of the page."""
    good = [item for item in data.items if item.label == 0]
    defect = [item for item in data.items if item.label == 1]
    unknown = [item for item in data.items if item.label is None]
    missed = [item for item in defect if item.inspection.verdict is Verdict.OK]
    found = [item for item in defect if item.inspection.verdict is not Verdict.OK]
    plans = []
    if good or defect or not unknown:
        no_good, no_defect = "No labelled good images were inspected.", "No labelled defects were inspected."
        plans += [
            (
                "worst-good",
                "Worst good images",
                "Good images that look least like the training images; false rejects first.",
                sorted(good, key=_worst_good_first),
                no_good,
            ),
            (
                "borderline",
                "Borderline",
                "Images under REVIEW, then those whose scores come closest to a threshold.",
                _borderline([*good, *defect], data),
                "No image lies near a threshold.",
            ),
            (
                "missed",
                "Missed defects",
                "Defects called OK, the least noticed first.",
                sorted(missed, key=_score),
                "None: no defect was called OK." if defect else no_defect,
            ),
            (
                "clearest",
                "Clearest defects",
                "The most certain finds, each type of defect in turn.",
                _types_in_turn(sorted(found, key=_score, reverse=True)),
                "No defect was found." if defect else no_defect,
            ),
        ]
    if unknown:
        plans.append(
            (
                "most-anomalous",
                "Most anomalous images",
                "Unlabelled images, the least like the training images first.",
                sorted(unknown, key=_score, reverse=True),
                "",
            )
        )
    top = data.map_top if data.map_top is not None else _map_top(data)
    drawn: dict[int, Card] = {}
    sections = []
    for key, title, text, items, empty in plans:
        cards = []
        for item in items[: data.per_section]:
            if id(item) not in drawn:
                drawn[id(item)] = _card(item, data.pixel_threshold, top)
            cards.append(drawn[id(item)])
        sections.append(Section(key, title, text, tuple(cards), len(items), empty))
    return sections


def _score(item: ReportItem) -> float:
    return item.inspection.score


def _worst_good_first(item: ReportItem) -> tuple[int, float]:
    severity = {Verdict.NG: 0, Verdict.REVIEW: 1, Verdict.OK: 2}
    return severity[item.inspection.verdict], -item.inspection.score


def _borderline(items: Sequence[ReportItem], data: ReportData) -> list[ReportItem]:
    """REVIEW first, then the closest to a threshold on either side, and only what is close."""
    marks = [mark for mark in (data.review_threshold, data.ng_threshold) if mark is not None]
    review = [item for item in items if item.inspection.verdict is Verdict.REVIEW]
    review.sort(key=_score, reverse=True)
    if not marks or not items:
        return review
    # Close: within a quarter of the way from the middle good score to the NG threshold.
    usual = np.asarray(data.calibration_scores, dtype=np.float64).ravel()
    if not usual.size:
        usual = np.array([item.inspection.score for item in items])
    reach = 0.25 * abs(max(marks) - float(np.median(usual)))

    def distance(item: ReportItem) -> float:
        return min(abs(item.inspection.score - mark) for mark in marks)

    close = [i for i in items if i.inspection.verdict is not Verdict.REVIEW and distance(i) <= reach]
    return review + sorted(close, key=distance)


def _types_in_turn(items: Sequence[ReportItem]) -> list[ReportItem]:
    by_type: dict[str, list[ReportItem]] = defaultdict(list)
    for item in items:
        by_type[item.type].append(item)
    longest = max((len(group) for group in by_type.values()), default=0)
    return [group[i] for i in range(longest) for group in by_type.values() if i < len(group)]


def _map_top(data: ReportData) -> float:
    """A top of the colour scale that one extreme defect cannot dim: 90th percentile of the maps' peaks."""
    low = data.pixel_threshold if data.pixel_threshold is not None else 0.0
    peaks = [float(np.max(i.inspection.map)) for i in data.items if i.inspection.map is not None]
    shown = [peak for peak in peaks if peak > low]
    return float(np.quantile(shown, 0.9)) if shown else low


def _card(item: ReportItem, low: float | None, top: float) -> Card:
    one = item.inspection
    parts = PurePath(one.name).parts
    truth = {0: "good", 1: item.type or "defective", None: ""}[item.label]
    pictures = ["", ""]
    height = width = 0
    try:
        image = fit_size(item.load(), 1, _SIDE)
        height, width = image.shape[:2]
        plain = image
        if item.mask is not None and np.any(item.mask):
            plain = image.copy()
            draw_outline(plain, resize_mask(item.mask, (height, width)), _TRUTH_LINE, 2)
        pictures[0] = _address(plain)
        if one.map is not None and low is not None:
            pictures[1] = _address(overlay(image, one.map, low=low, high=top))
    except (OnlyGoodError, OSError):
        pass  # a report without one picture is better than none; the page says that it is missing
    return Card(
        name="/".join(parts[-2:]) if parts else one.name,
        full_name=one.name,
        verdict=one.verdict,
        truth=truth,
        score=one.score,
        p_value=one.p_value,
        image=pictures[0],
        overlay=pictures[1],
        width=width,
        height=height,
    )


def _address(image: NDArray[np.uint8]) -> str:
    """The picture as a JPEG data address; busy ones compressed harder, so that the page stays light."""
    picture = Image.fromarray(image)
    content = b""
    for quality in (86, 78, 68, 55, 40):
        buffer = io.BytesIO()
        picture.save(buffer, format="JPEG", quality=quality, subsampling=0, optimize=True)
        content = buffer.getvalue()
        if len(content) <= _MAX_BYTES:
            break
    return "data:image/jpeg;base64," + base64.b64encode(content).decode("ascii")
