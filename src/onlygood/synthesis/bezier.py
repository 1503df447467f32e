"""Closed Bézier contours: the outline of every DefectMaker shape (REB, section 3.1.1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from onlygood.errors import ParameterError
from onlygood.synthesis.arrays import MaskArray

#: Points taken on each curved side, both ends included.
SAMPLES = 12


def random_polygon(rng: np.random.Generator, points: int) -> NDArray[np.float64]:
    """Draw the control polygon: `points` integer points in [0, 100)², sorted by angle around their centroid.

    Returns:
        Vertices as (x, y), float64, shape (points, 2); never all on one row or one column.
    """
    if points < 3:
        raise ParameterError(f"points is {points}; a closed contour needs at least 3.")
    while True:
        vertices = rng.integers(0, 100, size=(points, 2)).astype(np.float64)
        if np.ptp(vertices, axis=0).min() > 0:
            break
    offset = vertices - vertices.mean(axis=0)
    return vertices[np.argsort(np.arctan2(offset[:, 1], offset[:, 0]), kind="stable")]


def control_points(vertices: NDArray[np.float64], tension: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give each vertex its incoming and outgoing cubic control point.

    At a vertex between sides of lengths d0 and d1, the segment that joins the middles of the two sides is
    moved so that its point at the fraction d0 / (d0 + d1) falls on the vertex; both ends are then drawn
    towards the vertex by `tension` (0: the smoothest contour, 1: the polygon itself).

    Returns:
        (incoming, outgoing), each float64 of shape (n, 2).
    """
    following = np.roll(vertices, -1, axis=0)
    middle_out = (vertices + following) / 2
    middle_in = np.roll(middle_out, 1, axis=0)
    length_out = np.linalg.norm(following - vertices, axis=1)
    length_in = np.roll(length_out, 1)
    total = length_in + length_out
    fraction = np.divide(length_in, total, out=np.full_like(total, 0.5), where=total > 0)[:, None]
    split = middle_in + (middle_out - middle_in) * fraction
    shrink = 1 - tension
    return vertices + (middle_in - split) * shrink, vertices + (middle_out - split) * shrink


def smooth_contour(vertices: NDArray[np.float64], tension: float, straight: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Run a closed contour through `vertices`; sides marked `straight` stay lines, the others become cubics.

    Args:
        vertices: (x, y) in order, shape (n, 2).
        tension: k in [0, 1]; see `control_points`.
        straight: bool, shape (n,): side i leads from vertex i to vertex i + 1.

    Returns:
        Contour points, float64, shape (m, 2). The last point equals the first.
    """
    incoming, outgoing = control_points(vertices, tension)
    t = np.linspace(0, 1, SAMPLES)[:-1, None]
    basis = np.concatenate([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], axis=1)
    corners = np.stack([vertices, outgoing, np.roll(incoming, -1, axis=0), np.roll(vertices, -1, axis=0)], axis=1)
    curves = basis @ corners  # (n, 11, 2): each side without its last point, which the next side begins with
    keep = np.ones(curves.shape[:2], dtype=bool)
    keep[straight, 1:] = False
    return np.concatenate([curves[keep], vertices[:1]])


def bezier_contour(rng: np.random.Generator, points: int, tension: float) -> NDArray[np.float64]:
    """Draw a closed contour: a random polygon whose sides are curved or straight, with even chance."""
    vertices = random_polygon(rng, points)
    return smooth_contour(vertices, tension, rng.random(points) < 0.5)


def bezier_mask(rng: np.random.Generator, height: int, width: int, points: int = 5, tension: float = 0.3) -> MaskArray:
    """Draw a Bézier shape that touches all four sides of a box.

    Args:
        rng: source of randomness.
        height: of the box, pixels.
        width: of the box, pixels.
        points: number of polygon vertices (n).
        tension: k; larger is edgier.

    Returns:
        Mask, bool, shape (height, width).
    """
    if height < 1 or width < 1:
        raise ParameterError(f"The box is {width}x{height} pixels; both sides must be at least 1.")
    contour = bezier_contour(rng, points, tension)
    low = contour.min(axis=0)
    contour = (contour - low) / (contour.max(axis=0) - low) * (width - 1, height - 1)
    canvas = Image.new("L", (width, height), 0)
    ImageDraw.Draw(canvas).polygon([tuple(p) for p in contour.astype(int).tolist()], fill=1, outline=1)
    return np.asarray(canvas, dtype=bool)
