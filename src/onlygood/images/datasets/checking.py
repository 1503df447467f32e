"""A data set looked through: what it was recognised as, its numbers beside the published ones, all that is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from onlygood.errors import DataError, ImageError
from onlygood.images.datasets.base import Category, DataSet, Problem, Problems
from onlygood.images.datasets.mvtec_loco import read_region
from onlygood.images.datasets.published import published_counts, source_of_counts
from onlygood.images.datasets.registry import LAYOUTS, read_dataset
from onlygood.images.fingerprint import pixel_hash
from onlygood.images.layouts import Sample
from onlygood.images.reading import read_image, read_mask
from onlygood.images.scans import read_points
from onlygood.parallel import in_order
from onlygood.progress import Report, track


@dataclass(frozen=True)
class Check:
    """What was found.

    Attributes:
        data: The data set as it was read.
        deep: Whether every file was opened.
        problems: All that is wrong.
    """

    data: DataSet
    deep: bool
    problems: tuple[Problem, ...]

    @property
    def fine(self) -> bool:
        """Whether there is nothing but notes."""
        return all(problem.severity == "note" for problem in self.problems)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        published = published_counts(self.data.layout)
        return {
            "root": str(self.data.root),
            "name": self.data.name,
            "layout": self.data.layout,
            "title": LAYOUTS[self.data.layout].title,
            "split": self.data.split,
            "deep": self.deep,
            "fine": self.fine,
            "source_of_published": source_of_counts(self.data.layout),
            "categories": [
                {
                    "name": category.name,
                    "counts": category.counts(),
                    "defects": category.defects(),
                    "masks": sum(len(sample.masks) for sample in category.test),
                    "published": published.get(category.name),
                }
                for category in self.data.categories
            ],
            "problems": [problem.as_dict() for problem in self.problems],
        }


def check_dataset(
    root: str | Path, layout: str | None = None, *, deep: bool = False, progress: Report | None = None
) -> Check:
    """Look a data set through.

    Args:
        root: As for `open_dataset`.
        layout: Likewise.
        deep: Also open every image, mask and file of points: are they whole, do their sizes fit, is a mask of a
            defect empty, is a test image among the training images, pixel by pixel?
        progress: Called as `progress(stage, done, total)`; None tells nobody.

    Raises:
        DataError: Nothing is there, or it has no known layout.
    """
    data = read_dataset(root, layout)
    problems = Problems()
    problems += data.problems
    if deep:
        told = {problem.path for problem in problems}
        results = _open_all(data, progress)
        for category in data.categories:
            problems.category = category.name
            _add_contents(category, results, told, problems)
    return Check(data, deep, tuple(problems))


@dataclass
class _Contents:
    """What opening an image and what belongs to it showed."""

    pixels: str | None = None
    wrong: list[tuple[str, Path, str]] = field(default_factory=list)


def _open_all(data: DataSet, progress: Report | None) -> dict[Path, _Contents]:
    """Each image opened once, though it may belong to several categories (CIFAR-10)."""
    work: dict[Path, tuple[Sample, Category]] = {}
    for category in data.categories:
        for sample in _samples(category):
            work.setdefault(sample.path, (sample, category))
    items = list(work.values())
    contents = track(in_order(_open, items), "open", len(items), progress)
    return dict(zip(work, contents, strict=True))


def _samples(category: Category) -> Iterator[Sample]:
    from onlygood.images.datasets.trees import sample_of

    yield from (sample_of(path, "good") for path in (*category.train, *category.validation))
    yield from category.test


def _open(item: tuple[Sample, Category]) -> _Contents:
    sample, category = item
    found = _Contents()
    try:
        image = read_image(sample.path)
    except (ImageError, DataError) as error:
        found.wrong.append(("error", sample.path, str(error)))
        return found
    found.pixels = pixel_hash(image)
    size = image.shape[:2]
    for path in sample.masks:
        try:
            mask = read_mask(path)
            if category.saturations:
                _, value = read_region(path)
                if value not in {one.pixel_value for one in category.saturations}:
                    found.wrong.append(
                        ("error", path, f"The mask {path} has the pixel value {value}, unknown to defects_config.json.")
                    )
        except (ImageError, DataError) as error:
            found.wrong.append(("error", path, str(error)))
            continue
        if mask.shape != size:
            found.wrong.append(("error", path, _misfit("mask", path, mask.shape, sample.path, size)))
        elif sample.label and not np.any(mask):
            found.wrong.append(("warning", path, f"The mask {path} marks no pixel, though its image is defective."))
    if sample.points is not None:
        try:
            points = read_points(sample.points, str(sample.path))
        except ImageError as error:
            found.wrong.append(("error", sample.points, str(error)))
        else:
            if points.shape[:2] != size:
                what = _misfit("grid of points", sample.points, points.shape[:2], sample.path, size)
                found.wrong.append(("error", sample.points, what))
    return found


def _misfit(what: str, path: Path, found: tuple[int, ...], image: Path, size: tuple[int, ...]) -> str:
    return (
        f"The {what} {path} is {found[1]} x {found[0]} pixels, but its image {image} {size[1]} x {size[0]}. "
        "Copy both again."
    )


def _add_contents(category: Category, results: dict[Path, _Contents], told: set[Path], problems: Problems) -> None:
    seen: dict[str, Path] = {}
    tests = {sample.path for sample in category.test}
    for sample in _samples(category):
        contents = results[sample.path]
        for severity, path, message in contents.wrong:
            if path not in told:  # what is missing was named already
                (problems.error if severity == "error" else problems.warning)(path, message)
        twin = seen.get(contents.pixels) if contents.pixels else None
        if contents.pixels is None:
            continue
        if twin is None:
            seen[contents.pixels] = sample.path
        elif sample.path in tests and twin not in tests:
            problems.warning(
                sample.path, f"The test image {sample.path} is the same, pixel by pixel, as {twin}, which is fitted on."
            )
        else:
            problems.note(sample.path, f"{sample.path} is the same, pixel by pixel, as {twin}.")
