"""VisA, parted by its own `split_csv/1cls.csv` (one-class)."""

from __future__ import annotations

import csv
from pathlib import Path

from onlygood.images.datasets.base import Category, Layout, Problems
from onlygood.images.datasets.published import published_counts
from onlygood.images.layouts import Sample

COLUMNS = ("object", "split", "label", "image", "mask")


def _table(root: Path) -> Path:
    return root / "split_csv" / "1cls.csv"


def _why_not(root: Path) -> str | None:
    if _table(root).is_file() or any((root / name / "Data" / "Images").is_dir() for name in published_counts("visa")):
        return None
    return "no split_csv/1cls.csv and no candle/Data/Images"


def _load(root: Path, problems: Problems) -> list[Category]:
    table = _table(root)
    if not table.is_file():
        problems.error(table, f"The file {table} is missing; it says what is for training. Unpack the data set again.")
        return []
    with table.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream, skipinitialspace=True))
    if not rows or any(column not in rows[0] for column in COLUMNS):
        problems.error(table, f"{table} lacks rows or one of the columns {', '.join(COLUMNS)}. Unpack it again.")
        return []
    train: dict[str, list[Path]] = {}
    tests: dict[str, list[Sample]] = {}
    for number, row in enumerate(rows, 2):
        values = [row[column] or "" for column in COLUMNS]
        name, split, label, image, mask = (value.strip() for value in values)
        if not (root / name).is_dir():  # told once, as a category that is not there
            continue
        problems.category = name
        path = root / image
        truth = root / mask if mask else None
        if (
            split not in ("train", "test")
            or label not in ("normal", "anomaly")
            or (split, label)
            == (
                "train",
                "anomaly",
            )
        ):
            problems.error(table, f"Line {number} of {table} says {split!r}, {label!r}. Unpack the data set again.")
            continue
        if not path.is_file():
            problems.error(path, f"The image {path} (line {number} of {table.name}) is missing. Unpack it again.")
        if label == "anomaly" and (truth is None or not truth.is_file()):
            shown = truth or f"in line {number} of {table}"
            problems.error(truth or table, f"The mask of {path} is missing: expected {shown}. Unpack it again.")
            truth = None
        train.setdefault(name, [])
        tests.setdefault(name, [])
        if split == "train":
            train[name].append(path)
        else:
            tests[name].append(Sample(path, "good" if label == "normal" else label, truth))
    return [
        Category(name, tuple(sorted(train[name])), test=tuple(sorted(tests[name], key=lambda sample: sample.path)))
        for name in sorted(train)
    ]


VISA = Layout("visa", "VisA", "official (1cls.csv)", _why_not, _load)
