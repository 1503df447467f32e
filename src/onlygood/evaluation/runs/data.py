"""The data of a sweep: categories on disk, known by what is in their files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from onlygood.errors import DataError
from onlygood.images.datasets import Category, DataSet, open_dataset
from onlygood.progress import Report, track


@dataclass(frozen=True)
class Contents:
    """A category and what is in its files.

    Attributes:
        category: The paths.
        hashes: First 16 digits of the SHA-256 of each training image's file, in the category's order.
        fingerprint: Of training images, test images, labels and masks; no name or folder is part of it.
    """

    category: Category
    hashes: tuple[str, ...]
    fingerprint: str


def open_all(roots: Iterable[str | Path]) -> dict[str, DataSet]:
    """The data sets in these folders, by name.

    Raises:
        DataError: One cannot be used, or two have the same name: their records could not be told apart.
    """
    found: dict[str, DataSet] = {}
    for root in roots:
        data = open_dataset(root)
        if data.name in found:
            raise DataError(
                f"{data.root} and {found[data.name].root} are both called {data.name!r}, so their records could not be "
                "told apart. Rename one of the folders, or measure them in two sweeps with a file of records each."
            )
        found[data.name] = data
    return found


def read_contents(category: Category, report: Report | None = None) -> Contents:
    """Read every file of a category once.

    Raises:
        DataError: There is nothing to fit on or to test on.
        OSError: A file cannot be read.
    """
    if not category.train or not category.test:
        what = "training" if not category.train else "test"
        raise DataError(f"The category {category.name} has no {what} images, so nothing can be measured on it.")
    whole = hashlib.sha256()
    hashes = [_hash_of(path) for path in track(category.train, f"read {category.name}", len(category.train), report)]
    whole.update(" ".join(sorted(hashes)).encode())
    lines = []
    for sample in category.test:
        files = [sample.path, *sample.masks, *([sample.points] if sample.points else [])]
        lines.append(f"{sample.defect} {' '.join(map(_hash_of, files))}")
    whole.update("\n".join(sorted(lines)).encode())
    return Contents(category, tuple(hashes), whole.hexdigest()[:16])


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
