"""MVTec AD, and MPDD and BTAD, which are laid out alike."""

from __future__ import annotations

from pathlib import Path

from onlygood.images.datasets.base import Category, Layout, Problems
from onlygood.images.datasets.published import published_counts
from onlygood.images.datasets.trees import category_folders, load_tree, why_no_categories


def _layout(name: str, title: str, good: str) -> Layout:
    def why_not(root: Path) -> str | None:
        return why_no_categories(root, published_counts(name))

    def load(root: Path, problems: Problems) -> list[Category]:
        categories = []
        for folder in category_folders(root, published_counts(name)):
            problems.category = folder.name
            categories.append(load_tree(folder, problems, good))
        return categories

    return Layout(name, title, "official", why_not, load)


MVTEC_AD = _layout("mvtec_ad", "MVTec AD", good="good")
MPDD = _layout("mpdd", "MPDD", good="good")
BTAD = _layout("btad", "BTAD", good="ok")
