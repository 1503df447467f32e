"""Filled contours of a function on a grid, as SVG paths (marching squares)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

#: For each pattern of corners that lie inside (top left 1, top right 2, bottom right 4, bottom left 8): where the
#: contour enters and leaves the cell (Top, Right, Bottom, Left), the inside on its left hand as one looks at the grid.
_STEPS = {
    1: ["LT"],
    2: ["TR"],
    3: ["LR"],
    4: ["RB"],
    6: ["TB"],
    7: ["LB"],
    8: ["BL"],
    9: ["BT"],
    11: ["BR"],
    12: ["RL"],
    13: ["RT"],
    14: ["TL"],
}
#: Saddles, by whether the middle of the cell lies inside.
_SADDLES = {(5, True): ["RT", "LB"], (5, False): ["LT", "RB"], (10, True): ["TL", "BR"], (10, False): ["TR", "BL"]}


def region_above(values: Doubles, level: float) -> list[Doubles]:
    """The region where a function is at least `level`, as closed polygons.

    Between grid points it is interpolated linearly along the cells' edges. Holes are polygons of their own, so that
    the region is what the even-odd rule fills.

    Args:
        values: `(h, w)`, finite.
        level: The level.

    Returns:
        Polygons `(n, 2)`: column and row in grid steps, from 0 to w - 1 and h - 1.
    """
    # a rim of low values closes every polygon; it lies on the edge of the grid itself
    low = min(float(values.min()), level) - 1
    z = np.pad(values.astype(np.float64), 1, constant_values=low)
    h, w = z.shape
    inside = z >= level
    case = inside[:-1, :-1] + 2 * inside[:-1, 1:] + 4 * inside[1:, 1:] + 8 * inside[1:, :-1]
    middle = (z[:-1, :-1] + z[:-1, 1:] + z[1:, 1:] + z[1:, :-1]) / 4 >= level
    cells = [(case == one, steps) for one, steps in _STEPS.items()]
    cells += [((case == one) & (middle == filled), steps) for (one, filled), steps in _SADDLES.items()]
    starts, ends = [], []
    for of_case, steps in cells:
        rows, columns = np.nonzero(of_case)
        sides = {
            "T": rows * w + columns,
            "B": (rows + 1) * w + columns,
            "L": h * w + rows * w + columns,
            "R": h * w + rows * w + columns + 1,
        }
        for step in steps:
            starts.append(sides[step[0]])
            ends.append(sides[step[1]])
    following = dict(zip(np.concatenate(starts).tolist(), np.concatenate(ends).tolist()))
    polygons = []
    while following:
        first, edge = following.popitem()
        loop = [first]
        while edge != first:
            loop.append(edge)
            edge = following.pop(edge)
        polygons.append(_crossings(np.array(loop), z, level))
    return polygons


def path_of(polygons: list[Doubles], left: float, top: float, across: float, down: float) -> str:
    """The `d` of an SVG path of polygons, whose grid steps are `across` and `down` wide."""
    parts = []
    for polygon in polygons:
        points = np.round(polygon * [across, down] + [left, top], 1)
        kept = np.ones(len(points), np.bool_)
        kept[1:] = (points[1:] != points[:-1]).any(axis=1)
        parts.append("M" + "L".join(f"{x:g} {y:g}" for x, y in points[kept]) + "Z")
    return "".join(parts)


def _crossings(edges: NDArray[np.int64], z: Doubles, level: float) -> Doubles:
    """Column and row, in steps of the grid without its rim, where each edge crosses the level."""
    h, w = z.shape
    upright = edges >= h * w
    rows, columns = np.divmod(edges - h * w * upright, w)
    next_rows, next_columns = rows + upright, columns + ~upright
    first, second = z[rows, columns], z[next_rows, next_columns]
    part = (level - first) / (second - first)

    def place(at: NDArray[np.int64], to: NDArray[np.int64], count: int) -> Doubles:
        a, b = (np.clip(one - 1, 0, count - 3).astype(np.float64) for one in (at, to))
        return a + part * (b - a)

    return np.stack([place(columns, next_columns, w), place(rows, next_rows, h)], axis=1)
