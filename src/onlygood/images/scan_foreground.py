"""The part without the table it lies on: plane removal and the largest cluster, as BTF's preparation has it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import DataError, require
from onlygood.images.scans import Points

Mask = NDArray[np.bool_]
Doubles = NDArray[np.float64]

#: The table is looked for in a frame of this share of the scan's sides. BTF takes 10 pixels of some 800.
FRAME = 0.02
#: Planes that are tried, and points each is laid through (BTF).
TRIALS, SAMPLE = 1000, 50
#: Points within reach that make a point the core of a cluster (BTF), or this share of those a flat surface has there,
#: whichever is less: a coarse scan has few.
CORE, CORE_SHARE = 30, 0.25


def foreground_of(points: Points, thickness: float, name: str, seed: int = 0) -> Mask:
    """The points of the part.

    A plane is fitted to the frame of the scan and everything nearer to it than `thickness` is taken for the table; of
    the rest the largest cluster is the part. Points of a cluster are linked over gaps of 1.2 `thickness`.

    Args:
        points: `(h, w, 3)`, NaN where missing.
        thickness: In the unit of the points; 0.005 in BTF, whose points are in metres.
        name: What to call the scan in errors.
        seed: Of the planes that are tried.

    Returns:
        bool `(h, w)`.

    Raises:
        DataError: No part is left.
        MissingDependencyError: SciPy is not installed.
    """
    require("scipy", "3d", "The foreground of scans")
    there: Mask = np.asarray(np.isfinite(points).all(axis=2))
    h, w = there.shape
    frame = there.copy()
    rows, columns = max(1, round(FRAME * h)), max(1, round(FRAME * w))
    frame[rows : h - rows, columns : w - columns] = False
    kept = there
    if np.count_nonzero(frame) >= SAMPLE:  # else there is no table to be seen
        normal, offset = fit_plane(points[frame].astype(np.float64), 0.8 * thickness, seed)
        kept = there & (np.abs(points @ normal - offset) >= thickness)
    mask: Mask = np.zeros((h, w), np.bool_)
    if kept.any():
        reach = 1.2 * thickness
        mask[kept] = largest_cluster(points[kept].astype(np.float64), reach, _core(points, reach))
    if not mask.any():
        raise DataError(
            f"The scan {name} shows no part above its table with foreground={thickness:g}. Give it in the unit of the "
            "points (0.005 for 5 mm if they are in metres), or use foreground=none."
        )
    return mask


def fit_plane(points: Doubles, tolerance: float, seed: int = 0) -> tuple[Doubles, float]:
    """The plane with most points near it, by random trials, then least squares through these.

    Args:
        points: `(n, 3)`, at least 50.
        tolerance: Distance of a point that counts.
        seed: Of the trials.

    Returns:
        Unit normal `(3,)` and offset: the plane is normal x = offset.
    """
    rng = np.random.default_rng(seed)
    seen = points[:: -(-len(points) // 4000)]  # enough to count with
    samples = points[rng.integers(len(points), size=(TRIALS, SAMPLE))]
    normals, offsets = _planes(samples)
    near = [np.count_nonzero(np.abs(seen @ n - o) < tolerance) for n, o in zip(normals, offsets)]
    best = int(np.argmax(near))
    inside = np.abs(points @ normals[best] - offsets[best]) < tolerance
    if np.count_nonzero(inside) >= 3:
        normals, offsets = _planes(points[None, inside])
        best = 0
    return normals[best], float(offsets[best])


def largest_cluster(points: Doubles, reach: float, core: int) -> Mask:
    """DBSCAN (Ester et al. 1996) as far as its largest cluster.

    Points are sorted into cells so small that all of one cell reach each other; so only pairs of cells have to be
    looked at, not pairs of points.

    Args:
        points: `(n, 3)`.
        reach: Points at most this far apart are neighbours.
        core: Neighbours, the point itself counted, that make a point a core.

    Returns:
        bool `(n,)`: the cores of the cluster with most cores, and the points within reach of these. All False where
        there is no core.
    """
    from scipy.spatial import cKDTree

    counts = cKDTree(points).query_ball_point(points, reach, return_length=True)
    cores = points[counts >= core]
    if len(cores) == 0:
        return np.zeros(len(points), np.bool_)
    side = reach / 3**0.5 * (1 - 1e-9)
    cells, cell_of = np.unique(
        np.floor((cores - cores.min(axis=0)) / side).astype(np.int64), axis=0, return_inverse=True
    )
    cell_of = cell_of.ravel()
    order = np.argsort(cell_of, kind="stable")
    members = np.split(cores[order], np.flatnonzero(np.diff(cell_of[order])) + 1)
    pairs = cKDTree(cells).query_pairs(2 * 3**0.5, output_type="ndarray")  # farther cells are out of reach
    pairs = pairs[np.argsort(((cells[pairs[:, 0]] - cells[pairs[:, 1]]) ** 2).sum(axis=1), kind="stable")]
    links = _Links(len(cells))
    for a, b in pairs:
        if links.root(a) != links.root(b) and _meet(members[a], members[b], reach):
            links.join(a, b)
    linked = np.array([links.root(cell) for cell in range(len(cells))])
    of_core = linked[cell_of]
    largest = cores[of_core == np.bincount(of_core).argmax()]
    return np.isfinite(cKDTree(largest).query(points, distance_upper_bound=np.nextafter(reach, np.inf))[0])


def _core(points: Points, reach: float) -> int:
    """How many points within reach make a core, at the distance that neighbours of this scan are apart."""
    steps = np.linalg.norm(points[:, 1:] - points[:, :-1], axis=2)
    apart = float(np.nanmedian(steps)) if np.isfinite(steps).any() else np.inf
    return int(min(CORE, max(3.0, CORE_SHARE * np.pi * (reach / max(apart, 1e-300)) ** 2)))


class _Links:
    """Sets of cells that have been joined."""

    def __init__(self, count: int) -> None:
        self.parent = list(range(count))

    def root(self, cell: int) -> int:
        """The cell that stands for the set."""
        while self.parent[cell] != cell:
            self.parent[cell] = self.parent[self.parent[cell]]
            cell = self.parent[cell]
        return cell

    def join(self, a: int, b: int) -> None:
        """Make one set of two."""
        self.parent[self.root(a)] = self.root(b)


def _meet(a: Doubles, b: Doubles, reach: float) -> bool:
    squared: Any = ((a[:, None] - b[None]) ** 2).sum(axis=2)
    return bool(squared.min() <= reach**2)


def _planes(samples: Doubles) -> tuple[Doubles, Doubles]:
    """Least-squares planes through samples `(t, n, 3)`: normals `(t, 3)` and offsets `(t,)`."""
    middle = samples.mean(axis=1)
    moved = samples - middle[:, None]
    normals = np.linalg.eigh(np.einsum("tni,tnj->tij", moved, moved))[1][..., 0]
    return normals, np.einsum("ti,ti->t", normals, middle)
