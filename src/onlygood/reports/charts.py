"""Charts as inline SVG, coloured by the page's style sheet, so that they follow light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, inf, log10

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onlygood.evaluation import roc_curve

_BINS = 48
#: Width of a letter, about, in units of the charts.
_LETTER = 7.0


@dataclass(frozen=True)
class Lane:
    """One row of the score chart.

    Attributes:
        name: Shown above the row.
        style: CSS class of its bars.
        scores: `(n,)`.
    """

    name: str
    style: str
    scores: NDArray[np.float64]


def score_lanes(lanes: Sequence[Lane], review: float | None, ng: float | None) -> str:
    """Histograms one under the other on one axis, with the zones of the verdicts behind them.

    Each row is scaled to its own highest bar: rows are compared by where they lie, not by how many images
    they hold. The last bin takes what lies far to the right, and says so.
    """
    lanes = [lane for lane in lanes if lane.scores.size]
    if not lanes:
        return ""
    low, high, clipped = _range(lanes, [t for t in (review, ng) if t is not None])
    left, right, top, row, bar = 10.0, 630.0, 46.0, 104.0, 70.0
    bottom = top + row * len(lanes)

    def x(score: float) -> float:
        return left + (min(max(score, low), high) - low) / (high - low) * (right - left)

    out = [_open(640, bottom + 44, "Scores of the images, by group, with the thresholds")]
    for start, end, style in _zones(low, high, review, ng):
        out.append(_rect(x(start), top, x(end) - x(start), bottom - top, f"zone {style}"))
    edges = np.linspace(low, high, _BINS + 1)
    for number, lane in enumerate(lanes):
        base = top + row * (number + 1)
        counts = np.histogram(np.clip(lane.scores, low, high), edges)[0]
        for count, start, end in zip(counts, edges[:-1], edges[1:]):
            if count:
                height = max(2.0, bar * count / counts.max())
                upto = "and above" if clipped and end == high else f"to {end:.4g}"
                hint = f"{count} of {lane.scores.size}, score {start:.4g} {upto}"
                width = x(end) - x(start) - 1
                out.append(_rect(x(start) + 0.5, base - height, width, height, f"bar {lane.style}", hint))
        out.append(f'<line class="axis" x1="{left}" x2="{right}" y1="{base}" y2="{base}"/>')
    for value, word, height in ((review, "REVIEW", 16), (ng, "NG", 34)):
        if value is not None:
            at, anchor, shift = x(value), *(("end", -6) if x(value) > 420 else ("start", 6))
            style = word.lower()
            out.append(f'<line class="cut {style}" x1="{at:.1f}" x2="{at:.1f}" y1="{height - 11}" y2="{bottom}"/>')
            out.append(_text(at + shift, height, f"{word} above {value:.4g}", f"cut-name {style}", anchor))
    # After the lines, so that the letters stand clear of them.
    for number, lane in enumerate(lanes):
        name = f"{lane.name} ({lane.scores.size})"
        out.append(_text(left + 4, top + row * number + 19, name, "lane", "start"))
    for tick in ticks(low, high):
        out.append(f'<line class="axis" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{bottom}" y2="{bottom + 5}"/>')
        out.append(_text(x(tick), bottom + 19, f"{tick:.6g}", "tick", "middle"))
    axis = "image score (the last bar holds all above)" if clipped else "image score"
    out.append(_text((left + right) / 2, bottom + 38, axis, "tick", "middle"))
    return "".join([*out, "</svg>"])


@dataclass(frozen=True)
class OperatingPoint:
    """A point of the ROC curve at which the line runs: shares of good and of defective images called so."""

    name: str
    style: str
    good: float
    defect: float


def roc_chart(labels: ArrayLike, scores: ArrayLike, points: Sequence[OperatingPoint]) -> str:
    """The ROC curve with the operating points on it."""
    false, true, _ = roc_curve(labels, scores)
    left, size, top = 46.0, 292.0, 12.0

    def at(good: float, defect: float) -> tuple[float, float]:
        return left + good * size, top + (1 - defect) * size

    # A point in the middle of a straight line draws nothing.
    bend = np.ones(false.size, dtype=bool)
    bend[1:-1] = (np.diff(false[:-1]) * np.diff(true[1:])) != (np.diff(true[:-1]) * np.diff(false[1:]))
    line = " L".join("{:.2f} {:.2f}".format(*at(a, b)) for a, b in zip(false[bend], true[bend]))
    bottom, right = top + size, left + size
    out = [_open(360, bottom + 44, "ROC curve: share of defects found against share of good images rejected")]
    for part in (0, 0.25, 0.5, 0.75, 1):
        px, py = at(part, part)
        out.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{py}" y2="{py}"/>')
        out.append(f'<line class="grid" x1="{px}" x2="{px}" y1="{top}" y2="{bottom}"/>')
        out.append(_text(left - 7, py + 4, f"{part:.0%}", "tick", "end"))
        out.append(_text(px, bottom + 19, f"{part:.0%}", "tick", "middle"))
    out.append(f'<path class="roc-area" d="M{line} L{right} {bottom} L{left} {bottom} Z"/>')
    out.append(f'<line class="chance" x1="{left}" y1="{bottom}" x2="{right}" y2="{top}"/>')
    out.append(f'<path class="roc" d="M{line}"/>')
    for point in points:
        px, py = at(point.good, point.defect)
        hint = f"{point.name}: {point.defect:.1%} of the defects, {point.good:.1%} of the good images"
        out.append(
            f'<circle class="point {point.style}" cx="{px:.1f}" cy="{py:.1f}" r="6.5">'
            f"<title>{escape(hint)}</title></circle>"
        )
    out.append(_text(left + size / 2, bottom + 38, "good images stopped", "tick", "middle"))
    return "".join([*out, "</svg>"])


@dataclass(frozen=True)
class Dot:
    """A point of the scatter chart.

    Attributes:
        name: Shown beside it.
        x, y: Where; x above 0.
        error: Half the length of the bar through it, in y.
        style: CSS class.
    """

    name: str
    x: float
    y: float
    error: float = 0.0
    style: str = ""


def scatter_chart(
    dots: Sequence[Dot],
    front: Sequence[tuple[float, float]],
    x_name: str,
    y_name: str,
    most: float | None = None,
    ceiling: float = inf,
) -> str:
    """Points over a logarithmic x axis, the line of the front in steps, and a limit of x.

    Args:
        dots: Points; later ones are drawn over earlier ones.
        front: Points `(x, y)` of the front, in any order: of small x and large y, or of large x and large y.
        x_name, y_name: Names of the axes.
        most: Where the budget ends on the x axis.
        ceiling: The most that y can be; the axis has no number above it.
    """
    left, right, top, bottom = 52.0, 720.0, 14.0, 330.0
    xs = [dot.x for dot in dots] + ([most] if most else [])
    low, high = log10(min(xs)) - 0.06, log10(max(xs)) + 0.22  # room for the names on the right
    y_low = min(dot.y - dot.error for dot in dots)
    y_high = max(dot.y + dot.error for dot in dots)
    pad = max(0.04 * (y_high - y_low), 0.002 * max(1.0, y_high))
    y_low, y_high = y_low - pad, y_high + pad

    def x(value: float) -> float:
        return left + (log10(value) - low) / (high - low) * (right - left)

    def y(value: float) -> float:
        return bottom - (value - y_low) / (y_high - y_low) * (bottom - top)

    out = [_open(760, bottom + 44, f"{y_name} against {x_name}")]
    for tick in (one for one in ticks(y_low, y_high) if one <= ceiling):
        out.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        out.append(_text(left - 7, y(tick) + 4, f"{tick:.4g}", "tick", "end"))
    for tick in _log_ticks(10**low, 10**high):
        out.append(f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{top}" y2="{bottom}"/>')
        out.append(_text(x(tick), bottom + 19, f"{tick:g}", "tick", "middle"))
    if most:
        out.append(_rect(x(most), top, right - x(most), bottom - top, "zone ng"))
        out.append(_text(x(most) - 5, top + 14, f"at most {most:g}", "tick", "end"))
    steps: list[str] = []
    places = sorted(front)
    falling = len(places) > 1 and places[0][1] > places[-1][1]  # large x is good: the step down comes first
    for px, py in places:
        step = [f"H{x(px):.1f}", f"V{y(py):.1f}"]
        steps += (step[::-1] if falling else step) if steps else [f"M{x(px):.1f} {y(py):.1f}"]
    if len(steps) > 1:
        out.append(f'<path class="pareto" d="{" ".join(steps)}"/>')
    for dot in dots:
        px, py, half = x(dot.x), y(dot.y), dot.error / (y_high - y_low) * (bottom - top)
        out.append(f'<line class="error" x1="{px:.1f}" x2="{px:.1f}" y1="{py - half:.1f}" y2="{py + half:.1f}"/>')
        hint = f"{dot.name}: {dot.y:.4g} at {dot.x:.3g}"
        out.append(
            f'<circle class="dot {dot.style}" cx="{px:.1f}" cy="{py:.1f}" r="6"><title>{escape(hint)}</title></circle>'
        )
    starts = []
    for dot in dots:  # a name that would be cut off on the right goes to the left
        width = _LETTER * len(dot.name)
        starts.append((x(dot.x) + (11 if x(dot.x) + 11 + width <= 760 else -11 - width), y(dot.y), width))
    for dot, (px, py, width) in zip(dots, _apart(starts)):
        on_left = px < x(dot.x)
        at, anchor = (px + width, "end") if on_left else (px, "start")
        out.append(_text(at, py + 4, dot.name, f"dot-name {dot.style}", anchor))
    out.append(_text((left + right) / 2, bottom + 38, x_name, "tick", "middle"))
    out.append(_text(left, top - 3, y_name, "tick", "start"))
    return "".join([*out, "</svg>"])


@dataclass(frozen=True)
class Bar:
    """One row of the bar chart.

    Attributes:
        name: Shown before it.
        value: Where it ends.
        text: Shown behind it.
        std: Half the length of the whisker; None for none.
    """

    name: str
    value: float
    text: str
    std: float | None = None


def bar_chart(bars: Sequence[Bar], low: float, high: float, name: str) -> str:
    """Horizontal bars from `low` on, one below the other, with their names and values as text.

    Args:
        bars: From top to bottom.
        low, high: Ends of the axis; what is beyond is cut off.
        name: What is shown, for those who cannot see it.
    """
    if not bars:
        return ""
    longest = max(len(bar.name) for bar in bars)
    left, row, top = min(_LETTER * longest, 250.0) + 14, 26.0, 4.0
    right, bottom = 450.0, top + row * len(bars)

    def x(value: float) -> float:
        return left + (min(max(value, low), high) - low) / (high - low) * (right - left)

    out = [_open(560, bottom + 24, name)]
    for tick in ticks(low, high):
        out.append(f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{top}" y2="{bottom}"/>')
        out.append(_text(x(tick), bottom + 18, f"{tick:g}", "tick", "middle"))
    for number, bar in enumerate(bars):
        y = top + row * (number + 0.5)
        short = bar.name if _LETTER * len(bar.name) <= 250 else bar.name[:34] + "…"
        out.append(_text(left - 10, y + 4, short, "bar-name", "end"))
        out.append(_rect(left, y - 7, x(bar.value) - left, 14, "bar good", f"{bar.name}: {bar.text}"))
        if bar.std:
            ends = x(bar.value - bar.std), x(bar.value + bar.std)
            out.append(f'<line class="error" x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        out.append(_text(right + 12, y + 4, bar.text, "bar-name", "start"))
    return "".join([*out, "</svg>"])


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(floor(log10(low)), ceil(log10(high)) + 1)
    return [m * 10.0**d for d in decades for m in (1, 2, 5) if low <= m * 10.0**d <= high]


def _apart(places: Sequence[tuple[float, float, float]], line: float = 15.0) -> list[tuple[float, float, float]]:
    """Places `(x, y, width)` of names, moved down where they would stand on each other."""
    moved = list(places)
    order = sorted(range(len(places)), key=lambda i: places[i][1])
    for n, i in enumerate(order):
        for j in sorted(order[:n], key=lambda j: moved[j][1]):
            (x, y, width), (other, above, its) = moved[i], moved[j]
            if x < other + its + 6 and other < x + width + 6 and abs(y - above) < line:
                moved[i] = (x, above + line, width)
    return moved


def ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Round numbers from `low` to `high`, some `about` of them."""
    rough = (high - low) / about
    unit = 10.0 ** floor(log10(rough))
    step = next(unit * m for m in (1, 2, 2.5, 5, 10) if unit * m >= rough * 0.999)
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return [round(i * step, 12) + 0.0 for i in range(first, last + 1)]


