"""Folder trees as MVTec AD's: `train/good`, `test/<good|defect>`, `ground_truth/<defect>`; shared by many layouts.

Scans (MVTec 3D-AD) lie in the same trees: in each folder of images `rgb/`, `xyz/` and, of defects, `gt/`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from onlygood.images.datasets.base import Category, Problems
from onlygood.images.layouts import Sample, is_image
from onlygood.images.reading import EXTENSIONS
from onlygood.images.scans import files_of_scan

GOOD = frozenset({"good"})


def subfolders(folder: Path) -> list[Path]:
    """Folders in a folder, sorted, hidden ones left out; empty if it is none."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def images_below(folder: Path) -> list[Path]:
    """Image files below a folder, sorted, hidden ones and saliency maps left out; of scans the pictures in `rgb/`."""
    return sorted(path for path in folder.rglob("*") if is_image(path, folder)) if folder.is_dir() else []


def name_of(folder: Path) -> str:
    """Name of a folder, also if it is given as `.`; a link keeps its own name."""
    return folder.absolute().name if folder.name in ("", ".") else folder.name


def is_category(folder: Path) -> bool:
    """Whether a folder holds `train` or `test`."""
    return (folder / "train").is_dir() or (folder / "test").is_dir()


def category_folders(root: Path, published: Iterable[str] = ()) -> list[Path]:
    """The root itself if it is a category, else its subfolders that are.

    A subfolder with a published category's name counts even if it holds neither `train` nor `test`, so that this is
    told.
    """
    if is_category(root):
        return [root]
    known = set(published)
    return [path for path in subfolders(root) if is_category(path) or path.name in known]


def why_no_categories(root: Path, published: Iterable[str]) -> str | None:
    """Why the root holds no categories of the published names, and only such; None if it does."""
    known = list(published)
    found = category_folders(root)
    if not found:
        return "no folder holds train/ or test/"
    strange = [name_of(path) for path in found if name_of(path) not in known]
    return f"it has no category {strange[0]!r}" if strange else None


def load_tree(
    folder: Path,
    problems: Problems,
    good: Collection[str] = GOOD,
    *,
    validation: bool = False,
    masked: bool | None = True,
) -> Category:
    """A category as MVTec AD lays it out.

    Args:
        folder: Of the category.
        problems: Where to put them.
        good: Names, in lower case, that the folders of good images may have.
        validation: Whether there must be a folder `validation`; if there is one it is read all the same.
        masked: Whether every defective image must have a mask; None if so once there is a folder of masks.
    """
    train = good_images(folder / "train", good, problems)
    held_out: list[Path] = []
    if validation or (folder / "validation").is_dir():
        held_out = good_images(folder / "validation", good, problems)
    samples: list[Sample] = []
    truth = folder / "ground_truth"
    for kind, defect in test_folders(folder, good, problems):
        images = images_below(kind)
        if not images:
            problems.error(kind, f"The folder {kind} holds no image. Unpack the data set again.")
        if defect == "good":
            samples += [sample_of(path, defect) for path in images]
            continue
        in_scan = (kind / "gt").is_dir()
        of_kind = kind / "gt" if in_scan else truth / kind.name
        needed = masked if masked is not None else in_scan or truth.is_dir()
        samples += _with_masks(images, defect, of_kind, needed, problems)
    for other in subfolders(truth):
        if not (folder / "test" / other.name).is_dir():
            beside = folder / "test" / other.name
            problems.error(other, f"{other} holds masks, but there is no folder {beside}. Unpack the data set again.")
    return Category(name_of(folder), tuple(train), tuple(held_out), tuple(samples))


def good_images(folder: Path, good: Collection[str], problems: Problems) -> list[Path]:
    """The images of `folder/good`; anything beside it is an error, for it would be left out in silence."""
    named = [path for path in subfolders(folder) if path.name.lower() in good]
    expected = named[0] if named else folder / min(good)
    found = images_below(expected)
    if not found:
        what = "holds no image" if expected.is_dir() else "is missing"
        problems.error(expected, f"The folder {expected} {what}. Unpack the data set again.")
    for other in subfolders(folder):
        if other != expected:
            problems.error(other, f"{other} lies beside {expected}, but only good images are fitted on. Move it away.")
    return found


def test_folders(folder: Path, good: Collection[str], problems: Problems) -> list[tuple[Path, str]]:
    """Folders of test images, each with `good` or its type of defect; it is an error if either sort is missing."""
    test = folder / "test"
    kinds = [(path, "good" if path.name.lower() in good else path.name) for path in subfolders(test)]
    if not kinds:
        problems.error(test, f"The folder {test} {'is empty' if test.is_dir() else 'is missing'}. Unpack it again.")
    elif not any(defect == "good" for _, defect in kinds):
        problems.error(test / min(good), f"The folder {test / min(good)} is missing. Unpack the data set again.")
    elif all(defect == "good" for _, defect in kinds):
        problems.error(test, f"The folder {test} holds no folder of defective images. Unpack the data set again.")
    return kinds


def sample_of(path: Path, defect: str, masks: tuple[Path, ...] = (), nature: str | None = None) -> Sample:
    """A sample, with the points behind it if it is a scan."""
    return Sample(path, defect, masks=masks, nature=nature, points=files_of_scan(path)[1])


def _with_masks(images: list[Path], defect: str, folder: Path, needed: bool, problems: Problems) -> list[Sample]:
    """Samples of one type of defect, each with the mask of its stem."""
    masks = _masks_by_stem(folder, problems)
    samples = []
    for path in images:
        mask = masks.pop(path.stem, None)
        if mask is None and needed:
            expected = folder / (f"{path.stem}.png" if folder.name == "gt" else f"{path.stem}_mask.png")
            problems.error(expected, f"The mask of {path} is missing: expected {expected}. Unpack the data set again.")
        samples.append(sample_of(path, defect, (mask,) if mask else ()))
    for mask in masks.values():
        problems.error(mask, f"The image that {mask} is the mask of is missing. Unpack the data set again.")
    return samples


def _masks_by_stem(folder: Path, problems: Problems) -> dict[str, Path]:
    """Mask files of a folder by the stem of the image that each belongs to (`000_mask.png` and `000.png`: `000`)."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix.lower() not in EXTENSIONS or path.name.startswith(".") or not path.is_file():
            continue
        stem = path.stem.removesuffix("_mask")
        if stem in found:
            problems.error(path, f"{path} and {found[stem]} are masks of the same image. Remove the wrong one.")
        found[stem] = path
    return found
