"""CIFAR-10 as one-class problems: one class is good, the nine others are not (SimpleNet, section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import DataError
from onlygood.images.cifar10_batches import CLASSES, batch_files, batch_labels, image_path, read_batch
from onlygood.images.datasets.base import Category, Layout, Problems
from onlygood.images.layouts import Sample

#: Training and test images of each class, as published.
PER_CLASS = (5000, 1000)


@dataclass(frozen=True)
class OneClass:
    """Good images to fit on and labelled images to test on.

    Attributes:
        good: Name of the good class.
        train: uint8 `(5000, 32, 32, 3)`, RGB: all its training images.
        test: uint8 `(10000, 32, 32, 3)`: all test images of all classes.
        labels: int64 `(10000,)`: 0 for the good class, 1 for the others.
        classes: Class of each test image, by name.
    """

    good: str
    train: NDArray[np.uint8]
    test: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: list[str]


def load_cifar10(folder: str | Path, good: str) -> OneClass:
    """One of the ten one-class problems; the published figure is the mean image AUROC of all ten.

    Args:
        folder: The unpacked archive, or the folder around it.
        good: Class that counts as good, one of `CLASSES`.

    Raises:
        DataError: Unknown class, a missing or damaged file, or other numbers of images than published.
    """
    if good not in CLASSES:
        raise DataError(f"CIFAR-10 has no class {good!r}. It has: {', '.join(CLASSES)}.")
    train_files, test_files = batch_files(folder)
    train, train_classes = _read(train_files, PER_CLASS[0])
    test, test_classes = _read(test_files, PER_CLASS[1])
    number = CLASSES.index(good)
    labels = (test_classes != number).astype(np.int64)
    return OneClass(good, train[train_classes == number], test, labels, [CLASSES[one] for one in test_classes])


def _read(files: Sequence[Path], per_class: int) -> tuple[NDArray[np.uint8], NDArray[np.integer]]:
    """Images `(n, 32, 32, 3)` and class numbers `(n,)` of some files, complete."""
    parts = [read_batch(file) for file in files]
    classes = np.concatenate([part[1] for part in parts])
    counts = np.bincount(classes, minlength=len(CLASSES))
    if set(counts.tolist()) != {per_class}:
        names = ", ".join(file.name for file in files)
        raise DataError(
            f"{files[0].parent}: found {counts.tolist()} images of the ten classes in {names}; published are "
            f"{per_class} of each. The files are cut short or not CIFAR-10's; unpack them again."
        )
    return np.concatenate([part[0] for part in parts]), classes


def _why_not(root: Path) -> str | None:
    try:
        batch_files(root)
    except DataError:
        return "no test_batch.bin and no test_batch"
    return None


def _load(root: Path, problems: Problems) -> list[Category]:
    """Ten one-class problems; their images are named as `data_batch_1.bin/00017`."""
    try:
        train_files, test_files = batch_files(root)
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
        for name in CLASSES
    ]


def _images(files: list[Path], problems: Problems) -> list[tuple[Path, str]]:
    found = []
    for file in files:
        try:
            labels = batch_labels(file)
        except DataError as error:
            problems.error(file, str(error))
            continue
        found += [(image_path(file, n), CLASSES[label]) for n, label in enumerate(labels)]
    return found


CIFAR10 = Layout("cifar10", "CIFAR-10", "official; one class is good, all ten are tested on", _why_not, _load)