def _range(lanes: Sequence[Lane], marks: list[float]) -> tuple[float, float, bool]:
    """Ends of the axis, and whether the right one cuts something off.

    A few very clear defects must not squeeze everything else into one bar: the axis ends at four times the
    reach of the good images and the thresholds.
    """
    everything = np.concatenate([*(lane.scores for lane in lanes), np.array(marks)])
    near = [lane.scores for lane in lanes if lane.style != "defect"]
    low, high = float(everything.min()), float(everything.max())
    clipped = False
    if near:
        reach = float(np.concatenate([*near, np.array(marks)]).max()) - low
        if reach > 0 and high > low + 4 * reach:
            high, clipped = low + 4 * reach, True
    pad = (high - low) * 0.03 or max(abs(high) * 0.1, 1e-6)
    return low - pad, high if clipped else high + pad, clipped


def _zones(low: float, high: float, review: float | None, ng: float | None) -> list[tuple[float, float, str]]:
    """Stretches of the axis and the verdict each gives."""
    if review is None and ng is None:
        return []
    first = ng if review is None else review
    last = review if ng is None else ng
    assert first is not None and last is not None
    first = min(first, last)
    zones = [(low, first, "ok"), (first, last, "review"), (last, high, "ng" if ng is not None else "review")]
    return [(start, end, style) for start, end, style in zones if end > start]


def _open(width: float, height: float, name: str) -> str:
    return f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(name)}">'


def _rect(x: float, y: float, width: float, height: float, style: str, hint: str = "") -> str:
    inside = f"<title>{escape(hint)}</title>" if hint else ""
    return (
        f'<rect class="{style}" x="{x:.2f}" y="{y:.2f}" width="{max(width, 0):.2f}" height="{height:.2f}">'
        f"{inside}</rect>"
    )


def _text(x: float, y: float, text: str, style: str, anchor: str) -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
