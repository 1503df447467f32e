"""Which images are to be inspected, and in which parts."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from onlygood.errors import DataError
from onlygood.images.layouts import SALIENCY_SUFFIX, find_images
from onlygood.images.reading import EXTENSIONS
from onlygood.reports.pictures import PictureNames

#: Images of a part: what a stopped run loses of each worker is at most this many.
MOST = 256
FEWEST = 16
#: Parts there should at least be, so that all workers have something to do to the end.
PARTS = 64


@dataclass(frozen=True)
class BulkImage:
    """An image to inspect.

    Attributes:
        path: Absolute path, or the path within an object store.
        below: The path below the folder that was asked for; the file's name where that is the image itself.
        store: URI that was asked for; empty for a file.
        pictures: Name of its pictures, without an ending; empty where none is given yet.
    """

    path: str
    below: str
    store: str = ""
    pictures: str = ""


@dataclass(frozen=True)
class Part:
    """Images whose rows are written as one file."""

    name: str
    images: Sequence[BulkImage]


def list_images(images: str | Path | Sequence[str | Path]) -> list[BulkImage]:
    """Each image once: files, and what folders hold, on disks or in object stores.

    A file that is missing is among them, for it gets a row with an error, as a damaged one.

    Raises:
        DataError: There is no image, or some lie on a disk and some in a store.
        OSError, ValueError: The store cannot be reached.
    """
    asked = [str(one) for one in ([images] if isinstance(images, str | Path) else images)]
    stored = ["://" in one for one in asked]
    if not asked:
        raise DataError("The list of images is empty. Name at least one.")
    if any(stored) and not all(stored):
        raise DataError("Some images lie on a disk and some in an object store. Inspect them one after the other.")
    found: dict[str, BulkImage] = {}
    for one in asked:
        for image in _in_store(one) if all(stored) else _on_disk(Path(one).absolute()):
            found.setdefault(image.path, image)
    return list(found.values())


def named(images: Sequence[BulkImage], finished: Mapping[str, str]) -> list[BulkImage]:
    """The images with names for their pictures, no two alike; those of finished images stay as they are.

    Args:
        images: All, in order.
        finished: Names by path; empty where there is no picture.
    """
    names = PictureNames(Path(name) for name in finished.values() if name)
    return [
        image if image.path in finished else replace(image, pictures=names.take(Path(image.below)).as_posix())
        for image in images
    ]


def parts_of(images: Sequence[BulkImage], finished: Collection[str]) -> list[Part]:
    """What is left to do, in parts.

    The parts are those of all images, without the finished ones: so a part that was lost gets the same name again, and
    takes the place of what a straggler of the stopped run may still write.
    """
    size = min(max(len(images) // PARTS, FEWEST), MOST)
    parts = []
    for number, start in enumerate(range(0, len(images), size)):
        left = [image for image in images[start : start + size] if image.path not in finished]
        if left:
            digest = hashlib.sha256("\n".join(image.path for image in left).encode("utf-8", "surrogateescape"))
            parts.append(Part(f"part-{number:06}-{digest.hexdigest()[:12]}.parquet", left))
    return parts


def _on_disk(path: Path) -> list[BulkImage]:
    if path.is_file() or (path.suffix and not path.is_dir()):
        return [BulkImage(str(path), path.name)]
    return [BulkImage(str(file), file.relative_to(path).as_posix()) for file in find_images(path)]


def _in_store(uri: str) -> list[BulkImage]:
    from pyarrow.fs import FileSelector, FileSystem, FileType

    files, root = FileSystem.from_uri(uri)
    root = root.rstrip("/")
    kind = files.get_file_info(root).type
    if kind == FileType.File or (kind == FileType.NotFound and PurePosixPath(root).suffix):
        return [BulkImage(root, PurePosixPath(root).name, uri)]
    if kind == FileType.NotFound:
        raise DataError(f"There is nothing at {uri}. Check the URI.")
    infos: list[Any] = files.get_file_info(FileSelector(root, recursive=True))
    below = sorted(info.path.removeprefix(f"{root}/") for info in infos if info.type == FileType.File)
    found = [BulkImage(f"{root}/{one}", one, uri) for one in below if _is_listed(PurePosixPath(one))]
    if not found:
        raise DataError(f"{uri} holds no image ({', '.join(sorted(EXTENSIONS))}).")
    return found


def _is_listed(below: PurePosixPath) -> bool:
    hidden = any(part.startswith(".") for part in below.parts)
    return below.suffix.lower() in EXTENSIONS and not hidden and not below.stem.endswith(SALIENCY_SUFFIX)
