"""ELPV: electroluminescence images of solar cells, from the package `elpv-dataset`.

Buerhop-Lutz et al., "A benchmark for visual identification of defective solar cells in
electroluminescence imagery" (2018); 2,624 grey images of 300 x 300 pixels, CC BY-NC-SA 4.0.
"""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from onlygood.errors import DataError, require
from onlygood.images.datasets.base import Category, Layout, Problems
from onlygood.images.layouts import Sample

#: Images of each module type, with defect probability 0 and 1, as published.
COUNTS = {"mono": (588, 313), "poly": (920, 402)}


@dataclass(frozen=True)
class Split:
    """Good images to fit on and labelled images to test on."""

    train: list[Path]
    test: list[Sample]


def load_elpv(cells: str = "mono") -> Split:
    """One-class split of the ELPV cells of one module type.

    Good is defect probability 0, defective is probability 1; the uncertain ones between are left out.
    Every fifth good image, by the SHA-1 of its file name, is held out for testing.

    Args:
        cells: `mono` or `poly`.

    Raises:
        DataError: Unknown module type, or the package's label file is not as published.
        MissingDependencyError: The package `elpv-dataset` is not installed.
    """
    if cells not in COUNTS:
        raise DataError(f"ELPV has cells 'mono' and 'poly', not {cells!r}.")
    root = elpv_folder()
    good, defective = read_labels(root)[cells]
    if (len(good), len(defective)) != COUNTS[cells]:
        raise DataError(
            f"ELPV {cells}: found {len(good)} good and {len(defective)} defective images in {root}, "
            f"published are {COUNTS[cells][0]} and {COUNTS[cells][1]}. Reinstall elpv-dataset."
        )
    return split_cells(good, defective)


def elpv_folder() -> Path:
    """Where the package `elpv-dataset` keeps `labels.csv` and `images/`.

    Raises:
        MissingDependencyError: It is not installed.
    """
    require("elpv_dataset", "demo", "The ELPV solar-cell data")
    spec = importlib.util.find_spec("elpv_dataset")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "data"


def read_labels(root: Path) -> dict[str, tuple[list[Path], list[Path]]]:
    """Good and defective images (probability 0 and 1) of each module type, in the order of `labels.csv`.

    Raises:
        DataError: The file is missing or a line is not path, probability and type.
    """
    table = root / "labels.csv"
    try:
        lines = table.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{table} cannot be read: {error}. Reinstall elpv-dataset.") from error
    found: dict[str, tuple[list[Path], list[Path]]] = {cells: ([], []) for cells in COUNTS}
    for number, line in enumerate(lines, 1):
        parts = line.split()
        try:
            name, probability, kind = parts[0], float(parts[1]), parts[2]
            good, defective = found[kind]
        except (IndexError, ValueError, KeyError) as error:
            raise DataError(
                f"Line {number} of {table} is not a path, a probability and mono or poly: {line!r}. "
                "Reinstall elpv-dataset."
            ) from error
        if probability in (0.0, 1.0):
            (good if probability == 0 else defective).append(root / name)
    return found


def split_cells(good: list[Path], defective: list[Path]) -> Split:
    """Every fifth good image, by the SHA-1 of its file name, and all defective ones are for testing."""
    held_out = {path for path in good if int(hashlib.sha1(path.name.encode()).hexdigest(), 16) % 5 == 0}
    test = [Sample(path, "good") for path in sorted(held_out)]
    test += [Sample(path, "defective") for path in sorted(defective)]
    return Split(sorted(set(good) - held_out), test)


def _why_not(root: Path) -> str | None:
    return None if (root / "labels.csv").is_file() and (root / "images").is_dir() else "no labels.csv beside images/"


def _load(root: Path, problems: Problems) -> list[Category]:
    try:
        labels = read_labels(root)
    except DataError as error:
        problems.error(root / "labels.csv", str(error))
        return []
    categories = []
    for cells, (good, defective) in sorted(labels.items()):
        problems.category = cells
        for path in (*good, *defective):
            if not path.is_file():
                problems.error(path, f"The image {path} of labels.csv is missing. Reinstall elpv-dataset.")
        split = split_cells(good, defective)
        categories.append(Category(cells, tuple(split.train), test=tuple(split.test)))
    return categories


ELPV = Layout(
    "elpv",
    "ELPV",
    "ours: every fifth good cell (probability 0), by SHA-1, and all defective ones (probability 1) are for testing",
    _why_not,
    _load,
)
