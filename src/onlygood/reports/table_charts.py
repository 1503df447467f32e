"""Charts of the papers' tables as inline SVG: printed beside ours, sweeps, and accuracy against speed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import inf

from onlygood.reports.charts import ticks

#: Lines and points of a chart are told apart by colour and by shape; more than these are not drawn in one chart.
SERIES = ("a", "b", "c", "d", "e", "f")


@dataclass(frozen=True)
class Pair:
    """One row of the chart of pairs: what is printed and ours, None where there is none; in the unit of the axis."""

    name: str
    printed: float | None
    ours: float | None
    std: float | None = None


@dataclass(frozen=True)
class Curve:
    """Points of one line, `(x, y)`, in the unit of the axes."""

    name: str
    points: Sequence[tuple[float, float]]


def pairs_chart(pairs: Sequence[Pair], axis: str) -> str:
    """One line for each row: a ring where it is printed, a disc where it is ours, whiskers of a standard deviation."""
    shown = [pair for pair in pairs if pair.ours is not None]
    if not shown:
        return ""
    reach = [value for pair in shown for value in (pair.printed, pair.ours) if value is not None]
    reach += [pair.ours + sign * pair.std for pair in shown if pair.std and pair.ours is not None for sign in (-1, 1)]
    low, high = _padded(min(reach), max(reach))
    left, right, top, row = 196.0, 540.0, 10.0, 26.0
    bottom = top + row * len(shown)

    def x(value: float) -> float:
        return left + (value - low) / (high - low) * (right - left)

    out = [_open(560, bottom + 44, f"{axis}: printed and ours")]
    for tick in ticks(low, high):
        if low <= tick <= high:
            out.append(_line(x(tick), top, x(tick), bottom, "grid"))
            out.append(_text(x(tick), bottom + 18, f"{tick:g}", "tick", "middle"))
    for number, pair in enumerate(shown):
        y = top + row * (number + 0.5)
        assert pair.ours is not None
        out.append(_text(left - 12, y + 4, pair.name, "pair-name", "end"))
        if pair.printed is not None:
            out.append(_line(x(pair.printed), y, x(pair.ours), y, "span"))
        if pair.std:
            out.append(_line(x(pair.ours - pair.std), y, x(pair.ours + pair.std), y, "whisker"))
        if pair.printed is not None:
            out.append(_circle(x(pair.printed), y, 5.5, "printed", f"{pair.name}, printed: {pair.printed:g}"))
        out.append(_circle(x(pair.ours), y, 5.0, "ours", f"{pair.name}, ours: {pair.ours:.2f}"))
    out.append(_text((left + right) / 2, bottom + 38, axis, "tick", "middle"))
    return "".join([*out, "</svg>"])


def curves_chart(curves: Sequence[Curve], x_axis: str, y_axis: str, *, lines: bool = True, ceiling: float = inf) -> str:
    """Lines over a common axis, or points alone; at most as many as can be told apart.

    Args:
        curves: Lines; what is beyond the last of `SERIES` is left out.
        x_axis, y_axis: Names of the axes.
        lines: Whether to join the points.
        ceiling: The most that y can be; the axis has no number above it.
    """
    curves = [curve for curve in curves if curve.points][: len(SERIES)]
    if not curves:
        return ""
    xs = [x for curve in curves for x, _ in curve.points]
    ys = [y for curve in curves for _, y in curve.points]
    (x_low, x_high), (y_low, y_high) = _padded(min(xs), max(xs), 0.03), _padded(min(ys), max(ys))
    left, right, top, bottom = 68.0, 548.0, 12.0, 252.0

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            left + (x - x_low) / (x_high - x_low) * (right - left),
            bottom - (y - y_low) / (y_high - y_low) * (bottom - top),
        )

    out = [_open(560, bottom + 48, f"{y_axis} over {x_axis}")]
    for tick in ticks(y_low, y_high):
        if y_low <= tick <= min(y_high, ceiling):
            y = at(x_low, tick)[1]
            out.append(_line(left, y, right, y, "grid"))
            out.append(_text(left - 8, y + 4, f"{tick:g}", "tick", "end"))
    for tick in ticks(x_low, x_high):
        if x_low <= tick <= x_high:
            out.append(_text(at(tick, y_low)[0], bottom + 20, f"{tick:g}", "tick", "middle"))
    out.append(_line(left, bottom, right, bottom, "axis"))
    for style, curve in zip(SERIES, curves):
        places = [at(x, y) for x, y in sorted(curve.points)]
        if lines and len(places) > 1:
            path = " L".join(f"{x:.1f} {y:.1f}" for x, y in places)
            out.append(f'<path class="curve {style}" d="M{path}"/>')
        for (x, y), (value, height) in zip(places, sorted(curve.points)):
            out.append(_mark(x, y, style, f"{curve.name}: {height:.2f} at {value:g}"))
    out.append(_text((left + right) / 2, bottom + 42, x_axis, "tick", "middle"))
    out.append(
        f'<text class="tick" transform="translate(15 {(top + bottom) / 2:.0f}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_axis)}</text>"
    )
    return "".join([*out, "</svg>"])


def mark_svg(style: str) -> str:
    """The mark of a series, for the key."""
    return f'<svg class="mark" viewBox="0 0 14 14" aria-hidden="true">{_mark(7, 7, style, "")}</svg>'


def _mark(x: float, y: float, style: str, hint: str) -> str:
    """Another shape for each series, so that colour alone carries nothing."""
    inside = f"<title>{escape(hint)}</title>" if hint else ""
    kind, r = SERIES.index(style) % 3, 5.0
    if kind == 0:
        return f'<circle class="dot {style}" cx="{x:.1f}" cy="{y:.1f}" r="{r - 0.5:g}">{inside}</circle>'
    corners = (
        [(x - r + 1, y - r + 1), (x + r - 1, y - r + 1), (x + r - 1, y + r - 1), (x - r + 1, y + r - 1)]
        if kind == 1
        else [(x, y - r), (x + r, y + r - 1), (x - r, y + r - 1)]
    )
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in corners)
    return f'<polygon class="dot {style}" points="{path}">{inside}</polygon>'


def _padded(low: float, high: float, share: float = 0.06) -> tuple[float, float]:
    pad = (high - low) * share or max(abs(high) * 0.01, 0.5)
    return low - pad, high + pad


def _open(width: float, height: float, name: str) -> str:
    return f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(name)}">'


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    return f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _circle(x: float, y: float, r: float, style: str, hint: str) -> str:
    return f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="{r}"><title>{escape(hint)}</title></circle>'


def _text(x: float, y: float, text: str, style: str, anchor: str) -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
