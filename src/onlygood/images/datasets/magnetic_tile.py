"""Magnetic tile defects as distributed: `MT_Free/Imgs`, `MT_Blowhole/Imgs`, ... with `.jpg` and a mask `.png` of each.

Huang, Qiu, Yuan, "Surface defect saliency of magnetic tile", The Visual Computer 36 (2020). There is no official
split. Each tile was photographed at up to six exposures, and the numbers in the file names (`exp1_num_1810.jpg`)
follow the time: good pictures whose numbers are at most `GAP` apart are taken for one tile or two taken together and
stay on one side.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from onlygood.images.datasets.base import Category, Layout, Problems
from onlygood.images.datasets.splitting import held_out
from onlygood.images.datasets.trees import subfolders
from onlygood.images.layouts import Sample

#: Exposures of a tile follow each other at about 20, at most about 100.
GAP = 150
_GOOD = "MT_Free"


def _why_not(root: Path) -> str | None:
    return None if any((path / "Imgs").is_dir() for path in root.glob("MT_*")) else "no folder MT_Free/Imgs"


def _load(root: Path, problems: Problems) -> list[Category]:
    problems.category = "magnetic_tile"
    good: list[Path] = []
    samples: list[Sample] = []
    if not (root / _GOOD).is_dir():
        problems.error(root / _GOOD, f"The folder {root / _GOOD}/Imgs is missing. Unpack the data set again.")
    for folder in (path for path in subfolders(root) if path.name.startswith("MT_")):
        files = sorted((folder / "Imgs").glob("*")) if (folder / "Imgs").is_dir() else []
        images = [path for path in files if path.suffix.lower() in (".jpg", ".jpeg")]
        masks = {path.stem: path for path in files if path.suffix.lower() == ".png"}
        if not images:
            problems.error(folder, f"The folder {folder / 'Imgs'} holds no .jpg image. Unpack the data set again.")
        for path in images:
            mask = masks.pop(path.stem, None)
            if folder.name == _GOOD:  # its masks are black
                good.append(path)
                continue
            if mask is None:
                expected = path.with_suffix(".png")
                problems.error(expected, f"The mask of {path} is missing: expected {expected}. Unpack it again.")
            samples.append(Sample(path, folder.name.removeprefix("MT_").lower(), mask))
        for mask in masks.values():
            problems.error(mask, f"The image that {mask} is the mask of is missing. Unpack the data set again.")
    groups = tile_groups(good)
    out = held_out(groups.values())
    tests = [Sample(path, "good") for path in good if groups[path] in out]
    train = tuple(path for path in good if groups[path] not in out)
    return [Category("magnetic_tile", train, test=tuple(tests + samples))]


def tile_groups(paths: Iterable[Path]) -> dict[Path, str]:
    """The group of each picture, named after the first of it; a file with another kind of name stands alone."""
    numbered = []
    groups = {}
    for path in paths:
        match = re.fullmatch(r"exp\d+_num_(\d+)", path.stem)
        if match:
            numbered.append((int(match[1]), path))
        else:
            groups[path] = path.stem
    first, last = 0, -GAP - 1
    for number, path in sorted(numbered):
        if number - last > GAP:
            first = number
        groups[path], last = str(first), number
    return groups


MAGNETIC_TILE = Layout(
    "magnetic_tile",
    "Magnetic tile defects",
    "ours: a fifth of the good tiles, by SHA-1, and all defective images are for testing; pictures of a tile stay "
    "together",
    _why_not,
    _load,
)
