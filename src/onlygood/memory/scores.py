"""The k-nearest-neighbour scores of REB's Table 6 and of PatchCore, BTF and BTM, as pure functions of distances.

`squared` is always float `(q, k)`: ascending squared Euclidean distances of a query to its neighbours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ParameterError

Array = NDArray[np.float32]

#: Distances and densities below this count as it where they divide.
LEAST = 1e-10


def ldknn_score(
    squared: Array,
    density: Array,
    alpha: float = 1.0,
    *,
    distance: str = "sqeuclidean",
    form: str = "subtract",
) -> Array:
    """LDKNN: distance to the nearest bank vector, corrected by that vector's local density (REB, eqs. 3-4).

    Args:
        squared: Squared distance to the nearest bank vector, `(q,)`.
        density: Its local density, in the same kind of distance, `(q,)`.
        alpha: Local density coefficient; 0 is plain 1-NN.
        distance: `sqeuclidean` (released code) or `euclidean`.
        form: `subtract` (released code), d - alpha LD; or `ratio`, d / LD^alpha (LD at least 1e-10).

    Returns:
        float32 `(q,)`; may be negative.
    """
    d = _distance(squared, distance)
    if form == "subtract":
        return np.asarray(d - np.float32(alpha) * density, np.float32)
    if form == "ratio":
        return np.asarray(d / np.maximum(density, LEAST) ** np.float32(alpha), np.float32)
    raise ParameterError(f"Unknown form {form!r}. Known are: subtract, ratio")


def knn_score(squared: Array, distance: str = "sqeuclidean") -> Array:
    """Mean distance to the k nearest."""
    return np.asarray(_distance(squared, distance).mean(axis=1), np.float32)


def kth_nn_score(squared: Array, distance: str = "sqeuclidean") -> Array:
    """Distance to the k-th nearest."""
    return np.asarray(_distance(squared[:, -1], distance), np.float32)


def reweighted(nearest: Array, around: Array, scale: float = 1.0) -> Array:
    """PatchCore's re-weighting of an image's highest patch (Roth et al. 2022, eq. 7; BTM, eqs. 10 and 11): s = w s*.

    Args:
        nearest: s*, the Euclidean distance of f* to m*, `(q,)`.
        around: As `neighbourhood_weight` takes it.
        scale: Likewise.

    Returns:
        float32 `(q,)`; s* itself where there is nothing around.
    """
    return np.asarray(neighbourhood_weight(nearest, around, scale) * nearest, np.float32)


def neighbourhood_weight(nearest: Array, around: Array, scale: float = 1.0) -> NDArray[np.float64]:
    """The weight of the re-weighting, w = 1 - exp(s*) / sum exp(d) (BTM, eq. 10).

    It takes less off the farther the neighbours of m* are from the patch f*, whose nearest vector m* is.

    Args:
        nearest: s*, the Euclidean distance of f* to m*, `(q,)`.
        around: Euclidean distances d of f* to the bank vectors nearest to m*, `(q, b)`; infinite ones do not count.
            In PatchCore's formula m* is the first of them (with b = 1 the weight is then 0); BTF leaves it out.
        scale: Distances are divided by it in the exponents; BTF takes the root of the vectors' length.

    Returns:
        float64 `(q,)`; 1 where there is nothing around.
    """
    there = np.isfinite(around)
    exponents = np.where(there, (np.where(there, around, 0) - nearest[:, None]) / scale, -np.inf)
    with np.errstate(over="ignore"):  # a sum beyond all bounds takes nothing off
        total = np.exp(exponents.astype(np.float64)).sum(axis=1)
    return np.asarray(1 - 1 / np.where(total > 0, total, np.inf))


def lof_density(squared: Array, k_distance: Array | None = None) -> Array:
    """Local reachability density of LOF.

    Args:
        squared: Squared distances of each vector to its k neighbours, `(n, k)`.
        k_distance: Distance of each of these neighbours to *its* k-th neighbour, `(n, k)`: the
            standard definition (Breunig et al. 2000). None gives the form of REB's code, in which every
            reachability distance is the vector's own k-th squared distance.

    Returns:
        float32 `(n,)`.
    """
    if k_distance is None:
        reach = squared[:, -1]
    else:
        reach = np.maximum(np.sqrt(squared), k_distance).mean(axis=1)
    return np.asarray(1 / np.maximum(reach, LEAST), np.float32)


def lof_score(own: Array, of_neighbours: Array) -> Array:
    """LOF: mean density of the neighbours `(q, k)` over the query's own `(q,)`; about 1 in an even cloud."""
    return np.asarray(of_neighbours.mean(axis=1) / own, np.float32)


def ldof_score(squared: Array, between: Array) -> Array:
    """LDOF (Zhang et al. 2009): mean distance to the k neighbours over their mean distance to each other.

    Args:
        squared: `(q, k)` with k >= 2.
        between: Euclidean distances among the neighbours, `(q, k, k)`.
    """
    k = squared.shape[1]
    if k < 2:
        raise ParameterError("LDOF compares neighbours with each other: k must be at least 2.")
    inner = between.sum(axis=(1, 2)) / (k * (k - 1))
    return np.asarray(np.sqrt(squared).mean(axis=1) / np.maximum(inner, LEAST), np.float32)


def pairwise_distances(neighbours: Array) -> Array:
    """Euclidean distances among the neighbours of each query: `(q, k, D)` -> `(q, k, k)`."""
    k = neighbours.shape[1]
    out = np.zeros((len(neighbours), k, k), np.float32)
    for a in range(k):
        difference = neighbours - neighbours[:, a : a + 1]
        out[:, a] = np.sqrt(np.einsum("qkd,qkd->qk", difference, difference))
    return out


def _distance(squared: Array, distance: str) -> Array:
    if distance == "sqeuclidean":
        return squared
    if distance == "euclidean":
        return np.sqrt(squared)
    raise ParameterError(f"Unknown distance {distance!r}. Known are: sqeuclidean, euclidean")
