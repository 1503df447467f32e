"""Fast Point Feature Histograms (Rusu, Blodow and Beetz 2009), as Open3D computes them, on arrays.

33 numbers say how the surface bends around a point; moving and turning the part does not change them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ParameterError, require
from onlygood.parallel import in_order, threads_here

Points = NDArray[np.floating]
Doubles = NDArray[np.float64]
Rows = NDArray[np.integer]

#: Histogram cells of one angle, and numbers of a feature: three angles.
CELLS, LENGTH = 11, 33

#: Cosines nearer to each other than this are equal.
_TIE = 1e-9

#: Points whose pairs are worked on at once: their arrays fit into a processor's cache.
_BLOCK = 512


def neighbours_of(points: Points, most: int, radius: float | None = None, threads: int | None = None) -> Rows:
    """The nearest points of each point, itself first.

    Args:
        points: `(n, 3)`.
        most: Neighbours at most, the point itself counted.
        radius: Farther ones do not count; in the unit of the points. None for any distance.
        threads: None for all cores; in a thread that shares them with others it works alone.

    Returns:
        Row numbers `(n, min(most, n))`, nearest first; n where there is no further one.

    Raises:
        MissingDependencyError: SciPy is not installed.
    """
    require("scipy", "3d", "The geometry of scans (FPFH)")
    from scipy.spatial import cKDTree

    if most < 2:
        raise ParameterError(f"{most} neighbours: a point and at least one other are needed.")
    if radius is not None and not radius > 0:
        raise ParameterError(f"radius={radius}: it must be above 0, or None for any distance.")
    tree = cKDTree(points)
    bound = np.inf if radius is None else np.nextafter(radius, np.inf)  # the bound itself does not count
    found = tree.query(points, min(most, len(points)), distance_upper_bound=bound, workers=threads_here(threads))[1]
    return np.asarray(found).reshape(len(points), -1)


def normals_of(points: Points, neighbours: Rows, towards: NDArray[np.floating]) -> Doubles:
    """Unit normals of the plane through each point's neighbours.

    Args:
        points: `(n, 3)`.
        neighbours: As `neighbours_of` gives them.
        towards: Direction `(3,)`: of the two sides of the surface the one whose normal points along it is taken.

    Returns:
        float64 `(n, 3)`; `(0, 0, 1)`, turned likewise, where a point has fewer than two others.
    """
    normals = np.empty((len(points), 3))
    for part in _blocks(len(points)):
        rows = neighbours[part]
        there = rows < len(points)
        near = points[np.where(there, rows, 0)].astype(np.float64) - points[part, None]
        count = there.sum(axis=1)
        near *= there[..., None]
        mean = near.sum(axis=1) / count[:, None]
        spread = np.einsum("nki,nkj->nij", near, near) / count[:, None, None] - mean[:, :, None] * mean[:, None]
        found = np.linalg.eigh(spread)[1][..., 0]
        normals[part] = np.where((count < 3)[:, None], [0.0, 0.0, 1.0], found)
    return np.where((normals @ np.asarray(towards, np.float64) < 0)[:, None], -normals, normals)


def fpfh(points: Points, normals: Points, neighbours: Rows, threads: int | None = None) -> NDArray[np.float32]:
    """FPFH of each point.

    Args:
        points: `(n, 3)`, in any unit.
        normals: `(n, 3)`, of length 1.
        neighbours: As `neighbours_of` gives them; the first of each is the point itself.
        threads: None for all cores; in a thread that shares them with others it works alone.

    Returns:
        float32 `(n, 33)`: 11 cells for each of theta, alpha and phi, each block with sum 200. Zeros for a point
        without others.

    Raises:
        MissingDependencyError: SciPy is not installed.
    """
    require("scipy", "3d", "The geometry of scans (FPFH)")
    from scipy.sparse import csr_array

    place, normal = (np.ascontiguousarray(np.asarray(one, np.float64).T) for one in (points, normals))
    others = neighbours[:, 1:]
    there = others < len(points)
    simple = np.zeros((len(points), LENGTH))
    weights = np.zeros(others.shape)

    def work(part: slice) -> None:
        rows = np.where(there[part], others[part], 0)
        squared, angles = pair_angles(place[:, part, None], normal[:, part, None], place[:, rows], normal[:, rows])
        simple[part] = _histogram(angles, there[part])
        np.divide(1, squared, out=weights[part], where=there[part] & (squared > 0))

    for _ in in_order(work, _blocks(len(points)), threads):
        pass
    ends = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    near: Any = csr_array((weights[there], others[there], ends), shape=(len(points), len(points)))
    around = (near @ simple).reshape(-1, 3, CELLS)
    total = around.sum(axis=2, keepdims=True)
    around *= np.divide(100, total, out=np.zeros_like(total), where=total > 0)
    return (around.reshape(-1, LENGTH) + simple).astype(np.float32)


def pair_angles(p: Doubles, p_normal: Doubles, q: Doubles, q_normal: Doubles) -> tuple[Doubles, Doubles]:
    """The angles between two points of a surface.

    Of the two the source is the one whose normal lies nearer to the line between them. Around it stand u, its
    normal; v, perpendicular to u and the line; and w = u x v. With n the other normal:
    theta = atan2(w n, u n), alpha = v n, phi = u d, where d is the line's direction. Equally near, as points with
    the same neighbours and so the same normal are, p is the source: rounding must not decide.

    Args:
        p: Points `(3, ...)`.
        p_normal: Their normals, of length 1.
        q: The other points.
        q_normal: Their normals.

    Returns:
        Squared distances `(...)`, and theta in [-pi, pi], alpha and phi in [-1, 1] as `(3, ...)`; all three are 0
        for equal points and where the line runs along the source's normal.
    """
    line = q - p
    squared = _dot(line, line)
    length = np.sqrt(squared)
    apart = length > 0
    line /= np.where(apart, length, 1)
    along_p, along_q, between = _dot(p_normal, line), _dot(q_normal, line), _dot(p_normal, q_normal)
    # n v |u x line|, the same number whichever of the two is the source
    volume = (
        (line[1] * p_normal[2] - line[2] * p_normal[1]) * q_normal[0]
        + (line[2] * p_normal[0] - line[0] * p_normal[2]) * q_normal[1]
        + (line[0] * p_normal[1] - line[1] * p_normal[0]) * q_normal[2]
    )
    swapped = np.abs(along_p) < np.abs(along_q) - _TIE
    phi = np.where(swapped, -along_q, along_p)
    # |u x line|; w = (line - phi u) / |u x line|, so that w needs not be made
    across = np.sqrt(np.maximum(1 - phi * phi, 0))
    turned = np.where(swapped, along_q * between - along_p, along_q - along_p * between)
    known = apart & (across > 0)
    safe = np.where(known, across, 1)
    angles = np.stack([np.arctan2(turned / safe, between), np.clip(volume / safe, -1, 1), phi])
    angles *= known
    return squared, angles


def _dot(a: Doubles, b: Doubles) -> Doubles:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _histogram(angles: Doubles, there: NDArray[np.bool_]) -> Doubles:
    """SPFH `(n, 33)`: shares, in percent, of the pairs of each point `(3, n, k)` by cell."""
    n = there.shape[0]
    spans = np.array([2 * np.pi, 2, 2])[:, None, None]
    cells = np.clip((angles + spans / 2) * (CELLS / spans), 0, CELLS - 1).astype(np.intp)
    cells += np.arange(3)[:, None, None] * CELLS + np.arange(n)[:, None] * LENGTH
    counts = np.bincount(cells[:, there].ravel(), minlength=n * LENGTH).reshape(n, LENGTH)
    return counts * (100 / np.maximum(there.sum(axis=1), 1))[:, None]


def _blocks(total: int) -> list[slice]:
    return [slice(low, low + _BLOCK) for low in range(0, total, _BLOCK)]
