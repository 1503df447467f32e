"""How many images the papers say there are, and how a folder differs from that."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from onlygood.images.datasets.base import Category, Problems

WORDS = {
    "train": "training images",
    "validation": "validation images",
    "good": "good test images",
    "defect": "defective test images",
    "structural": "test images with structural anomalies",
    "logical": "test images with logical anomalies",
}


def published_counts(layout: str) -> dict[str, dict[str, int]]:
    """Category -> published number of images under each of some keys of `Category.counts`; empty if none are known."""
    table = _tables().get(layout)
    if table is None:
        return {}
    return {name: dict(zip(table["columns"], row, strict=True)) for name, row in table["categories"].items()}


def compare(layout: str, root: Path, categories: Sequence[Category], problems: Problems) -> None:
    """Report every number that differs from the published one, and published categories that are not there."""
    published = published_counts(layout)
    for category in categories:
        problems.category = category.name
        found = category.counts()
        for key, expected in published.get(category.name, {}).items():
            if found.get(key, 0) != expected:
                problems.warning(
                    root,
                    f"{category.name} has {found.get(key, 0)} {WORDS[key]}; published are {expected}. "
                    "Figures measured on it are not comparable with published ones.",
                )
    problems.category = None
    absent = [name for name in published if name not in {category.name for category in categories}]
    if absent and not (len(categories) == 1 and categories[0].name == root.name):
        problems.warning(root, f"{root} lacks {len(absent)} published categories: {', '.join(absent)}.")
    elif absent:
        problems.note(root, f"{root} is one category of {len(published)}.")


@cache
def _tables() -> dict[str, Any]:
    return tomllib.loads(resources.files("onlygood.images.datasets").joinpath("published.toml").read_text("utf-8"))
