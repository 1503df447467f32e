"""How many images the papers say there are, and how a folder differs from that."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from onlygood.images.datasets.base import Category, Problems
from onlygood.images.datasets.trees import name_of

_WORDS = {
    "train": "for training",
    "validation": "for validation",
    "good": "good for testing",
    "defect": "defective",
    "all_good": "good",
    "structural": "structural",
    "logical": "logical",
}


def published_counts(layout: str) -> dict[str, dict[str, int]]:
    """Category -> published number of images under keys of `Category.counts` or types of defect; empty if unknown."""
    table = _tables().get(layout)
    if table is None:
        return {}
    return {name: dict(zip(table["columns"], row, strict=True)) for name, row in table["categories"].items()}


def source_of_counts(layout: str) -> str | None:
    """Where the published numbers of a layout come from."""
    return _tables().get(layout, {}).get("source")


def differences(layout: str, category: Category) -> dict[str, tuple[int, int]]:
    """Number found and number published, for each key of the published numbers where they differ."""
    found = {**category.defects(), **category.counts()}
    expected = published_counts(layout).get(category.name, {})
    return {key: (found.get(key, 0), number) for key, number in expected.items() if found.get(key, 0) != number}


def compare(layout: str, root: Path, categories: Sequence[Category], problems: Problems) -> None:
    """Report every category whose numbers differ from the published ones, and those that are not there."""
    published = published_counts(layout)
    if not published:
        return
    for category in categories:
        problems.category = category.name
        found = differences(layout, category)
        if category.name not in published:
            problems.warning(root, f"{category.name} is none of the published categories.")
        elif found:
            numbers = ", ".join(f"{n} {_WORDS.get(key, key)} (published: {p})" for key, (n, p) in found.items())
            problems.warning(
                root, f"{category.name} differs from what was published: {numbers}. Its figures are not comparable."
            )
    problems.category = None
    absent = [name for name in published if name not in {category.name for category in categories}]
    if absent and len(categories) == 1 and name_of(root) == categories[0].name:
        problems.note(root, f"{root} is one category of the {len(published)} published.")
    elif absent:
        problems.warning(root, f"{root} lacks {len(absent)} of {len(published)} categories: {', '.join(absent)}.")


@cache
def _tables() -> dict[str, Any]:
    return tomllib.loads(resources.files("onlygood.images.datasets").joinpath("published.toml").read_text("utf-8"))
