"""Scans: a 3-D point behind each pixel, from a file, an array or a depth map."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from onlygood.errors import ImageError, ParameterError, require
from onlygood.images.reading import MAX_PIXELS, RGB, opened

#: float32 `(h, w, 3)`, NaN where the sensor saw nothing.
Points = NDArray[np.float32]

#: Files of points, in the order in which they are looked for beside a picture.
POINT_EXTENSIONS = (".tiff", ".tif", ".npy")


@dataclass(frozen=True)
class DepthMap:
    """Depth along the optical axis and the pinhole camera that saw it.

    Attributes:
        depth: `(h, w)` array of whole numbers or floats, or a file (16-bit PNG or TIFF, float TIFF, `.npy`); 0, NaN
            and infinite values are missing.
        fx: Focal length in pixels of a column.
        fy: Focal length in pixels of a row.
        cx: Column of the principal point; 0 is the centre of the first pixel.
        cy: Row of the principal point.
        unit: Length of one step of depth, such as 0.001 for millimetres if points are to be in metres.
    """

    depth: Any
    fx: float
    fy: float
    cx: float
    cy: float
    unit: float = 1.0

    def points(self, name: str) -> Points:
        """The point behind each pixel, camera coordinates: x right, y down, z forward; raises as `read_points`."""
        if not (self.fx > 0 and self.fy > 0 and self.unit > 0):
            raise ParameterError(
                f"The camera of {name} has fx={self.fx}, fy={self.fy}, unit={self.unit}: all must be above 0."
            )
        depth = self.depth if isinstance(self.depth, np.ndarray) else _read_file(Path(self.depth), name)
        if depth.ndim == 3 and depth.shape[2] == 1:
            depth = depth[..., 0]
        if depth.ndim != 2 or not _numeric(depth):
            raise ImageError(f"The depth map of {name} has shape {depth.shape} and dtype {depth.dtype}, not (h, w).")
        _check_size(depth.shape, name)
        z = depth.astype(np.float64) * self.unit
        z[~np.isfinite(z) | (z <= 0)] = np.nan
        rows, columns = np.indices(z.shape)
        points = np.stack([(columns - self.cx) * z / self.fx, (rows - self.cy) * z / self.fy, z], axis=-1)
        return _checked(points, name)


def read_points(content: Any, name: str) -> Points:
    """Read the points of a scan.

    Args:
        content: An array `(h, w, 3)` of coordinates in any unit; a TIFF of three float channels (MVTec 3D-AD; needs
            the extra `3d`) or a `.npy` file of such an array; or a `DepthMap`. Points that are NaN, infinite or
            (0, 0, 0) are missing.
        name: What to call the scan in errors.

    Returns:
        float32 `(h, w, 3)`, NaN where missing.

    Raises:
        ImageError: The file cannot be read, the array is no grid of points, or all points are missing.
        MissingDependencyError: The package tifffile is not installed.
    """
    if isinstance(content, DepthMap):
        return content.points(name)
    points = content if isinstance(content, np.ndarray) else _read_file(Path(content), name)
    if points.ndim != 3 or points.shape[2] != 3 or not _numeric(points):
        raise ImageError(
            f"The points of {name} have shape {points.shape} and dtype {points.dtype}; a scan is (height, width, 3) "
            "numbers: the x, y and z of each pixel."
        )
    _check_size(points.shape, name)
    points = points.astype(np.float64)
    points[(points == 0).all(axis=2)] = np.nan
    return _checked(points, name)


def resize_points(points: Points, size: int) -> Points:
    """The grid of points at `(size, size)`: whole points are taken, row floor(i h / size), none are mixed (BTF)."""
    h, w = points.shape[:2]
    place = np.arange(size)
    return points[np.ix_(place * h // size, place * w // size)]


def picture_of(points: Points) -> RGB:
    """A scan without colours as a grey picture of its depth: near is bright, missing points are black."""
    z = points[..., 2]
    there = np.isfinite(z)
    near, far = np.percentile(z[there], [1, 99])
    grey = np.zeros(z.shape, np.uint8)
    grey[there] = np.rint(255 - 215 * np.clip((z[there] - near) / max(far - near, 1e-12), 0, 1)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def files_of_scan(path: Path) -> tuple[Path | None, Path | None]:
    """The picture and the points that a file of the MVTec 3D-AD layout belongs to.

    The layout is `rgb/000.png` beside `xyz/000.tiff`, or `xyz/` alone.

    Returns:
        `(picture, points)`: the points are None for an ordinary picture, the picture is None for points alone. A
        picture in `rgb/` beside a folder `xyz/` has points even if that file is missing: reading them says so.
    """
    folder = path.parent
    if folder.name == "rgb" and (folder.parent / "xyz").is_dir():
        candidates = [folder.parent / "xyz" / f"{path.stem}{extension}" for extension in POINT_EXTENSIONS]
        return path, next((one for one in candidates if one.is_file()), candidates[0])
    if folder.name == "xyz" and path.suffix.lower() in POINT_EXTENSIONS:
        return None, path
    return path, None


def _read_file(path: Path, name: str) -> NDArray[Any]:
    if not path.is_file():
        raise ImageError(f"The points of {name} are missing: there is no file {path}.")
    try:
        if path.suffix.lower() == ".npy":
            return np.load(path, allow_pickle=False)
        if path.suffix.lower() in (".tif", ".tiff"):
            require("tifffile", "3d", "Reading the points of a scan from TIFF")
            import tifffile

            return np.asarray(tifffile.imread(path))
    except ImportError:
        raise
    except Exception as error:  # what damage raises is not documented
        raise ImageError(f"Cannot read the points {path}: {error}. Copy the file again or remove the scan.") from error
    with opened(path, str(path)) as image:
        return _grey(image, path)


def _grey(image: Image.Image, path: Path) -> NDArray[Any]:
    """A depth map of one channel."""
    try:
        return np.asarray(image)
    except Exception as error:  # Pillow raises almost anything on damage
        raise ImageError(f"The depth map {path} is damaged or cut short ({error}). Copy it again.") from error


def _numeric(array: NDArray[Any]) -> bool:
    return array.dtype.kind in "fiu"


def _check_size(shape: tuple[int, ...], name: str) -> None:
    h, w = shape[:2]
    if h * w > MAX_PIXELS:
        raise ImageError(f"The scan {name} has {w} x {h} points; the limit is {MAX_PIXELS // 1_000_000} million.")
    if min(h, w) < 8:
        raise ImageError(f"The scan {name} has only {w} x {h} points; at least 8 x 8 are needed.")


def _checked(points: NDArray[np.float64], name: str) -> Points:
    missing = ~np.isfinite(points).all(axis=2)
    if missing.all():
        raise ImageError(
            f"The scan {name} has no valid point: all are zero, NaN or infinite. Check the sensor, or remove the scan."
        )
    points[missing] = np.nan
    return points.astype(np.float32)
