"""A Gaussian for each patch position, and what each training image would score without itself (PaDiM)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onlygood.memory.threads import one_thread
from onlygood.progress import Report, track

Array = NDArray[np.float32]
Wide = NDArray[np.float64]


@dataclass(frozen=True)
class PositionGaussians:
    """Gaussians of `P` positions, ready to be asked: a Mahalanobis distance is the length of W (x - mean).

    Attributes:
        mean: float32 `(P, d)`.
        whitening: float32 `(P, d, d)`: W, the inverse of the lower Cholesky factor of each covariance.
    """

    mean: Array
    whitening: Array

    def distances(self, vectors: Array) -> Array:
        """Mahalanobis distances float32 `(P,)` of one vector at each position, `(P, d)`."""
        white = np.matmul(self.whitening, (vectors - self.mean)[:, :, None])[:, :, 0]
        return np.asarray(np.sqrt(np.einsum("pd,pd->p", white, white)), np.float32)

    def packed(self) -> Array:
        """The lower triangles alone, float32 `(P, d (d + 1) / 2)`: half the size."""
        rows, columns = np.tril_indices(self.mean.shape[1])
        return self.whitening[:, rows, columns]

    @classmethod
    def unpacked(cls, mean: Array, triangles: Array) -> PositionGaussians:
        """The inverse of `packed`."""
        count, width = mean.shape
        whitening = np.zeros((count, width, width), np.float32)
        rows, columns = np.tril_indices(width)
        whitening[:, rows, columns] = triangles
        return cls(mean, whitening)


def fit_positions(
    vectors: Array, eps: float, groups: NDArray[np.integer], report: Report | None = None
) -> tuple[PositionGaussians, Array]:
    """Gaussians of all positions, and the distance of each training vector under those fitted without its group.

    The covariance is the sample's, over n - 1, plus eps on the diagonal. Leaving out a group is exact and needs no
    second fit: it takes from the scatter matrix what a product of `(d, g)` matrices gives back (Woodbury; with one
    image in the group, Sherman-Morrison). Needs SciPy and threadpoolctl.

    Args:
        vectors: `(n, P, d)`: n training images, P positions.
        eps: Added to the diagonal, above 0.
        groups: Group of each image, `(n,)`; with a single group there is nothing to leave out.
        report: Progress.

    Returns:
        The Gaussians, and float32 `(n, P)`; `(0, P)` with a single group.
    """
    from scipy.linalg import solve_triangular

    count, positions, width = vectors.shape
    _, member = np.unique(groups, return_inverse=True)
    size_of = np.bincount(member)[member]
    mean = np.empty((positions, width), np.float32)
    whitening = np.empty((positions, width, width), np.float32)
    left_out = np.empty((count if member.max() else 0, positions), np.float32)
    eye = np.eye(width)
    with one_thread():
        for position in track(range(positions), "gaussians", positions, report):
            x = vectors[:, position].astype(np.float64)
            middle = x.mean(axis=0)
            off = x - middle
            scatter = off.T @ off
            mean[position] = middle
            factor = np.linalg.cholesky(scatter / max(count - 1, 1) + eps * eye)
            whitening[position] = solve_triangular(factor, eye, lower=True, check_finite=False)
            if not len(left_out):
                continue
            for size in np.unique(size_of):
                of_size = np.flatnonzero(size_of == size)
                factor = np.linalg.cholesky(scatter / max(count - size - 1, 1) + eps * eye)
                white = solve_triangular(factor, off[of_size].T, lower=True, check_finite=False).T
                left_out[of_size, position] = np.sqrt(_without_group(white, member[of_size], count, int(size)))
    return PositionGaussians(mean, whitening), left_out


def _without_group(white: Wide, member: NDArray[np.integer], count: int, size: int) -> Wide:
    """Squared distances of vectors under the Gaussian without their groups, all of which have `size` members.

    With D the offsets of a group from the mean of all, B the scatter of all over m = n - g - 1 plus eps, and
    Q = D' B^-1 D: the covariance without the group is B - D M D' with M = (1 + 11' / (n - g)) / m, the offset of member
    i from the mean without the group is D v with v = e_i + 1 / (n - g), and its squared distance v' Q (1 - M Q)^-1 v.

    Args:
        white: Offsets from the mean of all images, whitened by B, `(k, d)`.
        member: Group of each, `(k,)`.
        count, size: n and g.
    """
    rest = count - size
    if size == 1:
        q = np.einsum("kd,kd->k", white, white)
        lever = (1 + 1 / rest) * q
        return np.asarray(lever * (1 + 1 / rest) / (1 - lever / max(rest - 1, 1)))
    squared = np.empty(len(white))
    v = np.eye(size) + 1 / rest
    m = v / max(rest - 1, 1)
    for group in np.unique(member):
        rows = np.flatnonzero(member == group)
        q = white[rows] @ white[rows].T
        squared[rows] = np.einsum("ij,ij->j", v, q @ np.linalg.solve(np.eye(size) - m @ q, v))
    return np.maximum(squared, 0)
