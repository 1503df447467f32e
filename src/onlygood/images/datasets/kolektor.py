"""KolektorSDD: `kos01` ... `kos50`, in each `Part0.jpg` ... `Part7.jpg` with a mask `Part0_label.bmp`.

Tabernik et al., "Segmentation-based deep-learning approach for surface-defect detection", J. Intelligent
Manufacturing 31 (2020). Its folds are for supervised learning, so the one-class split is ours.
"""

from __future__ import annotations

import re
from pathlib import Path

from onlygood.errors import ImageError
from onlygood.images.datasets.base import Category, Layout, Problems
from onlygood.images.datasets.splitting import held_out
from onlygood.images.datasets.trees import subfolders
from onlygood.images.layouts import Sample
from onlygood.images.reading import read_mask


def _items(root: Path) -> list[Path]:
    return [path for path in subfolders(root) if re.fullmatch(r"kos\d+", path.name)]


def _why_not(root: Path) -> str | None:
    return None if _items(root) else "no folder kos01"


def _load(root: Path, problems: Problems) -> list[Category]:
    problems.category = "kolektor_sdd"
    good: list[Path] = []
    defective: list[Sample] = []
    for folder in _items(root):
        images = sorted(folder.glob("Part*.jpg"))
        masks = {path.stem.removesuffix("_label"): path for path in sorted(folder.glob("Part*_label.bmp"))}
        if not images:
            problems.error(folder, f"The folder {folder} holds no image Part0.jpg. Unpack the data set again.")
        for path in images:
            mask = masks.pop(path.stem, None)
            if mask is None:
                expected = path.with_name(f"{path.stem}_label.bmp")
                problems.error(expected, f"The mask of {path} is missing: expected {expected}. Unpack it again.")
                continue
            try:
                marked = bool(read_mask(mask).any())  # nothing else tells good from defective
            except ImageError as error:
                problems.error(mask, str(error))
                continue
            if marked:
                defective.append(Sample(path, "defective", mask))
            else:
                good.append(path)
        for mask in masks.values():
            problems.error(mask, f"The image that {mask} is the mask of is missing. Unpack the data set again.")
    out = held_out(path.parent.name for path in good)
    tests = [Sample(path, "good") for path in good if path.parent.name in out]
    train = tuple(path for path in good if path.parent.name not in out)
    return [Category("kolektor_sdd", train, test=tuple(tests + defective))]


KOLEKTOR_SDD = Layout(
    "kolektor_sdd",
    "KolektorSDD",
    "ours: the good surfaces of a fifth of the items, by SHA-1, and all defective surfaces are for testing",
    _why_not,
    _load,
)
