"""Figures 3 to 7 of BTM: what each anomaly score looks like over a core set in the plane.

The paper does not list its core set; this one was laid out by hand, six samples that Figure 7's stretching by seven
parts into clusters of one, two and three, as the paper has it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import DataError
from onlygood.files import replacing
from onlygood.memory.scores import knn_score, neighbourhood_weight, reweighted
from onlygood.reports.colours import RAMP, hexadecimal
from onlygood.reports.contours import path_of, region_above

Doubles = NDArray[np.float64]

#: The core set; the first sample is the outlier.
CORE = np.array([[0.12, 0.66], [0.47, 0.30], [0.56, 0.46], [0.78, 0.70], [0.86, 0.56], [0.93, 0.74]])
#: Neighbours of the panels.
NEIGHBOURS = (1, 2, 3, 5)
#: How often Figure 7 stretches the abscissa.
STRETCH = 7
#: Bands of a panel.
BANDS = 12

Score = Callable[[Doubles, Doubles, int], Doubles]


@dataclass(frozen=True)
class Figure:
    """One figure of the paper.

    Attributes:
        number: In the paper.
        title: What is drawn.
        score: Function of points `(n, 2)`, core set and k.
        core: Core set `(n, 2)`.
        window: `(x0, x1, y0, y1)` that is drawn.
        panel: Width and height of a panel, in pixels.
        columns: Panels beside each other.
        step: Of the grid (eq. 13).
    """

    number: int
    title: str
    score: Score
    core: Doubles
    window: tuple[float, float, float, float] = (0, 1, 0, 1)
    panel: tuple[int, int] = (220, 220)
    columns: int = 4
    step: float = 0.005


def mean_squared_distance(points: Doubles, core: Doubles, k: int) -> Doubles:
    """Mean squared distance to the k nearest samples (eq. 6, as the text has it)."""
    squared = np.sort(_squared(points, core), axis=1)
    return knn_score(squared[:, :k].astype(np.float32)).astype(np.float64)


def softmax_share(points: Doubles, core: Doubles, k: int) -> Doubles:
    """alpha_1 of eq. 12: the share of the nearest sample in the sum of exponentials."""
    return 1 - weight(points, core, k)


def weight(points: Doubles, core: Doubles, k: int) -> Doubles:
    """w of eq. 10."""
    return neighbourhood_weight(*_nearest_and_around(points, core, k))


def reweighted_distance(points: Doubles, core: Doubles, k: int) -> Doubles:
    """s = w s* of eq. 11."""
    return reweighted(*_nearest_and_around(points, core, k)).astype(np.float64)


def _nearest_and_around(points: Doubles, core: Doubles, k: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """s*, and the distances of each point to the k samples nearest to its m*, m* among them."""
    distances = np.sqrt(_squared(points, core))
    nearest = distances.argmin(axis=1)
    around = np.argsort(_squared(core, core), axis=1, kind="stable")[nearest, :k]
    found = distances.min(axis=1), np.take_along_axis(distances, around, 1)
    return found[0].astype(np.float32), found[1].astype(np.float32)


def _squared(a: Doubles, b: Doubles) -> Doubles:
    return ((a[:, None] - b[None]) ** 2).sum(axis=2)


_WIDE = CORE * [STRETCH, 1]
FIGURES = (
    Figure(3, "Mean squared distance to the k nearest (eq. 6)", mean_squared_distance, CORE),
    Figure(4, "Share of the nearest among its k neighbours, alpha_1 (eq. 12)", softmax_share, CORE),
    Figure(5, "Re-weighted distance s = w s* (eq. 11)", reweighted_distance, CORE),
    Figure(6, "Weight w (eq. 10)", weight, CORE),
    Figure(
        7,
        "Re-weighted distance with the abscissa stretched by 7: clusters of 1, 2 and 3",
        reweighted_distance,
        _WIDE,
        (0, STRETCH, 0, 1),
        (910, 130),
        1,
        0.02,
    ),
)


def write_figures(folder: Path) -> list[Path]:
    """Write figure-3.svg to figure-7.svg into a folder, which is made if it is missing.

    Raises:
        DataError: The folder cannot be written to.
    """
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for figure in FIGURES:
            path = folder / f"figure-{figure.number}.svg"
            with replacing(path) as partial:
                partial.write_text(svg_of(figure), "utf-8")
            paths.append(path)
    except OSError as error:
        raise DataError(f"Cannot write figures into {folder}: {error.strerror or error}. Name another one.") from error
    return paths


def values_of(figure: Figure, k: int) -> Doubles:
    """The score on the grid of a panel, first row at the bottom: `(rows, columns)`."""
    x0, x1, y0, y1 = figure.window
    columns, rows = (round((end - start) / figure.step) + 1 for start, end in ((x0, x1), (y0, y1)))
    x, y = np.meshgrid(np.linspace(x0, x1, columns), np.linspace(y0, y1, rows))
    return figure.score(np.column_stack([x.ravel(), y.ravel()]), figure.core, k).reshape(rows, columns)


def svg_of(figure: Figure) -> str:
    """A figure as an SVG document, one panel for each k."""
    wide, high = figure.panel
    gap, head, foot = 14, 58, 26
    lines = -(-len(NEIGHBOURS) // figure.columns)
    width = figure.columns * (wide + gap) + gap
    height = head + lines * (high + foot + 24) + 4
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="13" fill="#222">',
        f"<title>{escape(figure.title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{gap}" y="24" font-size="15">{escape(figure.title)}</text>',
    ]
    for number, k in enumerate(NEIGHBOURS):
        row, column = divmod(number, figure.columns)
        out += _panel(figure, k, gap + column * (wide + gap), head + row * (high + foot + 24))
    bottom = height - 12
    out += [
        f'<circle cx="{gap + 6}" cy="{bottom - 4}" r="4.5" fill="#222" stroke="#fff"/>',
        f'<text x="{gap + 16}" y="{bottom}">core set</text>',
        f'<circle cx="{gap + 90}" cy="{bottom - 4}" r="4.5" fill="#e66100" stroke="#fff"/>',
        f'<text x="{gap + 100}" y="{bottom}">outlier</text>',
        "</svg>",
    ]
    return "\n".join(out) + "\n"


def _panel(figure: Figure, k: int, left: float, top: float) -> list[str]:
    """Bands from violet (low) to yellow (high), the core set, k and the range of the score."""
    wide, high = figure.panel
    values = values_of(figure, k)
    low, top_value = float(values.min()), float(values.max())
    flat = top_value - low < 1e-6
    levels = np.linspace(low, top_value, BANDS + 1)[:-1]
    rows, columns = values.shape
    out = [f'<text x="{left}" y="{top - 8}">k = {k}</text>']
    colours = [hexadecimal(tuple(RAMP[round(255 * i / (BANDS - 1))].tolist())) for i in range(BANDS)]
    out.append(f'<rect x="{left}" y="{top}" width="{wide}" height="{high}" fill="{colours[0]}"/>')
    for level, colour in zip(levels[1:], colours[1:]) if not flat else ():
        polygons = region_above(values[::-1], float(level))
        d = path_of(polygons, left, top, wide / (columns - 1), high / (rows - 1))
        out.append(f'<path d="{d}" fill="{colour}" fill-rule="evenodd" stroke="#fff" stroke-width="0.4"/>')
    x0, x1, y0, y1 = figure.window
    for number, (x, y) in enumerate(figure.core):
        at = left + (x - x0) / (x1 - x0) * wide, top + (1 - (y - y0) / (y1 - y0)) * high
        colour = "#e66100" if number == 0 else "#222"
        out.append(f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="4.5" fill="{colour}" stroke="#fff"/>')
    span = f"{low:.3g} everywhere" if flat else f"{low:.3g} to {top_value:.3g}"
    out.append(f'<text x="{left}" y="{top + high + 17}" fill="#555">{span}</text>')
    return out
