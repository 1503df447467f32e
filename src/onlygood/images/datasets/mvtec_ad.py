"""MVTec AD, and those laid out alike: MPDD, BTAD (good is called `ok`) and MVTec 3D-AD (scans)."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from onlygood.images.datasets.base import Category, Layout, Problems
from onlygood.images.datasets.published import published_counts
from onlygood.images.datasets.trees import GOOD, category_folders, images_below, load_tree, name_of, why_no_categories
from onlygood.images.scans import POINT_EXTENSIONS


def _layout(name: str, title: str, good: Collection[str] = GOOD) -> Layout:
    def why_not(root: Path) -> str | None:
        return why_no_categories(root, published_counts(name))

    def load(root: Path, problems: Problems) -> list[Category]:
        categories = []
        for folder in category_folders(root, published_counts(name)):
            problems.category = name_of(folder)
            categories.append(load_tree(folder, problems, good))
        return categories

    return Layout(name, title, "official", why_not, load)


def _why_not_3d(root: Path) -> str | None:
    folders = category_folders(root)
    if folders and not any(any(folder.glob("train/*/xyz")) or any(folder.glob("test/*/xyz")) for folder in folders):
        return "no folder train/good/xyz of 3-D points"
    return why_no_categories(root, published_counts("mvtec_3d"))


def _load_3d(root: Path, problems: Problems) -> list[Category]:
    categories = []
    for folder in category_folders(root, published_counts("mvtec_3d")):
        problems.category = name_of(folder)
        for kind in sorted((*folder.glob("train/*"), *folder.glob("validation/*"), *folder.glob("test/*"))):
            if kind.is_dir():
                _check_halves(kind, problems)
        categories.append(load_tree(folder, problems, validation=True))
    return categories


def _check_halves(folder: Path, problems: Problems) -> None:
    """Every picture must have its points and the other way round."""
    pictures = {path.stem: path for path in images_below(folder / "rgb")}
    scans = folder / "xyz"
    points = {path.stem: path for path in sorted(scans.glob("*")) if path.suffix.lower() in POINT_EXTENSIONS}
    for stem in sorted(pictures.keys() - points.keys()):
        expected = scans / f"{stem}.tiff"
        problems.error(expected, f"The points of {pictures[stem]} are missing: expected {expected}. Unpack it again.")
    for stem in sorted(points.keys() - pictures.keys()):
        expected = folder / "rgb" / f"{stem}.png"
        problems.error(expected, f"The picture of {points[stem]} is missing: expected {expected}. Unpack it again.")


MVTEC_AD = _layout("mvtec_ad", "MVTec AD")
MPDD = _layout("mpdd", "MPDD")
BTAD = _layout("btad", "BTAD", good=frozenset({"ok"}))
MVTEC_3D = Layout("mvtec_3d", "MVTec 3D-AD", "official", _why_not_3d, _load_3d)
