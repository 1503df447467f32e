"""Figures in words: percentages, rates with their intervals, and whether the promise was kept."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from statistics import NormalDist
from typing import Any

import numpy as np

from onlygood.evaluation import Rate
from onlygood.reports.data import ReportData


def percent(share: float | None) -> str:
    """`1.7%`; never rounded to 0 or 100 unless it is."""
    if share is None:
        return "–"
    value = 100 * share
    for digits in (0, 1, 2, 3):
        text = f"{value:.{digits}f}"
        off = abs(float(text) - value)
        exact_end = float(text) in (0.0, 100.0) and value not in (0.0, 100.0)
        if not exact_end and (off < 1e-9 or (digits >= 1 and (value >= 1 or digits >= 2))):
            return f"{text}%"
    return "< 0.001%" if value < 50 else "> 99.999%"


def area(value: float | None) -> str:
    """An AUROC or the like, with three digits, or four where three would make it 1."""
    if value is None:
        return "–"
    return f"{value:.4f}" if 0.9995 <= value < 1 else f"{value:.3f}"


def seconds(value: float | None) -> str:
    """A duration at a precision that fits it."""
    if value is None:
        return "–"
    if value >= 120:
        return f"{value / 60:.1f} min"
    return f"{value:.0f} s" if value >= 10 else f"{value:.1f} s"


def interval(rate: Rate | None) -> str:
    """`95% interval 0.3% to 9.1%`."""
    return "" if rate is None else f"95% interval {percent(rate.low)} to {percent(rate.high)}"


def between(ends: tuple[float, float]) -> str:
    """`95% interval 0.913 to 0.987`, of an area."""
    return f"95% interval {area(ends[0])} to {area(ends[1])}"


def counted(rate: Rate | None) -> str:
    """`1 of 58`."""
    return "" if rate is None else f"{rate.count} of {rate.total}"


def plural(count: int, one: str, many: str = "") -> str:
    """`1 image`, `2 images`."""
    return f"{count} {one if count == 1 else many or one + 's'}"


@dataclass(frozen=True)
class Promise:
    """The promise about false rejects and how it fared.

    Attributes:
        state: `kept`, `unclear`, `broken` or `unmeasured`.
        headline: The state in a few words.
        sentences: What was promised, what was measured, and what that says.
    """

    state: str
    headline: str
    sentences: tuple[str, ...]


def judge_promise(data: ReportData) -> Promise | None:
    """The promise set against what was measured; None if nothing was promised."""
    target = data.target_false_reject
    if target is None:
        return None
    n = n_training(data)
    learned = f"the {plural(n, 'good image')}" if n else "the good images"
    sentences = [
        data.promise
        or f"At most {percent(target)} of good parts are called NG, as long as the line makes parts and "
        f"takes images like {learned} the detector was fitted on."
    ]
    rate = data.evaluation.false_reject_rate if data.evaluation else None
    if rate is None:
        sentences.append("No labelled good images were inspected, so the promise was not measured here.")
        return Promise("unmeasured", "Not measured here", tuple(sentences))
    was = "was" if rate.count == 1 else "were"
    sentences.append(
        f"Measured here: {counted(rate)} good images {was} called NG, {percent(rate.value)} ({interval(rate)})."
    )
    if rate.low > target:
        sentences.append(
            "That is more than chance explains. The good images inspected differ from those fitted on: look "
            "at the false rejects below, and add good images like them."
        )
        return Promise("broken", "Not kept on these images", tuple(sentences))
    if rate.value > target:
        sentences.append(
            f"That is above the promise, but {plural(rate.total, 'good image')} cannot tell it from chance: "
            "the interval includes the promised rate."
        )
        return Promise("unclear", "Too few images to tell", tuple(sentences))
    if rate.high > target:
        z = NormalDist().inv_cdf(0.975)
        needed = ceil(z * z * (1 - target) / target)
        sentences.append(
            f"To prove the rate by counting alone, at least {needed} good images without a false reject "
            "would be needed."
        )
    return Promise("kept", "Kept on these images", tuple(sentences))


def summary(data: ReportData) -> str:
    """The outcome in one or two sentences."""
    result = data.evaluation
    if result is None:
        words = [str(item.inspection.verdict) for item in data.items]
        called = ", ".join(f"{words.count(word)} {word}" for word in ("OK", "REVIEW", "NG"))
        return f"{plural(len(words), 'image')} inspected: {called}." if words else "No images were inspected."
    fates = {
        "defect": (("NG", "rejected"), ("REVIEW", "sent to review"), ("OK", "missed")),
        "good": (("OK", "accepted"), ("REVIEW", "sent to review"), ("NG", "rejected")),
    }
    sentences = []
    for truth, name in (("defect", "defective image"), ("good", "good image")):
        counts = {str(verdict): count for verdict, count in result.verdicts[truth].items()}
        total = sum(counts.values())
        met = [(counts[verdict], fate) for verdict, fate in fates[truth] if counts[verdict]]
        if len(met) == 1:
            all_of = f"All {total} {name}s were" if total > 1 else f"The only {name} was"
            sentences.append(f"{all_of} {met[0][1]}.")
        elif met:
            listed = [f"{count} {fate}" for count, fate in met]
            listed[0] = f"{met[0][0]} {'was' if met[0][0] == 1 else 'were'} {met[0][1]}"
            sentences.append(f"Of {total} {name}s, {', '.join(listed[:-1])} and {listed[-1]}.")
    return " ".join(sentences) or "No images were inspected."


def plain(value: Any) -> str:
    """A detail's value as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(one) for one in value)
    return str(value)


def n_training(data: ReportData) -> int:
    """Good images the detector was fitted on, 0 if not known."""
    return data.n_training if data.n_training is not None else int(np.size(np.asarray(data.calibration_scores)))
