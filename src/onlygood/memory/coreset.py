"""Greedy k-centre coreset, fast enough for a CPU and the same picks as the plain loop."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ParameterError
from onlygood.progress import Report, silent

Vectors = NDArray[np.floating]
Floats = NDArray[np.float32]


def greedy_coreset(
    vectors: Vectors,
    count: int,
    *,
    seed: int = 0,
    start: int | None = None,
    projection: int | None = 128,
    candidates: int = 2048,
    report: Report | None = None,
) -> NDArray[np.int64]:
    """Pick vectors so that the farthest one left is as near as possible (farthest-first traversal).

    The plain loop touches every vector for every pick. Here each round sets the `candidates` farthest
    vectors apart and picks greedily among these alone, for as long as the best of them is still farther
    than any vector outside could be (their distance at the start of the round: distances only ever
    shrink). So the picks are those of the plain loop, while all other vectors are brought up to date
    with one matrix product per round.

    Args:
        vectors: float32 or float16 `(N, D)`.
        count: Vectors to pick, 1 to N.
        seed: Seeds the projection and the start points.
        start: First pick; None for PatchCore's approximate start, in which ten random points, themselves
            not picked, give each vector its first distance (the mean of the ten).
        projection: Search in a random linear projection of this many dimensions, if smaller than D.
        candidates: Size of the set of a round; changes the time taken, not the picks.
        report: Progress.

    Returns:
        int64 `(count,)` row numbers in order of picking.

    Raises:
        ParameterError: `count` or `start` out of range.
    """
    total = len(vectors)
    if not 1 <= count <= total:
        raise ParameterError(f"A coreset of {count} vectors cannot be picked from {total}.")
    if start is not None and not 0 <= start < total:
        raise ParameterError(f"start={start} is no row of {total} vectors.")
    report = report or silent
    rng = np.random.default_rng(seed)
    points = _projected(vectors, projection, rng)
    norms = np.einsum("nd,nd->n", points, points)
    picks: list[int] = []
    if start is None:
        anchors = rng.choice(total, size=min(10, total), replace=False)
        distances = np.mean([_distances(points, norms, [a])[0] for a in anchors], axis=0)
    else:
        picks.append(start)
        distances = _distances(points, norms, [start])[0]
        distances[start] = -1
    resolution = np.float32(5e-4) * np.sqrt(norms)
    while len(picks) < count:
        if (distances <= resolution).all():  # the rest equals the picks as far as float32 can tell
            picks += np.flatnonzero(distances >= 0)[: count - len(picks)].tolist()
            break
        new = _picks_of_one_round(points, norms, distances, count - len(picks), candidates)
        for begin in range(0, len(new), 256):
            part = new[begin : begin + 256]
            for low in range(0, total, 32_768):
                rows = slice(low, low + 32_768)
                near = _distances(points[rows], norms[rows], None, points[part], norms[part]).min(axis=0)
                np.minimum(distances[rows], near, out=distances[rows])
        picks += new
        distances[new] = -1  # never again, not even among duplicates at distance 0
        report("coreset", len(picks), count)
    return np.asarray(picks, np.int64)


def johnson_lindenstrauss(count: int, distortion: float = 0.9) -> int:
    """Dimensions that keep the squared distances among `count` points within 1 +- `distortion`.

    The bound of Dasgupta and Gupta (2003) as scikit-learn has it; with 0.9 it is what PatchCore's successors, BTF and
    BTM among them, project to before they pick a coreset.
    """
    return int(4 * np.log(count) / (distortion**2 / 2 - distortion**3 / 3))


def coverage_radius(vectors: Vectors, picks: NDArray[np.integer]) -> float:
    """Largest Euclidean distance of any vector to its nearest pick: what the greedy choice makes small."""
    worst = 0.0
    middle = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    centres = vectors[picks] - middle
    centre_norms = np.einsum("nd,nd->n", centres, centres)
    for low in range(0, len(vectors), 4096):
        part = vectors[low : low + 4096] - middle
        norms = np.einsum("nd,nd->n", part, part)
        worst = max(worst, float(_distances(part, norms, None, centres, centre_norms).min(axis=0).max()))
    return worst


def _picks_of_one_round(points: Floats, norms: Floats, distances: Floats, wanted: int, size: int) -> list[int]:
    if len(points) > size:
        pool = np.argpartition(distances, len(points) - size)[len(points) - size :]
        pool.sort()  # ties go to the first row, as in the plain loop
        outside = float(np.partition(distances, len(points) - size - 1)[len(points) - size - 1])
    else:
        pool, outside = np.arange(len(points)), -np.inf
    near, near_norms, left = points[pool], norms[pool], distances[pool].copy()
    picks: list[int] = []
    while len(picks) < wanted:
        best = int(left.argmax())
        if left[best] <= outside and not picks:  # tied with a vector outside: the first row of all
            return [int(distances.argmax())]
        if left[best] < 0 or left[best] <= outside:
            break
        picks.append(int(pool[best]))
        np.minimum(left, _distances(near, near_norms, [best])[0], out=left)
        left[best] = -1
    return picks


def _distances(
    points: Floats,
    norms: Floats,
    rows: list[int] | None,
    centres: Floats | None = None,
    centre_norms: Floats | None = None,
) -> Floats:
    """Euclidean distances `(c, n)` from centres (or from rows of the points themselves)."""
    if rows is not None:
        centres, centre_norms = points[rows], norms[rows]
    assert centres is not None and centre_norms is not None
    squared = centres @ points.T
    squared *= -2
    squared += norms
    squared += centre_norms[:, None]
    np.maximum(squared, 0, out=squared)
    return np.sqrt(squared, out=squared)


def _projected(vectors: Vectors, dim: int | None, rng: np.random.Generator) -> Floats:
    """Moved to the origin, where the product form of distances keeps its digits, and projected."""
    width = vectors.shape[1]
    centre = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    if dim is None or dim >= width:
        return np.ascontiguousarray(vectors - centre, np.float32)
    bound = 1 / np.sqrt(width)
    matrix = rng.uniform(-bound, bound, size=(width, dim)).astype(np.float32)
    blocks = [(vectors[i : i + 32_768] - centre) @ matrix for i in range(0, len(vectors), 32_768)]
    return np.concatenate(blocks)
