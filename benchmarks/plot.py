"""Line charts as SVG files that stand alone: nothing to install, legible on light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from pathlib import Path

from onlygood.files import replacing

#: Dark blue, orange, green, violet: told apart with colour-blind eyes, and each line has its own dashes too.
COLOURS = ("#005a9c", "#c65b00", "#00805a", "#7a3fa0")
DASHES = ("", "7 4", "2 3", "9 3 2 3")
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 340, 300, 58, 34, 14, 76
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}.title{font-weight:600;font-size:13px}"
    ".grid{stroke:#ddd;stroke-width:1}.axis{stroke:#777;stroke-width:1}.line{fill:none;stroke-width:2}"
)


@dataclass(frozen=True)
class Line:
    """A named series of points `(x, y)`, both above 0."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Panel:
    """One chart, both axes logarithmic: a straight line is a power, a level one does not grow."""

    title: str
    x: str
    lines: Sequence[Line]


def write_charts(path: Path, panels: Sequence[Panel]) -> None:
    """Write panels into one SVG file, two in a row."""
    columns = min(2, len(panels))
    width, height = WIDTH * columns, HEIGHT * ceil(len(panels) / columns)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape("; ".join(panel.title for panel in panels))}">',
        f'<style>{STYLE}</style><rect width="{width}" height="{height}" fill="#fff"/>',
        *(
            f'<g transform="translate({number % columns * WIDTH} {number // columns * HEIGHT})">{_panel(panel)}</g>'
            for number, panel in enumerate(panels)
        ),
        "</svg>",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_text("\n".join(out) + "\n", "utf-8")


def _panel(panel: Panel) -> str:
    lines = [line for line in panel.lines if line.points]
    out = [f'<text class="title" x="{LEFT}" y="20">{escape(panel.title)}</text>']
    if not lines:
        return "".join([*out, f'<text x="{LEFT}" y="{TOP + 20}">not measured</text>'])
    xs = sorted({x for line in lines for x, _ in line.points})
    ys = [y for line in lines for _, y in line.points]
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    low_x, high_x = _range(xs[0], xs[-1], 1.1)
    low_y, high_y = _range(min(ys), max(ys), 2)  # little growth must look little

    def at_x(value: float) -> float:
        return LEFT + (log10(value) - log10(low_x)) / (log10(high_x) - log10(low_x)) * (right - LEFT)

    def at_y(value: float) -> float:
        return bottom - (log10(value) - log10(low_y)) / (log10(high_y) - log10(low_y)) * (bottom - TOP)

    for tick in round_numbers(low_y, high_y):
        y = at_y(tick)
        out.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        out.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:,g}</text>')
    taken = -100.0
    for tick in xs:
        x = at_x(tick)
        out.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 4}"/>')
        if x - taken >= 30:  # room for the figures
            out.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{tick:g}</text>')
            taken = x
    out.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    out.append(f'<text x="{(LEFT + right) / 2}" y="{bottom + 35}" text-anchor="middle">{escape(panel.x)}</text>')
    start = LEFT - 40.0
    for number, line in enumerate(lines):
        colour, dash = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
        path = " L".join(f"{at_x(x):.1f} {at_y(y):.1f}" for x, y in sorted(line.points))
        style = f'stroke="{colour}" stroke-dasharray="{dash}"' if dash else f'stroke="{colour}"'
        out.append(f'<path class="line" {style} d="M{path}"/>')
        out += [f'<circle cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="3" fill="{colour}"/>' for x, y in line.points]
        y = bottom + 57
        out.append(f'<path class="line" {style} d="M{start:.0f} {y - 4} h22"/>')
        out.append(f'<text x="{start + 27:.0f}" y="{y}">{escape(line.name)}</text>')
        start += 40 + 6.4 * len(line.name)
    return "".join(out)


def round_numbers(low: float, high: float) -> list[float]:
    """Round numbers from `low` to `high`: the fewer powers of ten there are, the more of each."""
    powers = range(floor(log10(low)) - 1, ceil(log10(high)) + 1)
    steps = (1, 1.5, 2, 3, 5, 7) if high / low < 10 else (1, 2, 5) if high / low < 1000 else (1,)
    return [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]


def _range(low: float, high: float, least: float) -> tuple[float, float]:
    """Ends of an axis with some room, at least `least` times apart."""
    room = max((high / low) ** 0.06, 1.02)
    if high / low < least:
        middle = (low * high) ** 0.5
        low, high = middle / least**0.5, middle * least**0.5
    return low / room, high * room
