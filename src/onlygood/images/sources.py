"""Anything a person may hold images in, as one list of named, lazily read sources."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from onlygood.errors import DataError
from onlygood.images.cifar10_batches import is_image_path
from onlygood.images.layouts import find_images
from onlygood.images.reading import RGB, read_image
from onlygood.images.scans import Points, files_of_scan, picture_of, read_points


@dataclass(frozen=True)
class ImageSource:
    """One image that can be read when it is needed; of a scan also the points behind its pixels.

    Methods that look at pictures alone treat a scan as its picture.

    Attributes:
        name: The path, the file's own name, or `image 3` for the fourth of a list.
        content: A path, bytes, a binary file or an array, as `read_image` takes them. None for a scan without
            colours, which is shown as its depth.
        points: A file, an array `(h, w, 3)` or a `DepthMap`, as `read_points` takes them; None for a picture.
    """

    name: str
    content: Any
    points: Any = None

    def read(self) -> RGB:
        """The image as uint8 RGB `(h, w, 3)`; raises `ImageError` naming it."""
        if self.content is None and self.points is not None:
            return picture_of(self.read_points())
        return read_image(self.content, self.name)

    def read_points(self) -> Points:
        """The points of a scan as float32 `(h, w, 3)`, NaN where missing; raises `ImageError` naming it.

        Raises:
            DataError: It is a picture.
            ImageError: The points cannot be read or are not usable.
            MissingDependencyError: They are in a TIFF file and tifffile is not installed.
        """
        if self.points is None:
            raise DataError(
                f"{self.name} is a picture without 3-D points. Lay scans out as rgb/ and xyz/ (MVTec 3D-AD), or pass "
                "ImageSource(name, picture, points)."
            )
        return read_points(self.points, self.name)

    @property
    def is_scan(self) -> bool:
        """Whether there are points."""
        return self.points is not None

    @classmethod
    def of_file(cls, path: Path) -> ImageSource:
        """The source of a file; one in `rgb/` beside `xyz/` is a scan (MVTec 3D-AD)."""
        return cls(str(path), *files_of_scan(path))


Images = str | Path | BinaryIO | bytes | np.ndarray | ImageSource | Iterable[Any]


def as_sources(images: Images) -> list[ImageSource]:
    """Name and list images without reading them.

    Args:
        images: A folder (all images below it, sorted; scans in `rgb/` and `xyz/`), an image file, a binary file,
            bytes, an array (one image, or `(n, h, w, c)` for several), an `ImageSource`, or an iterable of any of
            these but folders.

    Returns:
        One source for each image, in order.

    Raises:
        DataError: There is no image at all, the folder is missing, or something is no image.
    """
    if isinstance(images, str | Path):
        path = Path(images)
        # a file may lie there without an ending
        is_file = path.is_file() or bool(path.suffix) or is_image_path(path)
        found = [path] if is_file and not path.is_dir() else find_images(path)
        return [ImageSource.of_file(file) for file in found]
    if isinstance(images, np.ndarray):
        stack = images if images.ndim == 4 else [images]
        return _named(stack)
    if isinstance(images, bytes) or hasattr(images, "read") or isinstance(images, ImageSource):
        return _named([images])
    if isinstance(images, Iterable):
        return _named(images)
    raise DataError(_no_image("images", images))


def _named(items: Iterable[Any]) -> list[ImageSource]:
    sources = []
    for number, item in enumerate(items):
        if isinstance(item, ImageSource):
            sources.append(item)
        elif isinstance(item, str | Path):
            sources.append(ImageSource.of_file(Path(item)))
        elif not isinstance(item, np.ndarray | bytes) and not hasattr(item, "read"):
            raise DataError(_no_image(f"Item {number} of the list", item))
        else:
            name = getattr(item, "name", None)
            sources.append(ImageSource(name if isinstance(name, str) else f"image {number}", item))
    if not sources:
        raise DataError("The list of images is empty. Pass at least one image.")
    return sources


def _no_image(what: str, item: object) -> str:
    return f"{what} is of type {type(item).__name__}. Pass a path, bytes, a binary file or a numpy array."


def paths_of(sources: Sequence[ImageSource]) -> list[Path] | None:
    """The files behind the sources, beside which saliency maps may lie; None if any is not a file."""
    paths = [source.content for source in sources if isinstance(source.content, Path)]
    return paths if len(paths) == len(sources) else None


def spread(total: int, most: int) -> list[int]:
    """Places of at most `most` of `total` images, spread evenly from the first to the last."""
    return [int(place) for place in np.unique(np.linspace(0, total - 1, min(total, most)).round().astype(int))]
