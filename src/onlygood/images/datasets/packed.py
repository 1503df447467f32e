"""Sets that come as files of many images or as a package: CIFAR-10 and ELPV."""

from __future__ import annotations

from pathlib import Path

from onlygood.errors import DataError
from onlygood.images import cifar10, elpv
from onlygood.images.datasets.base import Category, Layout, Problems
from onlygood.images.layouts import Sample


def _why_not_cifar10(root: Path) -> str | None:
    try:
        cifar10.batch_files(root)
    except DataError:
        return "no test_batch.bin and no test_batch"
    return None


def _load_cifar10(root: Path, problems: Problems) -> list[Category]:
    """Ten one-class problems; their images are named as `data_batch_1.bin/00017`."""
    try:
        train_files, test_files = cifar10.batch_files(root)
    except DataError as error:
        problems.error(root, str(error))
        return []
    train = _images(train_files, problems)
    tests = _images(test_files, problems)
    return [
        Category(
            name,
            tuple(path for path, of in train if of == name),
            test=tuple(Sample(path, "good" if of == name else of) for path, of in tests),
        )
        for name in cifar10.CLASSES
    ]


def _images(files: list[Path], problems: Problems) -> list[tuple[Path, str]]:
    found = []
    for file in files:
        try:
            labels = cifar10.batch_labels(file)
        except DataError as error:
            problems.error(file, str(error))
            continue
        found += [(cifar10.image_path(file, n), cifar10.CLASSES[label]) for n, label in enumerate(labels)]
    return found


def _why_not_elpv(root: Path) -> str | None:
    return None if (root / "labels.csv").is_file() and (root / "images").is_dir() else "no labels.csv beside images/"


def _load_elpv(root: Path, problems: Problems) -> list[Category]:
    try:
        labels = elpv.read_labels(root)
    except DataError as error:
        problems.error(root / "labels.csv", str(error))
        return []
    categories = []
    for cells, (good, defective) in sorted(labels.items()):
        problems.category = cells
        for path in (*good, *defective):
            if not path.is_file():
                problems.error(path, f"The image {path} of labels.csv is missing. Reinstall elpv-dataset.")
        split = elpv.split_cells(good, defective)
        categories.append(Category(cells, tuple(split.train), test=tuple(split.test)))
    return categories


CIFAR10 = Layout(
    "cifar10", "CIFAR-10", "official; one class is good, all ten are tested on", _why_not_cifar10, _load_cifar10
)
ELPV = Layout(
    "elpv",
    "ELPV",
    "ours: every fifth good cell (probability 0), by SHA-1, and all defective ones (probability 1) are for testing",
    _why_not_elpv,
    _load_elpv,
)
