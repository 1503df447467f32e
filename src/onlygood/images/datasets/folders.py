"""Folders of one's own: `train/` and `test/` as MVTec AD has them, under any name, or `good/` beside other folders."""

from __future__ import annotations

from pathlib import Path

from onlygood.images.datasets.base import Category, Layout, Problems
from onlygood.images.datasets.splitting import held_out
from onlygood.images.datasets.trees import (
    category_folders,
    images_below,
    is_category,
    load_tree,
    name_of,
    sample_of,
    subfolders,
)
from onlygood.images.layouts import GOOD_NAMES

_NO_KIND = {"ground_truth", "train", "test", "validation"}


def _is_plain(folder: Path) -> bool:
    """Whether a folder holds one of good images and others beside it."""
    names = [path.name.lower() for path in subfolders(folder) if path.name not in _NO_KIND]
    return len(names) > 1 and any(name in GOOD_NAMES for name in names)


def _folders(root: Path) -> list[Path]:
    if is_category(root) or _is_plain(root):
        return [root]
    return sorted({*category_folders(root), *(path for path in subfolders(root) if _is_plain(path))})


def _why_not(root: Path) -> str | None:
    return None if _folders(root) else "no folder holds train/ or test/, or good/ (ok/, normal/) beside others"


def _load(root: Path, problems: Problems) -> list[Category]:
    categories = []
    for folder in _folders(root):
        problems.category = name_of(folder)
        if is_category(folder):
            categories.append(load_tree(folder, problems, GOOD_NAMES, masked=None))
        else:
            categories.append(_load_plain(folder, problems))
    return categories


def _load_plain(folder: Path, problems: Problems) -> Category:
    """A fifth of the good images is for testing: by the SHA-1 of the path, so near duplicates may part."""
    good: list[Path] = []
    tests = []
    for kind in (path for path in subfolders(folder) if path.name not in _NO_KIND):
        images = images_below(kind)
        if not images:
            problems.error(kind, f"The folder {kind} holds no image. Fill or remove it.")
        if kind.name.lower() in GOOD_NAMES:
            good += images
        else:
            tests += [sample_of(path, kind.name) for path in images]
    out = held_out(path.relative_to(folder).as_posix() for path in good)
    for_test = [path for path in good if path.relative_to(folder).as_posix() in out]
    train = tuple(path for path in good if path not in set(for_test))
    return Category(name_of(folder), train, test=tuple([sample_of(path, "good") for path in for_test] + tests))


FOLDERS = Layout(
    "folders",
    "Folders",
    "by the folders train and test; where there are none ours: a fifth of the good images, by SHA-1, is for testing",
    _why_not,
    _load,
)
