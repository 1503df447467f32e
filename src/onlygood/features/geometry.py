"""The geometry branch of BTF and BTM: from a scan's points to one FPFH vector for each patch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import DataError
from onlygood.features.fpfh import LENGTH, fpfh, neighbours_of, normals_of
from onlygood.features.pooling import mean_and_pool_matrix

Points = NDArray[np.floating]


@dataclass(frozen=True)
class Geometry:
    """How FPFH is taken.

    Attributes:
        neighbours: Points of a histogram at most, the point itself counted.
        radius: Farther ones do not count, in the unit of the points; None for any distance.
        normal_neighbours: Points of a normal at most, the point itself counted.
        normal_radius: As `radius`, for normals.
        padded: Whether the 3x3 mean is padded with zeros (BTM) or loses the border (BTF).
    """

    neighbours: int = 100
    radius: float | None = None
    normal_neighbours: int = 30
    normal_radius: float | None = None
    padded: bool = True

    def patches(
        self, points: Points, grid: tuple[int, int], name: str, threads: int | None = None
    ) -> NDArray[np.float32]:
        """FPFH of a scan, averaged over 3x3 points and then over each patch.

        Missing points have zeros for a feature, which enter the means (BTF), so that patches with missing points
        can be told from whole ones.

        Args:
            points: `(h, w, 3)`, NaN where missing.
            grid: Patches `(h, w)`.
            name: What to call the scan in errors.
            threads: None for all cores.

        Returns:
            float32 `(h, w, 33)`.

        Raises:
            DataError: No point has another within the radius: it is given in another unit than the points.
            MissingDependencyError: SciPy is not installed.
        """
        maps = self.of_points(points, name, threads).transpose(2, 0, 1)
        rows, columns = (mean_and_pool_matrix(n, g, self.padded) for n, g in zip(points.shape[:2], grid))
        return np.ascontiguousarray((rows @ maps @ columns.T).transpose(1, 2, 0))

    def of_points(self, points: Points, name: str, threads: int | None = None) -> NDArray[np.float32]:
        """FPFH of each point of a scan `(h, w, 33)`; zeros where it is missing. Arguments as `patches`."""
        features = np.zeros((*points.shape[:2], LENGTH), np.float32)
        there = np.isfinite(points).all(axis=2)
        found = points[there].astype(np.float64)
        if len(found) < 2:
            return features
        found -= found.mean(axis=0)  # keeps the digits of scans far from the origin
        near = neighbours_of(found, self.neighbours, self.radius, threads)
        if (near[:, 1] == len(found)).all():
            raise DataError(
                f"No point of {name} has another within radius={self.radius}. Is the radius in the unit of the points? "
                "With radius=none only the number of neighbours counts."
            )
        if self.normal_radius == self.radius and self.normal_neighbours <= self.neighbours:
            around = near[:, : self.normal_neighbours]
        else:
            around = neighbours_of(found, self.normal_neighbours, self.normal_radius, threads)
        features[there] = fpfh(found, normals_of(found, around, side_seen(points)), near, threads)
        return features


def side_seen(points: Points) -> NDArray[np.float64]:
    """Direction `(3,)` of the side of the surface that the sensor saw, or the opposite, the same for all its scans.

    It follows from the order of rows and columns: the sum of the surface elements spanned by the steps along both. So
    it turns with the part and needs no knowledge of where the sensor stood.
    """
    wide = points.astype(np.float64)
    across = wide[1:-1, 2:] - wide[1:-1, :-2]
    down = wide[2:, 1:-1] - wide[:-2, 1:-1]
    total = np.nansum(np.cross(across, down), axis=(0, 1))
    length = np.linalg.norm(total)
    return total / length if length > 0 else np.array([0.0, 0.0, 1.0])
